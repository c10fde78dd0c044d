"""AdaptiveDetector: a detector whose model is replaced by a better one when the stream has changed for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np

from autoencoder.adaptation.buffer import Block, BlockBuffer, Slots
from autoencoder.adaptation.retraining import BASELINE, MODEL, ScorerSpec
from autoencoder.adaptation.schedule import FIRST, AdaptationConfig
from autoencoder.adaptation.trainer import Trainer
from autoencoder.adaptation.updater import Build, ModelUpdater
from autoencoder.core.events import EVENTS, PROMOTED, AdaptationEvent
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Detections
from autoencoder.detector import Detector, StreamDetector, Time


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
        slots = Slots.of(current.fill(time, values), time, values)
        parts, done, rows = list[Detections](), 0, len(values)
        while not parts or (done < len(slots.values) and self.current.slots is current.slots):
            size = self._updater.block_size
            complete = np.cumsum(~np.isnan(slots.values[done:]).any(axis=1))
            part = slice(done, done + int(np.searchsorted(complete, size - len(self._block))) + 1)
            parts.append(self.current.detect(slots.time[part], slots.values[part], slots.is_row[part]))
            self._block.add(Block.of(parts[-1], slots.is_row[part]))
            done += len(parts[-1])
            if len(self._block) >= size:
                row = int(np.searchsorted(slots.ends, done))
                row -= int(slots.ends[row] > done)  # slots before the next row are filled in
                self._update(self._row + 1 + row, time[row] if row >= 0 else newest[-1])
                rows = len(values) if self.current.slots is current.slots else row + 1
        self._row += rows
        found = slots.to_rows(Detections.concatenate(parts), rows, time, values)
        rest = slice(rows, None)  # has other slots
        return Detections.concatenate([found, self._detect(time[rest], values[rest])]) if rows < len(values) else found

    def _update(self, row: int, time: np.generic) -> None:
        """A block is full with the point of that row and time."""
        began = perf_counter()
        self._updater.update(self._block.pop(), row, time)
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
