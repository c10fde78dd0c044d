"""ModelUpdater: decides after each block of a stream whether to train, promote or roll back a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoencoder.adaptation import first_model
from autoencoder.adaptation.buffer import MIN_WINDOW, SHORT_BLOCK, Block, HistoryBuffer, Slots
from autoencoder.adaptation.cleaning import calibration_set, clean_rows, clean_windows, outlier_rows, trainable_rows
from autoencoder.adaptation.drift import Drift, DriftMonitor
from autoencoder.adaptation.retraining import BASELINE, BASELINE_SPEC, MODEL, SavedScorer, ScorerSpec, TrainingJob, TrainingResult
from autoencoder.adaptation.rollback import RollbackMonitor
from autoencoder.adaptation.schedule import FIRST, SEASON, TIME, AdaptationConfig, Schedule
from autoencoder.adaptation.trainer import Trainer
from autoencoder.core import events
from autoencoder.core.errors import ModelFileError
from autoencoder.core.events import AdaptationEvent, read_adaptations, write_adaptations
from autoencoder.core.state import MAX_INTEGER, Reader, State, from_files, to_files
from autoencoder.core.types import Array, Bools, Time
from autoencoder.detector import StreamDetector
from autoencoder.scorers import Scorer

MIN_BLOCKS = 3  # in the holdout, and as many clean windows to train on

Build = Callable[[Scorer, int], StreamDetector]


class ModelUpdater:
    """Keeps the model of one stream up to date.

    The stream has changed once a ``DriftMonitor`` says so. Then, or when the ``Schedule`` does, a candidate is trained on the newest points
    that are not excluded from training. It is promoted where it beats the current model on a holdout, the newest of these points. The
    previous model then runs in shadow mode for as many blocks as a change must stay, and is rolled back to where it would have been better.

    Arguments are those of ``AdaptiveDetector``.
    """

    def __init__(self, build: Build, model: ScorerSpec, trainer: Trainer, config: AdaptationConfig) -> None:
        self._build_detector = build
        self._specs = {MODEL: model, BASELINE: BASELINE_SPEC}
        self._trainer = trainer
        self._config = config
        self.kind = BASELINE if config.cold_start_points else MODEL  # of the current scorer
        self.detector = self._build(self.kind)  # the current one
        self.events: list[AdaptationEvent] = []  # what was done so far
        self._history, self._drift = HistoryBuffer(config.buffer_points, config.confirmed), DriftMonitor(config.confirm_windows)
        self._schedule = Schedule(config)
        self._rollback: RollbackMonitor | None = None
        self._learnt = 0 if config.cold_start_points else MAX_INTEGER  # by the newest training anew; a saved model does not tell
        self._taught = 0  # points seen when the candidate in training has learnt its last one
        self._row = -1
        self._time: np.generic = np.int64(0)  # of the newest block's last point

    def _build(self, kind: str) -> StreamDetector:
        if kind not in self._specs:
            raise ModelFileError(f"the saved state of the adaptation is damaged: kind is {kind:.40}; run anew without --resume")
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
        return "" if self.kind == MODEL else first_model.lacks_model(self.events, self._config.training_points)

    def lacks_season(self, seen: int) -> str:
        """See ``Detector.lacks_season``, after so many points."""
        room, looks = self._config.buffer_points, self._config.finds_seasons
        return first_model.lacks_season(self.detector, self._learnt, seen, room) if looks else self.detector.lacks_season

    def start(self, time: Time, values: Array) -> None:
        """The training part (N,), (N, F) is over: it is the first history, and the reference for drift."""
        if self.kind == BASELINE:
            self._history.add(Block.unjudged(Slots.of((values, None), time, values), np.full(len(values), np.nan)))
        else:
            self._begin_after(first_model.training_part(self.detector, time, values))

    def _begin_after(self, slots: Block) -> None:
        """Slots are the whole history, and the reference for drift."""
        self._history.begin_with(slots)
        self._learnt = len(slots)
        self._drift.set_reference(slots.values, slots.judged_errors, self.block_size)

    @property
    def is_calm(self) -> bool:
        """Whether the model stays as it is until there is a reason for a training."""
        return self.kind == MODEL and not (self._rollback or self._schedule.reason)

    def update(self, block: Block, row: int, time: np.generic, settle: Callable[[], object]) -> None:
        """A block is full, with the point of a row and time; ``settle`` lets the detector stand there."""
        self._row, self._time, drift = row, time, None
        self._drift.confirm = self._config.confirm_blocks(self.detector.interval, self.block_size)
        if self.kind == BASELINE:
            self._history.add(block)
        else:
            block, previous = block[block.is_complete], self._history.newest(self.block_size)
            self._history.add(block)
            drift = self._drift.update(block, previous)
        if monitor := self._rollback:
            monitor.update(block)
            if monitor.blocks >= self._drift.confirm or monitor.is_useless:
                self._confirm_or_roll_back(monitor)
        self._consider_training(drift, settle)
        if result := self._trainer.poll():
            self._promote_or_drop(result)

    def stop(self) -> None:
        """Cancel a training in progress."""
        self._trainer.stop()

    def _record(self, event: str, **details: object) -> None:
        time, is_date = int(self._time.astype(np.int64)), self._time.dtype.kind == "M"
        self.events.append(AdaptationEvent(self._row, time, is_date, event, details))

    # --- train ---

    def _consider_training(self, drift: Drift | None, settle: Callable[[], object]) -> None:
        """Start a training, if there is a reason, enough to learn from and a free trainer."""
        if self._rollback:
            return
        seen, schedule, is_baseline = self._history.seen, self._schedule, self.kind == BASELINE
        may_find = self._config.finds_seasons and not is_baseline
        may_find = may_find and first_model.can_find_season(self.detector, self._learnt, len(self._history))
        if schedule.update(seen, self.block_size, drift, is_baseline=is_baseline, finds_season=may_find) and drift:
            self._record(events.DECLARED, tests=list(drift.tests), since_points=drift.blocks * self.block_size)
        if not (schedule.reason and self._trainer.is_free):
            return
        settle()
        if job := self._job():
            schedule.start(seen)
            self._record(events.STARTED, reason=schedule.reason, points=int((~np.isnan(job.training).any(axis=1)).sum()))
            self._trainer.submit(job)
        else:
            schedule.wait()

    def _job(self) -> TrainingJob | None:
        """A training on the points since the change; None while those are too few."""
        size, history = self.block_size, self._history
        if is_anew := self.kind == BASELINE or self._schedule.reason == SEASON:
            values = first_model.training_slots(self._build(MODEL), history.rows)
            clean, self._learnt = ~outlier_rows(values), len(history)
        else:
            count = min(history.seen - self._schedule.since, len(history))
            values, clean = history.values[-count:], self._trainable(count)
        holdout = max(MIN_BLOCKS * size, round(first_model.HOLDOUT_SHARE * len(values)))
        windows = int(clean_windows(clean[:-holdout], size)[size - 1 :].sum())
        if windows < MIN_BLOCKS * size or clean[-holdout:].sum() < size:
            return None
        self._taught, scorer = history.seen - (0 if is_anew else holdout), self.detector.scorer
        return TrainingJob(
            current=SavedScorer(self._specs[self.kind], scorer.state(), scorer.artifacts(), self.detector.calibration_errors),
            candidate=self._specs[MODEL],
            training=(values if is_anew else np.where(clean[:, None], values, np.nan))[:-holdout],
            holdout=values[-holdout:].copy(),
            clean=clean[-holdout:],
            window=size,
            day=self.detector.slots.day if self.detector.slots else 0,
            is_anew=is_anew,
            only_if_unfit=self._schedule.reason == events.DRIFT,
        )

    def _trainable(self, count: int) -> Bools:
        """Which of the newest ``count`` (K) points may be learnt (K,)."""
        trusted = self._history.seen - schedule.promoted if (schedule := self._schedule).promoted > schedule.since else 0
        return trainable_rows(self._history, count, self.block_size, None if schedule.reason == TIME else trusted)

    # --- promote or drop ---

    def _promote_or_drop(self, result: TrainingResult) -> None:
        """A candidate is trained and backtested."""
        reason = self._schedule.reason
        if rejection := result.rejection or self._promote(result.scorer):
            self._record(events.DROPPED, reason=reason, why=rejection, **result.figures)
            if self._schedule.drop(was_tried=bool(result.figures), is_needless=result.is_needless):
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
        if self._schedule.reason in (FIRST, SEASON):
            self._begin_anew(candidate, saved.calibration_errors)
            return ""
        behind = min(history.seen - self._taught, len(history))
        since = max(behind, min(history.seen - self._schedule.since, len(history)))
        values, clean = history.values[-behind:], self._trainable(since)[-behind:]
        errors, _ = candidate.process(values)  # it catches up on what came since its training part
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

    def _begin_anew(self, scorer: Scorer, calibration: Array) -> None:
        """Let a model take over as it would begin without adaptation."""
        history = self._history
        taught = len(history) - min(history.seen - self._taught, len(history))
        rows, since = history.slots[:taught], history.slots[taught:]
        detector = self._build_detector(scorer, self._config.training_points)
        slots = first_model.begin(detector, calibration, rows[rows.is_row], since)
        self._rollback = RollbackMonitor(self.detector, self.kind, is_anew=True)
        self.detector, self.kind = detector, MODEL
        self._begin_after(slots)

    # --- confirm or roll back ---

    def _confirm_or_roll_back(self, monitor: RollbackMonitor) -> None:
        """The time of the previous model is over: the better one stays."""
        self._rollback = None
        if monitor.is_better:
            monitor.detector.position = self.detector.position  # it was given slots
            monitor.detector.slots = self.detector.slots if monitor.kind == MODEL else None
            self.detector, self.kind = monitor.detector, monitor.kind
            self._history.replace_errors(np.empty(0))
            self._drift.reset()
            self._schedule.roll_back()
            self._record(events.ROLLED_BACK, **monitor.report())
        else:
            self._record(events.CONFIRMED, **monitor.report())
            if not monitor.is_anew:
                self._recalibrate(monitor.blocks * self.block_size)

    def _recalibrate(self, points: int) -> None:
        """Calibrate the threshold anew on the first ``points`` of a promoted model, which tell more than its holdout."""
        newest = self._history.slots[-points:]
        errors, unusual = newest.judged_errors, newest.anomalies | outlier_rows(newest.values)
        usable = errors[clean_rows(~(unusual | np.isnan(errors)), self.block_size)]
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
            "learnt": self._learnt,
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
        self._learnt = saved.integer("learnt", 0)
        self._rollback = RollbackMonitor.load(saved.state("probation"), self._build)
        self.events = read_adaptations(saved.text("adaptations"))
