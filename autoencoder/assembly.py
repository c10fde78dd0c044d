"""Assembly: a configuration -> the source, the detector and the parts around them. Below here nobody knows the configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from autoencoder.config import Config, dump
from autoencoder.core.errors import ConfigError
from autoencoder.detector import StreamDetector
from autoencoder.reports.alerts import FORMATS, Alerts, Webhook
from autoencoder.reports.webhook import Courier, HttpPost, is_web_address
from autoencoder.scorers import SEASONAL, create
from autoencoder.scorers.base import Progress, Scorer
from autoencoder.thresholds import THRESHOLDS
from autoencoder.thresholds.base import Threshold
from autoencoder.thresholds.budget import Budget
from data.series import InputError, Source

if TYPE_CHECKING:
    from autoencoder.adaptation.adaptive import AdaptiveDetector
    from autoencoder.settings import Csv
    from data.files import FileSource

Warn = Callable[[str], None]

ROWS_OF_MANY = 1 << 16  # rows of many series that are judged at a time
UNBOUNDED_TRAINING = 1000  # points that train where nobody knows how many will come


def open_source(config: Config, warn: Warn) -> Source:
    """The source that the configuration names.

    Raises:
        DataError: it cannot be read.
        ConfigError: a setting it needs is missing.
    """
    return _SOURCES[config.source](config, warn)


def _synthetic(config: Config, warn: Warn) -> Source:
    from data.synthetic import KINDS, Signal, SyntheticSource

    chosen = config.synthetic
    signal = Signal(
        level=chosen.level,
        trend=chosen.trend,
        drift=chosen.drift,
        level_shift=chosen.level_shift,
        level_shift_at=chosen.level_shift_at,
        period=chosen.season.period,
        amplitude=chosen.season.amplitude,
        long_period=chosen.long_season.period,
        long_amplitude=chosen.long_season.amplitude,
        noise=chosen.noise,
        missing=chosen.missing,
    )
    return SyntheticSource(
        points=chosen.points,
        seed=config.seed,
        signal=signal,
        kinds=tuple(kind for kind in KINDS if getattr(chosen.anomalies, kind)),
        rate=chosen.anomalies.rate,
        size=chosen.anomalies.size,
        clean=chosen.anomalies.clean,
        interval=chosen.interval,
        pace=chosen.pace,
    )


def _yfinance(config: Config, warn: Warn) -> Source:
    from data.yahoo import YahooSource

    chosen = config.yfinance
    if not chosen.ticker:
        raise ConfigError("yfinance.ticker is not set; give --ticker, e.g. --ticker AAPL")
    return YahooSource(
        chosen.ticker,
        period=chosen.period,
        start=chosen.start,
        end=chosen.end,
        interval=chosen.interval,
        column=chosen.column,
        adjusted=chosen.adjusted,
        deadline=chosen.deadline,
        cache_dir=chosen.cache,
        cache_max_age=chosen.cache_age,
        follow=config.follow,
        poll=chosen.poll,
        warn=warn,
    )


def _csv(config: Config, warn: Warn) -> Source:
    from data.files import FileSource
    from data.live import FollowSource

    chosen = config.csv
    path = _path(chosen)
    if config.follow:
        return FollowSource(path, columns=chosen.columns, time_column=chosen.time_column, poll=chosen.poll, warn=warn)
    return FileSource(path, columns=chosen.columns, time_column=chosen.time_column, label_column=chosen.label_column, warn=warn)


def open_many(config: Config, warn: Warn) -> FileSource:
    """The file of many series that the configuration names; each chunk is a large part of it, as it is shared out over the series.

    Raises:
        DataError: it cannot be read.
        ConfigError: its path is missing.
    """
    from data.files import FileSource

    chosen = config.csv
    return FileSource(
        _path(chosen),
        columns=chosen.columns,
        time_column=chosen.time_column,
        label_column=chosen.label_column,
        series_column=chosen.series_column,
        chunk_size=ROWS_OF_MANY,
        warn=warn,
    )


def _path(chosen: Csv) -> str:
    if not chosen.path:
        raise ConfigError("csv.path is not set; give --path FILE")
    return chosen.path


def _stdin(config: Config, warn: Warn) -> Source:
    from data.live import StdinSource

    if sys.stdin is None:
        raise InputError("stdin is closed; pipe lines of numbers into it")
    return StdinSource(sys.stdin.buffer, columns=config.csv.columns, time_column=config.csv.time_column, warn=warn)


_SOURCES: dict[str, Callable[[Config, Warn], Source]] = {
    "synthetic": _synthetic,
    "yfinance": _yfinance,
    "csv": _csv,
    "stdin": _stdin,
}


def training_points(config: Config, points: int | None) -> int:
    """Length of the training part for a source of so many points (None: not known).

    Raises:
        ConfigError: the source is not that long.
    """
    if config.training.points is None:
        return UNBOUNDED_TRAINING if points is None else max(1, round(points * config.training.fraction))
    if points is not None and config.training.points > points:
        raise ConfigError(f"training.points is {config.training.points:,}, but the source has {points:,} points; ask for fewer")
    return config.training.points


def make_scorer(config: Config) -> Scorer:
    """The scorer that the configuration names, untrained."""
    forest = config.forest
    common = {"window": forest.window, "n_estimators": forest.trees, "max_samples": forest.samples, "seed": config.seed}
    if config.detector == "isolation_forest":
        return create(config.detector, **common)
    if config.detector == "isolation_forest_sliding":
        return create(config.detector, **common, refit_window=forest.history, refit_every=forest.refit_every)
    if config.detector == "half_space_trees":
        trees = config.half_space_trees
        sizes = {"n_trees": trees.trees, "height": trees.height, "window_size": trees.samples}
        return create(config.detector, window=trees.window, **sizes, seed=config.seed)
    if config.detector == "windowed_gaussian":
        return create(config.detector, window=config.windowed_gaussian.window)
    network, training = config.network, config.training
    return create(
        config.detector,
        window=None if network.window == "auto" else network.window,
        sequence_length=network.steps,
        window_periods=network.periods,
        units=network.hidden,
        latent_dim=network.latent,
        dropout=network.dropout,
        horizon=network.hide,
        threads=network.threads or _cores(),
        exclude_anomalies=config.adaptation.enabled,
        max_steps=training.steps,
        batch_size=training.batch,
        learning_rate=training.learning_rate,
        validation_split=training.validation,
        patience=training.patience,
        seed=config.seed,
    )


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_kind(config: Config, kind: str) -> Scorer:
    """The scorer that the configuration names, or the baseline that serves until it is trained."""
    from autoencoder.adaptation.job import BASELINE

    return create(SEASONAL) if kind == BASELINE else make_scorer(config)


def make_detector(config: Config, points: int, progress: Progress | None = None) -> StreamDetector:
    """The detector that the configuration names, to be trained on the first ``points`` points."""
    return _detector(config, make_scorer(config), points, progress)


def make_adaptive(
    config: Config, points: int, progress: Progress | None = None, *, early: bool = True, waits: bool = False
) -> AdaptiveDetector:
    """The same, replaced by a better one when the stream changes.

    Args:
        config: settings.
        points: the first so many train.
        progress: told how that goes.
        early: a baseline begins, where ``adaptation.early`` says so; a saved model needs none.
        waits: the source waits for a training, where ``adaptation.deterministic`` does not say.
    """
    from autoencoder.adaptation.adaptive import AdaptiveDetector
    from autoencoder.adaptation.job import BASELINE, MODEL
    from autoencoder.adaptation.schedule import Policy
    from autoencoder.adaptation.shadow import Beside, InStep

    chosen = config.adaptation
    early = early and chosen.starts_early
    policy = Policy(patience=chosen.patience, every=chosen.every, history=max(chosen.history, points), first=points)
    in_step = waits if chosen.deterministic is None else chosen.deterministic
    shadow = InStep(partial(make_kind, config)) if in_step else Beside(dump(config))

    def build(kind: str) -> StreamDetector:
        first = chosen.early if kind == BASELINE and chosen.early else points
        return _detector(config, make_kind(config, kind), first, progress)

    return AdaptiveDetector(build, shadow, policy, BASELINE if early else MODEL)


def _detector(config: Config, scorer: Scorer, points: int, progress: Progress | None) -> StreamDetector:
    def threshold(share: float) -> Threshold:
        return THRESHOLDS[config.threshold.kind](budget=share, window=config.threshold.window)

    return StreamDetector(scorer, threshold, Budget.parse(config.threshold.budget), points, progress)


def make_alerts(config: Config, warn: Warn) -> Alerts:
    """Who is told of incidents, by the configuration and the environment variables that it names.

    Raises:
        ConfigError: the webhook is switched on, and a variable that it needs is not set or holds nothing of use.
    """
    chosen = config.alerts.webhook
    if not chosen.enabled:
        return Alerts(log=config.alerts.log, webhook=None)
    url = _secret("url_env", chosen.url_env)
    if not is_web_address(url):
        raise ConfigError(f"the environment variable {chosen.url_env} holds no http or https address; set it to the webhook's")
    token = _secret("token_env", chosen.token_env) if chosen.token_env else None
    post = HttpPost(url, token, FORMATS[chosen.format], chosen.timeout)
    courier = Courier(post, warn, retry=chosen.retry, longest_retry=chosen.longest_retry, deadline=chosen.deadline)
    webhook = Webhook(courier, capacity=chosen.queue, alarms_only=chosen.alarms_only, warn=warn)
    return Alerts(log=config.alerts.log, webhook=webhook)


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
