"""AdaptiveDetector: a detector whose model is replaced by a better one when the stream has changed for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter

import numpy as np

from autoencoder.adaptation.buffer import BlockBuffer, Slots
from autoencoder.adaptation.retraining import BASELINE, MODEL, ScorerSpec
from autoencoder.adaptation.schedule import FIRST, AdaptationConfig
from autoencoder.adaptation.trainer import Trainer
from autoencoder.adaptation.updater import Build, ModelUpdater
from autoencoder.core.events import EVENTS, PROMOTED, AdaptationEvent
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Detections
from autoencoder.detector import Detector, StreamDetector, Time


class LookAhead:
    """Lets a detector judge slots beyond the end of a block, as long as nothing is about to change the model: that is many times as fast.

    Args:
        slots: those that have come.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._found: Detections | None = None  # of slots from ``_first`` on, beyond those that were asked for
        self._first = 0
        self._detector: StreamDetector
        self._before: State = {}  # of the detector, at the first of them

    def detect(self, detector: StreamDetector, part: slice, *, may_go_on: bool) -> Detections:
        """Detections of the next slots; the detector goes on with all the others where it may."""
        if not self._found:
            if not may_go_on or part.stop == len(self._slots):
                return self._judge(detector, part)
            self._detector, self._before, self._first = detector, detector.state(), part.start
            self._found = self._judge(detector, slice(part.start, None))
        return self._found[part.start - self._first : part.stop - self._first]

    def return_to(self, done: int) -> None:
        """Let the detector stand behind the slots that are ``done``."""
        if self._found:
            self._found = None
            self._detector.load(self._before, self._detector.scorer.artifacts())
            self._judge(self._detector, slice(self._first, done))

    def _judge(self, detector: StreamDetector, part: slice) -> Detections:
        slots = self._slots
        return detector.detect(slots.time[part], slots.values[part], slots.is_row[part], slots.seen[part])


class AdaptiveDetector(Detector):
    """Detects as ``StreamDetector`` does, while a ``ModelUpdater`` keeps its model fitting the stream.

    The updater acts only between two blocks of one window each, counted in slots (see ``SlotFiller``). Their places do not depend on how
    the stream is cut into chunks, so with a ``SyncTrainer`` detections do not either.

    Args:
        build: makes an untrained detector of a scorer and the length of its training part.
        model: the scorer.
        trainer: trains candidates for its place.
        config: when to adapt.

    Examples:
        >>> from autoencoder.adaptation.trainer import SyncTrainer
        >>> from autoencoder.thresholds.budget import Budget
        >>> from autoencoder.thresholds import THRESHOLDS
        >>> def build(scorer, points):
        ...     return StreamDetector(scorer, lambda share: THRESHOLDS["tail"](budget=share), Budget.parse(0.001), points)
        >>> model = ScorerSpec("windowed_gaussian", {"window": 2000})
        >>> config = AdaptationConfig(confirm_windows=5, buffer_points=1000, training_points=400)
        >>> detector = AdaptiveDetector(build, model, SyncTrainer(), config)
        >>> values = np.random.default_rng(0).normal(size=(2000, 1))
        >>> values[1000:] += 30
        >>> detections = detector.process(np.arange(2000), values)
        >>> [event.event for event in detector.adaptations][:3]
        ['drift declared', 'shadow started', 'promoted']
        >>> float(detections.anomalies[1000:1200].mean()) > 0.1, float(detections.anomalies[1600:].mean()) < 0.01
        (True, True)
    """

    def __init__(self, build: Build, model: ScorerSpec, trainer: Trainer, config: AdaptationConfig) -> None:
        self._updater = ModelUpdater(build, model, trainer, config)
        self._block = BlockBuffer()
        self._row = -1  # of the last point
        self.longest_pause = 0.0  # seconds between two blocks

    def process(self, time: Time, values: Array) -> Detections:
        """Points (N,), (N, F) -> their detections; see ``StreamDetector.process``."""
        current = self.current
        if current.trained:
            return self._detect(time, values)
        rest, part = current.training_points - len(current.training), current.training
        head = current.process(time[:rest], values[:rest])
        self._row += len(head)
        if not current.trained:
            return head
        self._updater.start(*part.joined())
        return Detections.concatenate([head, self._detect(time[rest:], values[rest:])])

    def _detect(self, time: Time, values: Array) -> Detections:
        """Detections of the points after the training part; the model is updated where a block ends."""
        current, newest = self.current, self.current.position.newest
        filled = current.fill(time, values)
        room, are_slots = self._updater.block_size - len(self._block), filled[1] is None
        if are_slots and len(values) < room and not np.count_nonzero(np.isnan(values)):
            return self._detect_within(time, values)
        slots = Slots.of(filled, time, values)
        ahead, parts, done, rows = LookAhead(slots), list[Detections](), 0, len(values)
        while not parts or (done < len(slots) and self.current.slots is current.slots):
            size = self._updater.block_size
            part = slice(done, slots.after(done, size - len(self._block)))
            parts.append(ahead.detect(self.current, part, may_go_on=self._updater.is_calm))
            self._block.add(parts[-1], slots.is_row[part], slots.complete_in(part))
            done = part.stop
            if len(self._block) >= size:
                row = slots.row_of(done)
                self._update(self._row + 1 + row, time[row] if row >= 0 else newest[-1], partial(ahead.return_to, done))
                rows = len(values) if self.current.slots is current.slots else row + 1
        self._row += rows
        found = slots.to_rows(Detections.concatenate(parts) if len(parts) > 1 else parts[0], rows, time, values)
        rest = slice(rows, None)  # has other slots
        return Detections.concatenate([found, self._detect(time[rest], values[rest])]) if rows < len(values) else found

    def _detect_within(self, time: Time, values: Array) -> Detections:
        """Detections of complete rows with which no block ends."""
        found = self.current.detect(time, values)
        self._block.add(found, None, len(values))
        self._row += len(values)
        return found

    def _update(self, row: int, time: np.generic, settle: Callable[[], object]) -> None:
        """A block is full with the point of that row and time."""
        began = perf_counter()
        self._updater.update(self._block.pop(), row, time, settle)
        self.longest_pause = max(self.longest_pause, perf_counter() - began)

    # --- see ``Detector`` ---

    @property
    def current(self) -> StreamDetector:
        """The one that scores now."""
        return self._updater.detector

    @property
    def has_model(self) -> bool:
        """Whether there is a model that can be saved for other streams: a baseline is none."""
        return self.current.trained and self._updater.kind == MODEL

    @property
    def lacks_model(self) -> str:
        """See ``Detector.lacks_model``."""
        return self._updater.lacks_model if self.current.trained else ""

    @property
    def lacks_season(self) -> str:
        """See ``Detector.lacks_season``; one that fits into ``buffer_points`` is learnt once it can be."""
        return self._updater.lacks_season(self._row + 1) if self.current.trained else ""

    @property
    def adaptations(self) -> Sequence[AdaptationEvent]:
        """What was done about the model so far."""
        return self._updater.events

    def adaptation_report(self) -> dict[str, object]:
        """How often what was done, until which row a baseline detected (None: to the end), and the longest pause in seconds."""
        counts = {event.replace(" ", "_"): sum(each.event == event for each in self.adaptations) for event in EVENTS}
        firsts = [each.row for each in self.adaptations if each.event == PROMOTED and each.details["reason"] == FIRST]
        has_baseline = bool(firsts) or self._updater.kind == BASELINE
        baseline = {"baseline_until_row": firsts[0] if firsts else None} if has_baseline else {}
        return {**counts, **baseline, "longest_pause": self.longest_pause}

    def stop(self) -> None:
        """The stream is over: a training in progress is cancelled."""
        self._updater.stop()

    def state(self) -> State:
        """Everything remembered, artifacts included; see ``ModelUpdater.state``."""
        return {**self._updater.state(), "block": self._block.state(), "row": self._row}

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Restore ``state``; ``files`` are those of the folder, which may be newer or older, and are not used.

        Raises:
            ModelFileError: damaged, or of another kind of detector.
        """
        self._updater.load(state)
        saved = Reader(state, "the adaptation")
        self._block.load(saved.state("block"))
        self._row = saved.integer("row", -1)
