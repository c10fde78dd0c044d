"""ModelUpdater: decides after each block of a stream whether to train, promote or roll back a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoencoder.adaptation.buffer import Block, HistoryBuffer
from autoencoder.adaptation.cleaning import calibration_set, clean_rows, clean_windows, outlier_rows, trainable_rows
from autoencoder.adaptation.drift import Drift, DriftMonitor
from autoencoder.adaptation.retraining import (
    BASELINE,
    BASELINE_SPEC,
    MODEL,
    SavedScorer,
    ScorerSpec,
    TrainingJob,
    TrainingResult,
    exclude,
)
from autoencoder.adaptation.rollback import RollbackMonitor
from autoencoder.adaptation.schedule import TIME, AdaptationConfig, Schedule
from autoencoder.adaptation.trainer import Trainer
from autoencoder.core import events
from autoencoder.core.errors import ModelFileError
from autoencoder.core.events import AdaptationEvent, read_adaptations, write_adaptations
from autoencoder.core.state import Reader, State, from_files, to_files
from autoencoder.core.types import Array, Bools, Time
from autoencoder.detector import StreamDetector
from autoencoder.scorers import Scorer
from autoencoder.slots import SlotFiller

MIN_WINDOW = 16  # points; a scorer that looks back on fewer gets blocks of
SHORT_BLOCK = 48  # points, for a block must say something of level and scale
HOLDOUT_SHARE = 0.25  # newest share of the points that candidates are backtested on
MIN_BLOCKS = 3  # in the holdout, and as many clean windows to train on

Build = Callable[[Scorer, int], StreamDetector]


class ModelUpdater:
    """Keeps the model of one stream up to date.

    The stream has changed once a ``DriftMonitor`` says so. Then, or when the ``Schedule`` does, a candidate is trained on the newest points
    that are not excluded from training. It is promoted where it beats the current model on a holdout, the newest of these points. For
    ``confirm_windows`` blocks the previous model runs in shadow mode, and is rolled back to where it would have been better.

    Arguments are those of ``AdaptiveDetector``.

    Attributes:
        detector: the current one.
        kind: of its scorer, MODEL or BASELINE.
        events: what was done so far.
    """

    def __init__(self, build: Build, model: ScorerSpec, trainer: Trainer, config: AdaptationConfig) -> None:
        self._build_detector = build
        self._specs = {MODEL: model, BASELINE: BASELINE_SPEC}
        self._trainer = trainer
        self._config = config
        self.kind = BASELINE if config.cold_start_points else MODEL
        self.detector = self._build(self.kind)
        self.events: list[AdaptationEvent] = []
        self._history = HistoryBuffer(config.buffer_points)
        self._drift = DriftMonitor(config.confirm_windows)
        self._schedule = Schedule(config)
        self._rollback: RollbackMonitor | None = None
        self._taught = 0  # points seen when the candidate in training has learnt its last one
        self._row = -1
        self._time: np.generic = np.int64(0)  # of the newest block's last point

    def _build(self, kind: str) -> StreamDetector:
        if kind not in self._specs:
            raise ModelFileError(
                f"the saved state of the adaptation cannot be used: kind is {kind:.40}; run anew without --resume"
            )
        points = self._config.cold_start_points if kind == BASELINE else None
        detector = self._build_detector(self._specs[kind].create(), points or self._config.training_points)
        if kind == BASELINE:
            detector.slots = None  # too few points to tell the season that fills gaps
        return detector

    @property
    def block_size(self) -> int:
        """Points of the next block."""
        span = self.detector.scorer.window
        return span if self.kind == MODEL and span >= MIN_WINDOW else SHORT_BLOCK

    @property
    def lacks_model(self) -> str:
        """Why a baseline detects; empty where a model does."""
        if self.kind == MODEL:
            return ""
        dropped = [event.details["why"] for event in self.events if event.event == events.DROPPED]
        reason = f"the model that was tried last was no better: {dropped[-1]}" if dropped else "too few points have come"
        return f"a forecast detects until a model is trained on the first {self._config.training_points:,} points; {reason}"

    def start(self, time: Time, values: Array) -> None:
        """The training part (N,), (N, F) is over: it is the first history, and the reference for drift."""
        if self.kind == BASELINE:
            self._history.add(Block.unjudged(time, values, np.full(len(values), np.nan)))
            return
        slots = _complete(SlotFiller().fit(time, values) if self.detector.slots else values)
        self._begin_after(_unjudged(time, slots, _last(self.detector.calibration_errors, len(slots))))

    def _begin_after(self, slots: Block) -> None:
        """Slots are the whole history, and the reference for drift."""
        self._history.begin_with(slots)
        self._history.seen = max(self._history.seen, len(slots))
        self._drift.set_reference(slots.values, slots.judged_errors, self.block_size)

    def update(self, block: Block, row: int, time: np.generic) -> None:
        """A block is full, with the point of a row and time."""
        self._row, self._time, drift = row, time, None
        exclude(self.detector.scorer, block.anomalies, block.errors)
        if self.kind == BASELINE:
            self._history.add(block)
        else:
            block, size, history = block[block.is_complete], self.block_size, self._history
            previous = history.values[-size:] if len(history) >= size else None
            history.add(block)
            drift = self._drift.update(block, previous)
        if self._rollback:
            self._rollback.update(block)
            if self._rollback.blocks >= self._config.confirm_windows:
                self._confirm_or_roll_back(self._rollback)
        self._consider_training(drift)
        if result := self._trainer.poll():
            self._promote_or_drop(result)

    def stop(self) -> None:
        """Cancel a training in progress."""
        self._trainer.stop()

    def _record(self, event: str, **details: object) -> None:
        time, is_date = int(self._time.astype(np.int64)), self._time.dtype.kind == "M"
        self.events.append(AdaptationEvent(self._row, time, is_date, event, details))

    # --- train ---

    def _consider_training(self, drift: Drift | None) -> None:
        """Start a training, if there is a reason, enough to learn from and a free trainer."""
        if self._rollback:
            return
        seen, schedule = self._history.seen, self._schedule
        if schedule.update(seen, self.block_size, drift, is_baseline=self.kind == BASELINE) and drift:
            self._record(events.DECLARED, tests=list(drift.tests), since_points=drift.blocks * self.block_size)
        if schedule.reason and self._trainer.is_free and (job := self._job()):
            schedule.start(seen)
            self._record(events.STARTED, reason=schedule.reason, points=int((~np.isnan(job.training).any(axis=1)).sum()))
            self._trainer.submit(job)

    def _job(self) -> TrainingJob | None:
        """A training on the points since the change; None while those are too few."""
        size, history = self.block_size, self._history
        if is_first := self.kind == BASELINE:  # a model copes with anomalies in its first training part, as without adaptation
            rows, detector = history.slots[history.slots.is_row], self._build(MODEL)
            values = _complete(detector.slots.fit(rows.time, rows.values) if detector.slots else rows.values)
            clean = ~outlier_rows(values)
        else:
            count = min(history.seen - self._schedule.since, len(history))
            values, clean = history.values[-count:], self._trainable(count)
        holdout = max(MIN_BLOCKS * size, round(HOLDOUT_SHARE * len(values)))
        windows = int(clean_windows(clean[:-holdout], size)[size - 1 :].sum())
        if windows < MIN_BLOCKS * size or clean[-holdout:].sum() < size:
            return None
        self._taught = history.seen - (0 if is_first else holdout)
        scorer = self.detector.scorer
        return TrainingJob(
            current=SavedScorer(self._specs[self.kind], scorer.state(), scorer.artifacts(), self.detector.calibration_errors),
            candidate=self._specs[MODEL],
            training=(values if is_first else np.where(clean[:, None], values, np.nan))[:-holdout],
            holdout=values[-holdout:].copy(),
            clean=clean[-holdout:],
            window=size,
        )

    def _trainable(self, count: int) -> Bools:
        """Which of the newest ``count`` (K) points may be learnt (K,)."""
        schedule = self._schedule
        trusted = self._history.seen - schedule.promoted if schedule.promoted > schedule.since else 0
        return trainable_rows(self._history, count, self.block_size, None if schedule.reason == TIME else trusted)

    # --- promote or drop ---

    def _promote_or_drop(self, result: TrainingResult) -> None:
        """A candidate is trained and backtested."""
        reason = self._schedule.reason
        if rejection := result.rejection or self._promote(result.scorer):
            self._record(events.DROPPED, reason=reason, why=rejection, **result.figures)
            if self._schedule.drop(was_tried=bool(result.figures)):
                self._drift.accept()
        else:
            self._schedule.promote(self._history.seen)
            self._record(events.PROMOTED, reason=reason, **result.figures)

    def _promote(self, saved: SavedScorer | None) -> str:
        """Make a candidate the current model; returns why not, if it cannot be."""
        assert saved
        try:
            candidate = saved.load()
        except ModelFileError as error:
            return str(error)
        history = self._history
        if self.kind == BASELINE:
            self._begin_with(candidate, saved.calibration_errors)
            return ""
        behind = min(history.seen - self._taught, len(history))
        since = max(behind, min(history.seen - self._schedule.since, len(history)))
        values, clean = history.values[-behind:], self._trainable(since)[-behind:]
        errors, _ = candidate.process(values)  # it catches up on what came since its training part
        exclude(candidate, ~clean, errors)
        window = max(candidate.window, MIN_WINDOW)
        usable = errors[window:][clean_rows(clean[window:] & ~np.isnan(errors[window:]), window)]
        if len(usable) < window:
            return "too few points were left to set its threshold by"
        before = slice(0, len(history) - since)
        older = history.errors[before][clean_windows(~history.anomalies[before], self.block_size)]  # it echoes in those after it
        self._rollback = RollbackMonitor(self.detector, self.kind)
        calibration = calibration_set(usable, [self.detector.calibration_errors, older])
        self.detector = self.detector.with_scorer(candidate, calibration, history.values[-since:])
        self.kind = MODEL
        history.replace_errors(errors)
        self._drift.set_reference(values, errors, self.block_size)
        return ""

    def _begin_with(self, scorer: Scorer, calibration: Array) -> None:
        """Let the first model take over from the baseline, as it would begin without adaptation."""
        taught = len(self._history) - min(self._history.seen - self._taught, len(self._history))
        known, since = self._history.slots[:taught], self._history.slots[taught:]
        known = known[known.is_row]
        detector = self._build_detector(scorer, self._config.training_points)
        slots = _complete(detector.learn(known.time, known.values, calibration))
        parts = [_unjudged(known.time, slots, _last(calibration, len(slots)))]
        if len(since):
            values, ends = detector.fill(since.time, since.values)
            is_row = np.isin(np.arange(1, len(values) + 1), ends) if ends is not None else since.is_row
            time = since.time[np.full(len(values), -1)]
            parts.append(Block.of(detector.detect(time, values, is_row), is_row))
            exclude(scorer, parts[-1].anomalies, parts[-1].errors)
        self._rollback = RollbackMonitor(self.detector, self.kind)
        self.detector, self.kind = detector, MODEL
        whole = Block.concatenate(parts)
        self._begin_after(whole[whole.is_complete])

    # --- confirm or roll back ---

    def _confirm_or_roll_back(self, monitor: RollbackMonitor) -> None:
        """The time of the previous model is over: the better one stays."""
        self._rollback = None
        if monitor.is_better:
            monitor.detector.position = self.detector.position  # it was given slots
            if monitor.kind == MODEL:
                monitor.detector.slots = self.detector.slots
            self.detector, self.kind = monitor.detector, monitor.kind
            self._history.replace_errors(np.empty(0))
            self._drift.reset()
            self._record(events.ROLLED_BACK, **monitor.report())
        else:
            self._record(events.CONFIRMED, **monitor.report())
            if monitor.kind == MODEL:
                self._recalibrate(monitor.blocks * self.block_size)

    def _recalibrate(self, points: int) -> None:
        """Calibrate the threshold anew on the first ``points`` of a promoted model, which tell more than its holdout."""
        history = self._history
        errors, outliers = history.errors[-points:], outlier_rows(history.values[-points:])
        usable = errors[clean_rows(~(history.anomalies[-points:] | outliers | np.isnan(errors)), self.block_size)]
        if len(usable) >= self.block_size:
            calibration = calibration_set(usable, [self.detector.calibration_errors])
            self.detector = self.detector.with_scorer(self.detector.scorer, calibration)

    # --- state ---

    def state(self) -> State:
        """Everything remembered, artifacts included; a training in progress starts anew after ``load``."""
        return {
            "kind": self.kind,
            "present": self.detector.state(),
            "files": from_files(self.detector.scorer.artifacts()) if self.detector.trained else {},
            "recent": self._history.state(),
            "watch": self._drift.state(),
            "schedule": self._schedule.state(),
            "probation": self._rollback.state() if self._rollback else {},
            "adaptations": write_adaptations(self.events),
        }

    def load(self, state: State) -> None:
        """Restore ``state``.

        Raises:
            ModelFileError: damaged, or of another kind of detector.
        """
        saved = Reader(state, "the adaptation")
        self.stop()
        self.kind = saved.text("kind")
        self.detector = self._build(self.kind)
        self.detector.load(saved.state("present"), to_files(saved.state("files")))
        self._history.load(saved.state("recent"))
        self._drift.load(saved.state("watch"))
        self._schedule.load(saved.state("schedule"))
        probation = saved.state("probation")
        self._rollback = RollbackMonitor.load(probation, self._build) if probation else None
        self.events = read_adaptations(saved.text("adaptations"))


def _last(errors: Array, count: int) -> Array:
    """The newest ``count`` (N,) of errors (M,), NaN before them where these are fewer."""
    known = errors[max(0, len(errors) - count) :]
    return np.concatenate([np.full(count - len(known), np.nan), known])


def _complete(slots: Array) -> Array:
    """Slots (N, F) without those that have a missing value."""
    return np.asarray(slots[~np.isnan(slots).any(axis=1)])


def _unjudged(time: Time, slots: Array, errors: Array) -> Block:
    """Slots (M, F) with errors (M,) that were made of rows at times (N,)."""
    return Block.unjudged(time[np.full(len(slots), -1)], slots, errors)
