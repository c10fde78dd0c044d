"""Detector: scorer -> threshold over a stream; state in, state out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, InitVar, dataclass, replace
from time import perf_counter
from typing import ClassVar

import numpy as np

from autoencoder.core.detector import Detector
from autoencoder.core.errors import ModelFileError, NotFittedError
from autoencoder.core.state import POSITIVE, Reader, State
from autoencoder.core.types import Array, Bools, Detections, Integers, Progress, Time
from autoencoder.network.period import day_of
from autoencoder.position import StreamPosition
from autoencoder.profile import StreamProfile
from autoencoder.scorers.base import Scored, Scorer, to_detections
from autoencoder.slots import SlotFiller
from autoencoder.thresholds.base import Threshold
from autoencoder.thresholds.budget import Budget, interval_of
from autoencoder.thresholds.peaks_over_threshold import MAX_RARITY, PeaksOverThreshold
from autoencoder.thresholds.remembered import coarse
from autoencoder.training_part import TrainingPart

__all__ = ["Detector", "StreamDetector", "Time"]

MAX_CALIBRATION_ERRORS = 10_000  # errors of the training part that are kept, so that a saved model can be given another threshold


@dataclass(eq=False)
class StreamDetector(Detector):
    """Scores a stream point by point, in chunks of any size.

    The first ``training_points`` points train the scorer and get no detection. From then on each point is compared with a threshold that
    has not seen it. Cutting the stream into other chunks changes nothing.

    Examples:
        >>> from autoencoder.scorers.gaussian import WindowedGaussianScorer
        >>> budget = Budget.parse(0.0001)
        >>> detector = StreamDetector(WindowedGaussianScorer(window=64), PeaksOverThreshold, budget, training_points=300)
        >>> values = np.random.default_rng(0).normal(size=(500, 1))
        >>> values[400] += 9
        >>> np.flatnonzero(detector.process(np.arange(500), values).anomalies).tolist()
        [400, 478]
    """

    judges_prices: ClassVar[bool] = False  # by their returns

    scorer: Scorer  # gives errors and predictions
    make_threshold: Callable[[float], Threshold]  # for a share of points that may be flagged
    budget: Budget  # that share, or a rate in time, which the times of the training part turn into a share
    training_points: int  # length of the training part
    progress: Progress | None = None  # told how training goes
    _: KW_ONLY
    fills_gaps: InitVar[bool] = True  # missing rows and cells for the scorer, see ``SlotFiller``; else it never learns of them

    def __post_init__(self, fills_gaps: bool) -> None:
        self.slots = SlotFiller() if fills_gaps else None
        self.training = TrainingPart()  # as far as it came; empty once trained
        self.profile: StreamProfile | None = None  # of the points that it is made for; None until trained
        self.position = StreamPosition()
        self.trained = False  # points get detections
        self.interval: float  # seconds from point to point of the training part, once trained; 0 where points carry no timestamps
        self.share = float("nan")  # of normal points that may be flagged; NaN until trained
        self.training_seconds = 0.0

    @property
    def current(self) -> StreamDetector:
        """Itself."""
        return self

    @property
    def lacks_season(self) -> str:
        """See ``Detector.lacks_season``; a day is the season that is looked for."""
        points, needed = self.training_points, 2 * day_of(self.interval) if self.trained else 0
        return f"a daily season needs {needed:,} points; {points:,} trained the model" if 0 < points < needed else ""

    def process(self, time: Time, values: Array) -> Detections:
        """Points (N,), (N, F) -> their detections; see ``Detector.process``."""
        if self.trained:
            return self._score(time, values)
        rest = self.training_points - len(self.training)
        self.training.add(time[:rest], values[:rest])
        head = Detections.unknown(time[:rest], values[:rest])
        if len(values) < rest:
            return head
        self._train()
        return Detections.concatenate([head, self._score(time[rest:], values[rest:])])

    def _train(self) -> None:
        began = perf_counter()
        time, values = self.training.joined()
        self.learn(time, self._begin(time, values))
        self.training, self.progress = TrainingPart(), None
        self.training_seconds = perf_counter() - began

    def _begin(self, time: Time, values: Array) -> Array:
        """What the scorer sees of the training part (N,), (N, F)."""
        return values

    def learn(self, time: Time, values: Array, errors: Array | None = None) -> Array:
        """Learn a training part (N,), (N, F), unless the scorer has, with ``errors`` (M,) -> its slots, see ``SlotFiller.fit``."""
        self.interval, self._features = interval_of(time), values.shape[1]
        self._set_share(self.budget.share(self.interval))
        slots = self.slots.fit(time, values) if self.slots else values
        if errors is None:
            self.scorer.day = self.slots.day if self.slots else 0
            errors = self.scorer.fit(slots, self.progress).calibration_errors
        self.profile = StreamProfile.of(time, values)
        self.position.advance(time)
        self.recalibrate(errors)
        self.trained = True
        return slots

    def recalibrate(self, errors: Array) -> None:
        """Let the threshold begin anew, from errors (M,) on normal points."""
        self.calibration_errors = coarse(errors[-MAX_CALIBRATION_ERRORS:]).astype(np.float64)  # as they are saved
        self._calibrate()

    def _calibrate(self) -> None:
        errors = self.scorer.believable(self.calibration_errors, self.share / MAX_RARITY)
        self.threshold.fit(errors)
        if self.threshold is not self._calibration:
            self._calibration.fit(errors)

    def _set_share(self, share: float) -> None:
        self.share, self.threshold = share, self.make_threshold(share)
        # the score of a point is its tail probability whatever threshold flags it, so that it means the same everywhere
        self._calibration = self.threshold if isinstance(self.threshold, PeaksOverThreshold) else PeaksOverThreshold(share)

    def _score(self, time: Time, values: Array) -> Detections:
        return StreamDetector.begin(self, time, values)()

    def begin(self, time: Time, values: Array) -> Callable[[], Detections]:
        """See ``Detector.begin``."""
        if not self.trained:
            return super().begin(time, values)
        slots, ends = self.fill(time, values)
        finish = self.scorer.begin(slots)
        return lambda: self._judge(time, values, finish().of_rows(values, ends))

    def fill(self, time: Time, values: Array) -> tuple[Array, Integers | None]:
        """The next rows (N,), (N, F) -> their slots (M, F), and how many of these there are with each row; see ``SlotFiller.process``."""
        if values.shape[1] != self._features:
            raise ModelFileError(
                f"the model was trained on {self._features} columns, the stream has {values.shape[1]}; choose the columns it was trained on"
            )
        if len(time):
            if self.position.is_at_start and not self.position.can_go_on(time):
                self._begin_anew()
            self.position.advance(time)
        return self.slots.process(time, self.scorer.impute(values)) if self.slots else (values, None)

    def detect(self, time: Time, slots: Array, is_row: Bools | None = None, seen: Array | None = None) -> Detections:
        """Detections of the next slots (M,), (M, F); those that are no row (None: all are) are seen by the scorer and judged by nobody.

        ``seen`` (M, F) are the same, but NaN where a cell of a row was missing.
        """
        scored = self.scorer.score(slots)
        if is_row is not None:
            scored = scored._replace(own_errors=np.where(is_row, scored.own_errors, np.nan))
        return self._judge(time, slots, scored, seen)

    def _judge(self, time: Time, values: Array, scored: Scored, seen: Array | None = None) -> Detections:
        if values.shape[1] > 1 and self.profile and not scored.contributions.shape[1]:
            seen = values if seen is None else seen
            scored = scored._replace(contributions=self.profile.distances(seen, scored.predictions))
        limits, probabilities = self._calibration.judge(scored.own_errors)
        if self.threshold is not self._calibration:
            limits = self.threshold.process(scored.own_errors)
        return to_detections(time, values, scored, limits, probabilities)

    def _begin_anew(self) -> None:
        """Forget the stream and keep what was learnt from the training part."""
        self.scorer.reset()
        if self.slots:
            self.slots.reset()
        self.position = StreamPosition()
        self._calibrate()

    def clone(self) -> StreamDetector:
        """A detector for another stream with all that this one has learnt from its training part, if it is trained."""
        if not self.trained:
            raise NotFittedError("a detector that is not trained has nothing to share; train it first")
        other = copy.copy(self)
        other.scorer = self.scorer.clone()
        other.slots = self.slots.clone() if self.slots else None
        other._set_share(self.share)
        other._calibrate()
        other.position = StreamPosition()
        return other

    def with_scorer(self, scorer: Scorer, errors: Array, values: Array | None = None) -> StreamDetector:
        """A detector that goes on with another scorer, whose errors (M,) on normal points are known, and with the same budget.

        Where values (N, F) are given, they are what it was made for, and no longer those of the training part.
        """
        successor = StreamDetector(scorer, self.make_threshold, self.budget, self.training_points)
        successor.slots = self.slots  # which are the stream's
        successor.interval, successor._features, successor.position = self.interval, self._features, copy.copy(self.position)
        profile = None if values is None else StreamProfile.of(np.arange(len(values)), values)
        successor.profile = replace(profile, interval=self.interval) if profile else self.profile
        successor._set_share(self.share)
        successor.recalibrate(errors)
        successor.trained, successor.training_seconds = True, self.training_seconds
        return successor

    def info(self) -> dict[str, object]:
        """What there is to know about the training part."""
        return {"points": self.training_points, **self.scorer.info()} if self.trained else {"points": self.training_points}

    def load_model(self, state: State, files: Mapping[str, bytes], *, goes_on: bool = True) -> None:
        """Go on where a saved detector stood, if it is trained, with this one's budget and kind of threshold.

        Where the points that come do not follow those that it has seen, or the stream is another one (not ``goes_on``), only what was
        learnt from the training part is taken, and the window fills anew.
        """
        saved = Reader(state, "the detector")
        if not saved.boolean("trained"):
            raise NotFittedError("the saved detector is not trained: its run ended within the training part; train again")
        if saved.has("returns") != self.judges_prices:
            ours, theirs, transform = ("prices", "values", "none") if self.judges_prices else ("values", "prices", "prices")
            raise ModelFileError(f"was trained on {theirs}, and this run judges {ours}; add --set input.transform={transform}")
        self._load_scorer(saved, files)
        self._set_share(self.budget.share(self.interval))
        self.trained = self.position.is_at_start = True
        if not goes_on:
            self._begin_anew()
        else:
            self._load_thresholds(saved)
        if self.slots:
            self.slots.allow_gap()

    def _load_scorer(self, saved: Reader, files: Mapping[str, bytes]) -> None:
        self._features = saved.integer("features", 1)
        self.interval = saved.number("interval")
        self.position.load(saved.state("position"))
        self.profile = StreamProfile.load(saved.state("profile"), self._features)
        self.calibration_errors = saved.array("training_errors", (None,), dtype=np.float32).astype(np.float64)
        self.scorer.load(saved.state("scorer"), files)
        if not saved.has("slots"):  # it counts rows, as a baseline does
            self.slots = None
        elif self.slots:
            self.slots.load(saved.state("slots"))

    def _load_thresholds(self, saved: Reader) -> None:
        """What calibrates the scores goes on; so does the threshold, unless it is of another kind, which begins anew."""
        if saved.text("threshold_kind") != type(self.threshold).__name__:
            self._calibrate()
        elif self.threshold is not self._calibration:
            self.threshold.load(saved.state("threshold"))
        self._calibration.load(saved.state("calibration" if saved.has("calibration") else "threshold"))

    def state(self) -> State:
        """See ``Detector.state``."""
        if not self.trained:
            return {"trained": False, **self.training.state()}
        assert self.profile
        state: State = {
            "trained": True,
            "position": self.position.state(),
            "profile": self.profile.state(),
            "share": self.share,
            "interval": self.interval,  # of the training part, so that a rate asked for later can become a share
            "features": self._features,
            "training_errors": self.calibration_errors.astype(np.float32),
            "scorer": self.scorer.state(),
            "threshold": self.threshold.state(),
            "threshold_kind": type(self.threshold).__name__,
        }
        if self.slots:
            state["slots"] = self.slots.state()
        return state if self.threshold is self._calibration else {**state, "calibration": self._calibration.state()}

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """See ``Detector.load``."""
        saved = Reader(state, "the detector")
        self.trained = saved.boolean("trained")
        if not self.trained:
            self.training = TrainingPart.load(saved)
            return
        self._set_share(saved.number("share", POSITIVE, math.nextafter(1.0, 0.0)))
        self._load_scorer(saved, files)
        self._load_thresholds(saved)
