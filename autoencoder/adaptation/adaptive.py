"""AdaptiveDetector: a detector that is replaced by a better one when the stream has changed for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter

import numpy as np

from autoencoder.adaptation.calibration import calm_rows, carried, untouched
from autoencoder.adaptation.drift import Drift
from autoencoder.adaptation.job import BASELINE, MODEL, Job, Result, freeze_files, thaw_files
from autoencoder.adaptation.probation import Probation
from autoencoder.adaptation.quarantine import normal_rows
from autoencoder.adaptation.recent import Block, Bools, Recent
from autoencoder.adaptation.schedule import FIRST, TIME, Policy, Schedule
from autoencoder.adaptation.season import unusual_rows
from autoencoder.adaptation.shadow import Shadow
from autoencoder.adaptation.watch import Watch
from autoencoder.core.errors import ModelError
from autoencoder.core.events import (
    CONFIRMED,
    DECLARED,
    DROPPED,
    EVENTS,
    PROMOTED,
    ROLLED_BACK,
    STARTED,
    AdaptationEvent,
    read_adaptations,
    write_adaptations,
)
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector, Time
from autoencoder.scorers.base import Array, Refittable, Scorer

SHORT_SPAN = 16  # points; where a judgement looks back on fewer, blocks are
SHORT_BLOCK = 48  # points long, for a block must say something of level and scale
HELD_BACK = 0.25  # newest share of the recent points that candidates are tried on
FEWEST_BLOCKS = 3  # held back, and as many windows without a gap to train on


class AdaptiveDetector:
    """Judges as ``StreamDetector`` does, and sees to it that the detector still fits the stream.

    The stream is looked at in blocks of one window. A ``Watch`` says of every block whether what goes on has to be taken for the new
    normal. Then, or after ``every`` points, a candidate is trained on the recent points that are out of quarantine.
    It takes over where it beats the present model on the newest points, which it was not trained on. For ``patience``
    blocks the model before it judges along, and comes back where it would have been better after all.

    Only whole blocks move anything, and their places do not depend on how the stream is cut: with a shadow that trains in step,
    detections do not either.

    Args:
        build: makes an untrained detector, of the kind MODEL or BASELINE.
        shadow: trains candidates.
        policy: when to.
        kind: what judges first.
    """

    def __init__(self, build: Callable[[str], StreamDetector], shadow: Shadow, policy: Policy, kind: str = MODEL) -> None:
        self._build = build
        self._shadow = shadow
        self._policy = policy
        self._kind = kind
        self._present = build(kind)
        self._recent = Recent(policy.history)
        self._watch = Watch(policy.patience)
        self._block = Block()  # the one that is not full yet
        self._row = -1  # of the last point
        self._now: tuple[int, bool] = (0, False)  # its time, and whether that is a date
        self._schedule = Schedule(policy)
        self._split = 0  # first point that was held back from the candidate under way
        self._is_training = False
        self._probation: Probation | None = None
        self.adaptations: list[AdaptationEvent] = []
        self.longest_pause = 0.0  # seconds

    # --- what a detector is ---

    @property
    def scorer(self) -> Scorer:
        """The one that judges now."""
        return self._present.scorer

    @property
    def trained(self) -> bool:
        """Whether points are judged."""
        return self._present.trained

    @property
    def waiting(self) -> int:
        """Points of the training part seen so far; 0 once trained."""
        return self._present.waiting

    @property
    def training_points(self) -> int:
        """Length of the training part."""
        return self._present.training_points

    @training_points.setter
    def training_points(self, points: int) -> None:
        self._present.training_points = points

    @property
    def share(self) -> float:
        """Share of normal points that may be flagged."""
        return self._present.share

    @property
    def training_seconds(self) -> float:
        """Seconds that the first training took."""
        return self._present.training_seconds

    @property
    def has_model(self) -> bool:
        """Whether what judges can be saved for other streams."""
        return self.trained and self._kind == MODEL

    def training_report(self) -> dict[str, object]:
        """What there is to know about training."""
        return self._present.training_report()

    def adaptation_report(self) -> dict[str, object]:
        """How often what was done, until which row a baseline judged (None: to the end), and the longest pause."""
        counts = {event: sum(each.event == event for each in self.adaptations) for event in EVENTS}
        firsts = [each.row for each in self.adaptations if each.event == PROMOTED and each.details["reason"] == FIRST]
        began = {"baseline_until_row": firsts[0] if firsts else None} if self._kind == BASELINE or firsts else {}
        return {
            **{event.replace(" ", "_"): count for event, count in counts.items()},
            **began,
            "longest_pause": self.longest_pause,
        }

    def stop(self) -> None:
        """The stream is over: nothing is trained any more."""
        self._shadow.stop()

    def process(self, time: Time, values: Array) -> Detections:
        """Points (N,), (N, F) -> their detections; see ``StreamDetector.process``."""
        if self._present.trained:
            return self._judge(time, values)
        rest = self.training_points - self.waiting
        seen = [part for part in (self._present.opening, values[:rest]) if len(part)]
        head = self._present.process(time[:rest], values[:rest])
        self._row += len(head)
        if not self._present.trained:
            return head
        self._begin(np.concatenate(seen))
        return Detections.concatenate([head, self._judge(time[rest:], values[rest:])])

    def expect(self, values: Array, after: Array) -> None:
        """Values that come: of no use here, as what judges them may be another by then."""

    def _begin(self, opening: Array) -> None:
        """The training part (N, F) is over: what it looked like is the reference."""
        valid = opening[~np.isnan(opening).any(axis=1)]
        errors = np.full(len(valid), np.nan)
        known = self._present.normal_errors[-len(valid) :]
        errors[len(valid) - len(known) :] = known
        self._recent.take(valid, errors, np.zeros(len(valid), dtype=bool))
        self._watch.refer(valid, errors, self._size)

    def _judge(self, time: Time, values: Array) -> Detections:
        parts = []
        while len(values):
            valid = np.asarray(~np.isnan(values).any(axis=1))
            stop = int(np.searchsorted(np.cumsum(valid), self._size - self._block.points)) + 1
            detections = self._present.process(time[:stop], values[:stop])
            parts.append(detections)
            rows = valid[:stop]
            self._block.take(
                values[:stop][rows], detections.errors[rows], detections.anomalies[rows], detections.predictions[rows]
            )
            self._row += len(detections)
            if self._block.points == self._size:
                self._now = int(time[len(detections) - 1].astype(np.int64)), time.dtype.kind == "M"
                self._turn()
            time, values = time[stop:], values[stop:]
        return Detections.concatenate(parts) if parts else self._present.process(time, values)

    @property
    def _size(self) -> int:
        """Points of a block."""
        return self.scorer.window if self._kind == MODEL and self.scorer.window >= SHORT_SPAN else SHORT_BLOCK

    # --- what happens between two blocks ---

    def _turn(self) -> None:
        """A block is full."""
        began = perf_counter()
        values, errors, flags, predictions = self._block.empty()
        before = self._recent.values[-self._size :] if len(self._recent) >= self._size else None
        self._recent.take(values, errors, flags)
        if isinstance(self.scorer, Refittable):
            self.scorer.exclude(flags[~np.isnan(errors)])
        drift = self._watch.take(values, before, errors, flags)
        if self._probation:
            self._try_out(values, predictions, flags)
        if not self._is_training:
            self._consider(drift)
        if self._is_training and (result := self._shadow.poll()):
            self._decide(result)
        self.longest_pause = max(self.longest_pause, perf_counter() - began)

    def _try_out(self, values: Array, predictions: Array, flags: Bools) -> None:
        """Let the model before judge a block, too; at the end of its time the better one stays."""
        assert self._probation
        self._probation.take(values, predictions, flags)
        if self._probation.blocks < self._policy.patience:
            return
        old, self._probation = self._probation, None
        if not old.is_better:
            self._record(CONFIRMED, **old.report())
            self._recalibrate(old.blocks * self._size)
            return
        self._present, self._kind = old.detector, old.kind
        self._recent.rejudge(np.empty(0))
        self._watch.forget()
        self._record(ROLLED_BACK, **old.report())

    def _recalibrate(self, points: int) -> None:
        """Set the threshold by what a new model said of its first points: the few it was tried on tell less."""
        errors, unusual = self._recent.errors[-points:], unusual_rows(self._recent.values[-points:])
        calm = errors[calm_rows(~(self._recent.flags[-points:] | unusual | np.isnan(errors)), self._size)]
        if len(calm) >= self._size:
            self._present = self._present.succeeded_by(self.scorer, carried(calm, [self._present.normal_errors]))

    def _consider(self, drift: Drift | None) -> None:
        """Begin a training, if there is reason to and enough to learn from."""
        if self._probation:
            return
        seen = self._recent.seen
        if self._schedule.look(seen, self._size, drift, is_baseline=self._kind == BASELINE) and drift:
            self._record(DECLARED, tests=list(drift.tests), since_points=drift.blocks * self._size)
        if self._schedule.reason and (job := self._job()):
            self._is_training = True
            self._schedule.begin(seen)
            self._record(STARTED, reason=self._schedule.reason, points=int((~np.isnan(job.training).any(axis=1)).sum()))
            self._shadow.begin(job)

    def _job(self) -> Job | None:
        """A training on the points since the change; None while those are too few."""
        count = min(self._recent.seen - self._schedule.since, len(self._recent))
        values, normal = self._recent.values[-count:], self._normal(count, self._schedule.reason)
        held_back = max(FEWEST_BLOCKS * self._size, round(HELD_BACK * count))
        training = np.where(normal[:, None], values, np.nan)[:-held_back]
        whole = int(untouched(normal[:-held_back], self._size)[self._size - 1 :].sum())
        if whole < FEWEST_BLOCKS * self._size or normal[-held_back:].sum() < self._size:
            return None
        self._split = self._recent.seen - held_back
        return Job(
            kind=self._kind,
            state=self.scorer.state(),
            files=self.scorer.artifacts(),
            usual=self._present.normal_errors,
            training=training,
            held_back=values[-held_back:].copy(),
            normal=normal[-held_back:],
            span=self._size,
        )

    def _normal(self, count: int, reason: str) -> Bools:
        """Which of the newest points (K,) are out of quarantine."""
        schedule, seen = self._schedule, self._recent.seen
        judged = seen - schedule.promoted if schedule.promoted > schedule.since else 0
        return normal_rows(self._recent, count, self._size, None if reason == TIME else judged)

    def _decide(self, result: Result) -> None:
        """A candidate is trained and tried: it takes over or is dropped."""
        reason, self._is_training = self._schedule.reason, False
        if fault := result.fault or self._promote(result, reason):
            self._record(DROPPED, reason=reason, why=fault, **result.figures)
            if self._schedule.drop(tried=bool(result.figures)):
                self._watch.accept()
            return
        self._schedule.promote(self._recent.seen)
        self._record(PROMOTED, reason=reason, **result.figures)

    def _promote(self, result: Result, reason: str) -> str:
        """Put a candidate in the present model's place; returns why not, if it cannot be."""
        candidate = self._build(MODEL).scorer
        try:
            candidate.load(result.state, result.files)
        except ModelError as error:
            return str(error)
        caught_up = min(self._recent.seen - self._split, len(self._recent))
        since = max(caught_up, min(self._recent.seen - self._schedule.since, len(self._recent)))
        values, normal = self._recent.values[-caught_up:], self._normal(since, reason)[-caught_up:]
        errors, _ = candidate.process(values)  # it has to know what came since its training part
        if isinstance(candidate, Refittable):
            candidate.exclude(~normal[~np.isnan(errors)])
        block = max(candidate.window, SHORT_SPAN)
        calm = errors[block:][calm_rows(normal[block:] & ~np.isnan(errors[block:]), block)]
        if len(calm) < block:
            return "too few points were left to set its threshold by"
        older = self._recent.errors[: len(self._recent) - since][~self._recent.flags[: len(self._recent) - since]]
        self._probation = Probation(self._present, self._kind)
        self._present = self._present.succeeded_by(candidate, carried(calm, [self._present.normal_errors, older]))
        self._kind = MODEL
        self._recent.rejudge(errors)
        self._watch.refer(values, errors, self._size)
        return ""

    def _record(self, event: str, **details: object) -> None:
        self.adaptations.append(AdaptationEvent(self._row, *self._now, event, details))

    # --- memory ---

    def adopt(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take what was learnt from a saved detector; see ``StreamDetector.adopt``."""
        self._present.adopt(state, files)

    def saved_model(self) -> State:
        """State of the detector that judges now, for ``adopt``."""
        return self._present.state()

    def state(self) -> State:
        """All that is remembered, files included; a training under way begins anew after ``load``."""
        return {
            "kind": self._kind,
            "present": self._present.state(),
            "files": freeze_files(self.scorer.artifacts()) if self.trained else {},
            "recent": self._recent.state(),
            "watch": self._watch.state(),
            "block": self._block.state(),
            "row": self._row,
            "schedule": self._schedule.state(),
            "probation": self._probation.state() if self._probation else {},
            "adaptations": write_adaptations(self.adaptations),
        }

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave; ``files`` are those of the folder, which may be newer or older.

        Raises:
            ModelError: damaged, or of another kind of detector.
        """
        saved = Reader(state, "the adaptation")
        self._kind = saved.text("kind")
        if self._kind not in (MODEL, BASELINE):
            raise ModelError(
                f"the saved state of the adaptation cannot be used: kind is {self._kind:.40}; run anew without --resume"
            )
        self._present = self._build(self._kind)
        self._present.load(saved.state("present"), thaw_files(saved.state("files")))
        self._recent.load(saved.state("recent"))
        self._watch.load(saved.state("watch"))
        self._block.load(saved.state("block"))
        self._row = saved.integer("row", -1)
        self._schedule.load(saved.state("schedule"))
        probation = saved.state("probation")
        self._probation = Probation.load(probation, self._build) if probation else None
        self.adaptations = read_adaptations(saved.text("adaptations"))
