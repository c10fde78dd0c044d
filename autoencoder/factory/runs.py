"""Runs: a configuration and a source -> the panel of its detectors, and a run with all its sinks and alert channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from autoencoder.alerts import CHANNELS, Channel
from autoencoder.alerts.sender import Waits
from autoencoder.alerts.sink import Alerts
from autoencoder.config import Config
from autoencoder.config.rules import MAX_GAP
from autoencoder.config.schema import Incidents
from autoencoder.core.durations import seconds_of
from autoencoder.core.errors import ConfigError
from autoencoder.core.http import is_web_address, secret
from autoencoder.core.types import Progress
from autoencoder.detector import Detector, StreamDetector
from autoencoder.factory.detectors import make_adaptive, make_detector, make_newcomer, training_points
from autoencoder.factory.rules import make_policy, require_times, settings_of
from autoencoder.factory.sources import is_joint
from autoencoder.feedback.label import Label
from autoencoder.models import SavedModel
from autoencoder.newcomer import Newcomer
from autoencoder.panel.panel import Panel
from autoencoder.panel.series import Series
from autoencoder.panel.start import ModelStart
from autoencoder.reports.incidents import LEVELS
from autoencoder.reports.logs import AdaptationLog, AnomalyLog
from autoencoder.reports.run_folder import RunFolder
from autoencoder.reports.scores_csv import ResultWriter
from autoencoder.reports.sinks import Sink
from autoencoder.reports.statistics import RunStatistics
from autoencoder.reports.tracker import IncidentTracker, Policy
from autoencoder.sources.chunk import Chunk, Source

Warn = Callable[[str], None]
Labels = Callable[[str | None], Sequence[Label]]  # of a series


def is_at_hand(source: Source) -> bool:
    """Whether a source's points are there before they are asked for."""
    return source.length is not None and not source.throttled


def zone_of(source: Source) -> str:
    """What is put behind every time of a source."""
    return "Z" if source.timezone else ""


def make_panel(
    config: Config,
    source: Source,
    model: SavedModel | None,
    warn: Warn,
    progress: Progress | None = None,
    *,
    adapts: bool = True,
    labels: Labels | None = None,
) -> Panel:
    """The detectors and incident trackers of a source; its series are there already, if they are known.

    Each detector goes on where that of ``model`` stood, or is trained on its first points where there is none; ``warn`` is told in a
    sentence of each series that is left out or unlike what the model was trained on, ``progress`` how training goes. Nothing adapts where
    ``adapts`` is false; ``labels`` gives what people have said of a series.

    Raises:
        ModelFileError: the model does not fit the source.
        ConfigError: ``training.points`` is more than a source without series has.
    """
    if model:
        model.require_columns(source.name, source.columns, is_joint=is_joint(config))
    if adapts and config.adaptation.is_asked_for and config.judges_prices:
        warn(f"{source.name}: returns are judged by their volatility, which is followed anyway; no model is trained again")
    make_one = _detector_maker(config, source, progress, labels, adapts=adapts, early=not model)
    first = next(source.chunks(), None) if is_at_hand(source) and config.judges_prices else None

    def make(name: str | None, points: int | None, *, is_restored: bool = False) -> Series:
        training, fault = (0, "") if model else _training(config, name, points, first)
        policy = make_policy(config, name, is_zoned=bool(source.timezone), labels=labels)
        tracker = make_tracker(settings_of(config, name).incidents, zone_of(source), policy, source.columns)
        is_known = model is not None and model.knows(name)
        learns = model is not None and name is not None and not is_known and config.training.newcomers == "own"
        detector = make_newcomer(settings_of(config, name), main(), name) if learns else make_one(name, training)
        one = Series(name, detector, tracker, partial(_gaps, config, name), left_out=fault)
        if not model or learns:
            return one
        if is_restored and isinstance(one.detector, StreamDetector):  # what was saved takes the place of the model's state
            one.model_files = model.files_of(name)
        else:
            model.apply_to(one.detector, name)
            one.model_files = one.detector.current.scorer.artifacts()
            tracker.set_gaps(*one.gaps(one.detector))
        profile, is_compared = one.detector.current.profile, is_known or not model.is_of_many
        find = (lambda: profile or one.detector.current.profile) if is_compared and not config.judges_prices else None
        one.start = ModelStart(find, source.columns)  # of prices the model has seen returns
        return one

    @cache
    def main() -> StreamDetector:
        """The detector with which series begin that the model does not know."""
        assert model
        detector = make_detector(config, 0)
        model.lend_to(detector)
        return detector

    columns = (model.columns if model else ()) or source.columns
    remake = partial(make, points=None, is_restored=True)
    panel = Panel(make, lambda sentence: warn(f"{source.name}: {sentence}"), progress, columns, remake)
    for name, points in _lengths(source).items():
        panel.add(name, points)
    return panel


def _training(config: Config, name: str | None, points: int | None, first: Chunk | None) -> tuple[int, str]:
    """Points that train a series, and why there are none where one of several has too few; ConfigError where it is the only one."""
    try:
        return training_points(config, points, None if first is None else first.time), ""
    except ConfigError as error:
        if name is None:
            raise
        return 0, str(error)


def _detector_maker(
    config: Config, source: Source, progress: Progress | None, labels: Labels | None, *, adapts: bool, early: bool
) -> Callable[[str | None, int], Detector]:
    """What builds the detector of a series, to be trained on so many points; they share a limit on training processes."""
    if not (adapts and config.adapts(of_many=source.has_series)):
        return lambda name, points: make_detector(settings_of(config, name), points, progress, series=name)
    from autoencoder.adaptation.trainer import ProcessLimit

    adaptive = partial(make_adaptive, progress=progress, early=early, waits=is_at_hand(source), limit=ProcessLimit())
    confirmed = partial(_confirmed, labels) if labels else lambda name: ()
    return lambda name, points: adaptive(settings_of(config, name), points, confirmed=partial(confirmed, name))


def _confirmed(labels: Labels, series: str | None) -> list[tuple[int, int]]:
    """First and last times of the anomalies of a series that people have confirmed."""
    return [(label.shape.start, label.end) for label in labels(series) if label.label]


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


def _gaps(config: Config, series: str | None, detector: Detector) -> tuple[int, int, int]:
    """The gaps of the detector of a series that is trained, see ``gaps_of``."""
    require_times(config, series, detector.current.interval)
    usual = config.network.sequence_length if detector.usual_gap is None else detector.usual_gap
    # where another detector follows the first one, it looks back on more
    if not (config.starts_early(of_many=series is not None) or isinstance(detector, Newcomer)):
        usual = min(usual, detector.current.scorer.window)
    return gaps_of(settings_of(config, series).incidents, usual, detector.current.interval)


def make_tracker(asked: Incidents, zone: str = "", policy: Policy | None = None, columns: Sequence[str] = ()) -> IncidentTracker:
    """What joins the flags of a series into incidents, before its gaps are known, see ``gaps_of``."""
    least = LEVELS[asked.min_severity]
    return IncidentTracker(zone, hysteresis=asked.hysteresis, min_severity=least, policy=policy, columns=columns)


def gaps_of(asked: Incidents, usual: int, interval: float) -> tuple[int, int, int]:
    """Merge gap, cooldown and least length of an alarm, in points that lie ``interval`` seconds apart; see ``IncidentTracker``.

    Where nothing is asked for, the first is ``usual``: the points that the newest evidence comes from, as many as a window has steps. The
    second is as long as the first then.
    """
    gap = points_of("merge_gap", asked.merge_gap, usual, interval)
    cooldown, length = (points_of(name, getattr(asked, name), gap, interval) for name in ("cooldown", "min_length"))
    return gap, max(1, cooldown), max(1, length)


def points_of(setting: str, asked: int | str, usual: int, interval: float) -> int:
    """Points that a setting of ``incidents`` asks for, of a stream whose points lie ``interval`` seconds apart."""
    if asked == "auto":
        return usual
    if isinstance(asked, int):
        return asked
    if not interval:
        raise ConfigError(f"incidents.{setting} is {asked!r}, but the stream has no timestamps; give a number of points, e.g. 20")
    points = (seconds_of(asked) or 0.0) / interval
    if points > MAX_GAP:
        raise ConfigError(f"incidents.{setting} is {asked!r}, which is more than {MAX_GAP:,} points of this stream; ask for less")
    return round(points)


def make_sinks(
    config: Config,
    source: Source,
    panel: Panel,
    folder: RunFolder,
    statistics: RunStatistics,
    alerts: Alerts | None,
    keep: tuple[int, int] | None,
) -> tuple[ResultWriter, list[Sink]]:
    """What writes rows and incidents down, behind the first ``keep`` bytes of both files, and all sinks of a run with it."""
    results = ResultWriter(folder.path, source.columns, zone_of(source), keep, of_many=source.has_series)
    sinks: list[Sink] = [results]
    if config.alerts.log:
        sinks.append(AnomalyLog(folder))
    if alerts:
        alerts.start(folder, source.name, source.columns, panel.open)
        sinks.append(alerts)
    sinks.append(statistics)
    if config.adapts(of_many=source.has_series):
        sinks.append(AdaptationLog(folder, lambda: panel.adaptations, zone_of(source)))
    return results, sinks


def make_alerts(config: Config, warn: Callable[[str], None]) -> Alerts | None:
    """What sends alerts; None where every channel is switched off. Raises ConfigError as ``make_channels``."""
    chosen, channels = config.alerts, make_channels(config)
    if not channels:
        return None
    waits = Waits(chosen.backoff, chosen.max_backoff, chosen.drain_seconds)
    alarms_only = chosen.alarms_only
    return Alerts(channels, waits, capacity=chosen.max_queue, alarms_only=alarms_only, warn=warn, link=chosen.link)


def make_channels(config: Config) -> list[Channel]:
    """The channels that are switched on, with their secrets. Raises ConfigError: a variable or a setting is missing or wrong."""
    return [
        kind(**_settings(name, getattr(config.alerts, name).model_dump()), timeout=config.alerts.timeout)
        for name, kind in CHANNELS.items()
        if getattr(config.alerts, name).enabled
    ]


def _settings(channel: str, section: dict[str, Any]) -> dict[str, Any]:
    """The settings of a channel, with what a variable holds in place of its name."""
    out: dict[str, Any] = {}
    for setting, value in section.items():
        name = setting.removesuffix("_env")
        out[name] = value
        if name != setting and value is not None:
            out[name] = secret(f"alerts.{channel}.{setting}", value, f"put alerts.{channel}.enabled=false")
        if name == "url" and not is_web_address(out[name]):
            found = f"the environment variable {value} holds" if name != setting else f"alerts.{channel}.url is {value!r},"
            raise ConfigError(f"{found} no http or https address; set it to that of {channel}")
        if setting == "url" and urlsplit(value).username is not None:
            raise ConfigError(
                f"alerts.{channel}.url holds a login, which would be in config.yaml; leave it out, and name a token"
            )
        if setting in ("host", "recipients") and not value:
            raise ConfigError(f"alerts.{channel}.{setting} is not set; set it, or put alerts.{channel}.enabled=false")
    return {name: value for name, value in out.items() if name != "enabled"}
