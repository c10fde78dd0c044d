"""Runs: a configuration and a source -> the panel of its detectors, and a run with all its sinks."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np

from autoencoder.config import Config
from autoencoder.core.errors import ConfigError
from autoencoder.detector import Detector
from autoencoder.factory.detectors import make_adaptive, make_detector, training_points
from autoencoder.models import SavedModel
from autoencoder.panel import Panel
from autoencoder.reports.delivery import WebhookSender, is_web_address, post
from autoencoder.reports.incidents import IncidentTracker
from autoencoder.reports.logs import AdaptationLog, AnomalyLog
from autoencoder.reports.outbox import Outbox
from autoencoder.reports.run_folder import RunFolder
from autoencoder.reports.scores_csv import ResultWriter
from autoencoder.reports.sinks import Sink
from autoencoder.reports.statistics import RunStatistics
from autoencoder.reports.webhook import FORMATS, Webhook
from autoencoder.scorers.base import Progress
from autoencoder.series import Series
from autoencoder.sources.chunk import Source

Warn = Callable[[str], None]


def is_at_hand(source: Source) -> bool:
    """Whether a source's points are there before they are asked for."""
    return source.length is not None and not source.throttled


def zone_of(source: Source) -> str:
    """What is put behind every time of a source."""
    return "Z" if source.timezone else ""


def make_panel(
    config: Config, source: Source, model: SavedModel | None, warn: Warn, progress: Progress | None = None, *, adapts: bool = True
) -> Panel:
    """The detectors and incident trackers of a source; its series are there already, if they are known.

    Args:
        config: settings.
        source: whose points they get.
        model: what they have learnt; None: each is trained on its first points.
        warn: told in a sentence of what is left out.
        progress: told how training goes.
        adapts: whether ``adaptation.enabled`` means something.

    Raises:
        ModelError: the model does not fit the source.
        ConfigError: ``training.points`` is more than a source without series has.
    """
    zone = zone_of(source)
    chosen = config.incidents
    adapts = adapts and config.adaptation.enabled
    if adapts:
        from autoencoder.adaptation.trainer import ProcessLimit

        limit: ProcessLimit | None = ProcessLimit()
    else:
        limit = None
    if model:
        model.require_columns(source.name, source.columns)

    def make(name: str | None, points: int | None) -> Series:
        tracker = IncidentTracker(0, zone, hysteresis=chosen.hysteresis, cooldown=chosen.cooldown)
        fault, training = "", 0
        if not model:
            try:
                training = training_points(config, points)
            except ConfigError as error:
                if name is None:
                    raise
                fault = str(error)
        detector: Detector
        if adapts:
            detector = make_adaptive(config, training, progress, early=not model, waits=is_at_hand(source), limit=limit)
        else:
            detector = make_detector(config, training, progress)
        one = Series(name, detector, tracker, partial(_merge_gap, config), left_out=fault)
        if model:
            model.apply_to(detector, name)
            tracker.merge_gap = one.merge_gap(detector)
        return one

    panel = Panel(make, lambda sentence: warn(f"{source.name}: {sentence}"), progress)
    for name, points in _lengths(source).items():
        panel.add(name, points)
    return panel


def _lengths(source: Source) -> dict[str | None, int | None]:
    """The number of points of each series that is known, None where that is not."""
    if not source.has_series:
        return {None: source.length}
    if source.length is None:
        return {}
    sizes = np.zeros(len(source.series), np.int64)
    for chunk in source.chunks():
        assert chunk.series is not None
        sizes += np.bincount(chunk.series, minlength=len(sizes))
    return dict(zip(source.series, sizes.tolist(), strict=True))


def _merge_gap(config: Config, detector: Detector) -> int:
    """Points without an anomaly inside one incident: an anomaly affects the windows after it, so flags within that time are its echo."""
    gap = config.incidents.merge_gap
    if config.adaptation.starts_early and gap == "auto":  # the first detector looks back on less than the one that follows it
        return config.network.sequence_length
    return detector.current.scorer.window if gap == "auto" else gap


def make_sinks(
    config: Config,
    source: Source,
    panel: Panel,
    folder: RunFolder,
    results: ResultWriter,
    statistics: RunStatistics,
    webhook: Webhook | None,
) -> list[Sink]:
    """What writes a run down, rows and incidents first.

    Raises:
        ModelError, RunError: what an earlier part of the run left is damaged, or the folder cannot be written.
    """
    sinks: list[Sink] = [results]
    if config.alerts.log:
        sinks.append(AnomalyLog(folder))
    if webhook:
        webhook.start(folder, source.name, source.columns)
        sinks.append(webhook)
    sinks.append(statistics)
    if config.adaptation.enabled:
        sinks.append(AdaptationLog(folder, lambda: panel.adaptations, zone_of(source)))
    return sinks


def make_webhook(config: Config, warn: Warn) -> Webhook | None:
    """What posts alerts, by the configuration and the environment variables that it names; None where it is switched off.

    Raises:
        ConfigError: a variable that it needs is not set or holds nothing of use.
    """
    chosen = config.alerts.webhook
    if not chosen.enabled:
        return None
    url = _secret("url_env", chosen.url_env)
    if not is_web_address(url):
        raise ConfigError(f"the environment variable {chosen.url_env} holds no http or https address; set it to the webhook's")
    token = _secret("token_env", chosen.token_env) if chosen.token_env else None
    send = partial(post, url=url, token=token, form=FORMATS[chosen.format], timeout=chosen.timeout)

    def deliver(outbox: Outbox) -> WebhookSender:
        waits = {"backoff": chosen.backoff, "max_backoff": chosen.max_backoff, "drain_seconds": chosen.drain_seconds}
        return WebhookSender(outbox, send, warn, **waits)

    return Webhook(deliver, capacity=chosen.max_queue, alarms_only=chosen.alarms_only, warn=warn)


def _secret(setting: str, variable: str) -> str:
    """What an environment variable holds; no message may."""
    text = os.environ.get(variable, "").strip()
    if not text:
        raise ConfigError(
            f"alerts.webhook.{setting} names the environment variable {variable}, which is not set; set it, or switch the webhook off"
        )
    if not (text.isascii() and text.isprintable()):
        raise ConfigError(f"the environment variable {variable} holds characters that fit into no HTTP request; set it again")
    return text
