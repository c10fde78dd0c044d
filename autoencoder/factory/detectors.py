"""Detectors: a configuration -> scorer, threshold, detector, with adaptation or without."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from autoencoder.config import Config
from autoencoder.config.schema import COLD_START
from autoencoder.core.detector import Detector
from autoencoder.core.errors import ConfigError
from autoencoder.core.types import Progress, Time
from autoencoder.detector import StreamDetector
from autoencoder.newcomer import Newcomer
from autoencoder.scorers import SCORERS
from autoencoder.scorers.base import Scorer
from autoencoder.thresholds import THRESHOLDS
from autoencoder.thresholds.base import Threshold
from autoencoder.thresholds.budget import Budget

if TYPE_CHECKING:
    from autoencoder.adaptation.buffer import Confirmed
    from autoencoder.adaptation.detector import AdaptiveDetector
    from autoencoder.adaptation.trainer import ProcessLimit

UNBOUNDED_TRAINING = 1000  # points that train where their number is unknown
DAYS_SHARE = 0.4  # least share of daily prices that trains, as their number is small
DAYS_OF_TRAINING = 500  # most daily prices that train: two years, as their returns are in volatilities and alike in all years


def training_points(config: Config, points: int | None, time: Time | None = None) -> int:
    """Length of the training part for a source of so many points (None: not known), of which some times are known.

    ConfigError where it is not that long.
    """
    if config.training.points is None:
        wanted = UNBOUNDED_TRAINING if points is None else max(1, round(points * config.training.fraction))
        is_whole = config.training.fraction == 1.0  # all of it trains
        if is_whole or not config.judges_prices or _are_intraday(time):
            return wanted
        return min(DAYS_OF_TRAINING, max(wanted, round(DAYS_SHARE * (points or DAYS_OF_TRAINING / DAYS_SHARE))))
    if points is not None and config.training.points > points:
        raise ConfigError(f"training.points is {config.training.points:,}, but the source has {points:,} points; ask for fewer")
    return config.training.points


def _are_intraday(time: Time | None) -> bool:
    """Whether most of the bars at these times are shorter than a day."""
    if time is None or time.dtype.kind != "M":
        return False
    steps = np.diff(np.unique(time))
    return len(steps) > 0 and bool(np.median(steps) < np.timedelta64(12, "h"))


def make_scorer(config: Config) -> Scorer:
    """The scorer that the configuration names, untrained."""
    return SCORERS[config.detector](**_scorer_params(config))


def _scorer_params(config: Config) -> dict[str, Any]:
    """The parameters of that scorer, which bear the names of their settings."""
    seed = {"seed": config.seed}
    match config.detector:
        case "isolation_forest":
            return config.forest.model_dump(include={"window", "n_estimators", "max_samples"}) | seed
        case "isolation_forest_sliding":
            return config.forest.model_dump() | seed
        case "half_space_trees":
            return config.half_space_trees.model_dump() | seed
        case "windowed_gaussian":
            return config.windowed_gaussian.model_dump()
    network = config.network.model_dump() | config.training.model_dump(exclude={"points", "fraction", "newcomers"}) | seed
    window = None if network["window"] == "auto" else network["window"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return network | {"window": window, "threads": network["threads"] or cores}


def make_detector(
    config: Config,
    points: int,
    progress: Progress | None = None,
    *,
    scorer: Scorer | None = None,
    fills_gaps: bool = True,
    series: str | None = None,
) -> StreamDetector:
    """The detector of a series, to be trained on the first ``points`` points: the one that is configured, or around another ``scorer``."""

    def threshold(share: float) -> Threshold:
        return THRESHOLDS[config.threshold.kind](budget=share, window=config.threshold.window)

    parts = (scorer or make_scorer(config), threshold, Budget.parse(config.threshold.budget), points, progress)
    if scorer or not config.judges_prices:
        return StreamDetector(*parts, fills_gaps=fills_gaps)
    from autoencoder.quotes.detector import PriceDetector
    from autoencoder.sources.chunk import ASIDE
    from autoencoder.sources.several import MARKET

    label = "" if series is None else "market" if series == MARKET else "own"
    return PriceDetector(*parts, aside=len(ASIDE) if config.source == "yfinance" else 0, label=label)


def make_newcomer(config: Config, model: StreamDetector, series: str | None) -> Newcomer:
    """The detector of a series that no ``model`` knows; its own shares the network of that one."""
    from autoencoder.scorers.lstm import LstmAutoencoderScorer
    from autoencoder.scorers.seasonal import SeasonalScorer

    # too few points to tell the season that fills gaps
    forecast = make_detector(config, config.adaptation.cold_start or COLD_START, scorer=SeasonalScorer(), fills_gaps=False)
    own = make_detector(config, training_points(config, None), series=series)
    if isinstance(own.scorer, LstmAutoencoderScorer) and isinstance(model.scorer, LstmAutoencoderScorer) and model.scorer.network:
        own.scorer.share_network(model.scorer.network)
    return Newcomer(forecast, own)


def make_waited_for(config: Config, points: int, progress: Progress | None = None) -> Detector:
    """The detector of a stream that waits for trainings and whose first ``points`` points get no detection; it adapts if it is to."""
    if config.adapts():
        return make_adaptive(config, points, progress, early=False, waits=True)
    return make_detector(config, points, progress)


def make_adaptive(
    config: Config,
    points: int,
    progress: Progress | None = None,
    *,
    early: bool = True,
    waits: bool = False,
    limit: ProcessLimit | None = None,
    confirmed: Confirmed = tuple,
) -> AdaptiveDetector:
    """The same, replaced by a better one when the stream changes.

    Args:
        config: settings.
        points: the first so many train.
        progress: told how that goes.
        early: a baseline begins, where ``adaptation.cold_start_points`` says so; a saved model needs none.
        waits: the source waits for a training, where ``adaptation.synchronous`` does not say.
        limit: on training processes, shared by the detectors of a panel.
        confirmed: gives the times of anomalies that people have confirmed.
    """
    from autoencoder.adaptation.detector import AdaptiveDetector
    from autoencoder.adaptation.retraining import ScorerSpec
    from autoencoder.adaptation.schedule import AdaptationConfig
    from autoencoder.adaptation.trainer import SubprocessTrainer, SyncTrainer

    chosen = config.adaptation
    is_synchronous = waits if chosen.synchronous is None else chosen.synchronous
    windows, days = chosen.confirmed
    adaptation = AdaptationConfig(
        confirm_windows=windows,
        confirm_days=days,
        retrain_every=chosen.retrain_every,
        buffer_points=max(chosen.buffer_points, points),
        training_points=points,
        cold_start_points=chosen.cold_start if early else None,
        finds_seasons=chosen.is_asked_for,
        confirmed=confirmed,
    )

    def build(scorer: Scorer, points: int) -> StreamDetector:
        return make_detector(config, points, progress, scorer=scorer)

    spec = ScorerSpec(config.detector, _scorer_params(config))
    return AdaptiveDetector(build, spec, SyncTrainer(progress) if is_synchronous else SubprocessTrainer(limit), adaptation)
