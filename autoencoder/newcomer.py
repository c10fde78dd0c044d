"""Newcomer: the detector of a series that begins with a model, which is judged at once, and later by what is usual for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from autoencoder.core.detector import Detector
from autoencoder.core.errors import TrainingError
from autoencoder.core.state import Reader, State, from_files, to_files
from autoencoder.core.types import Array, Detections, Time
from autoencoder.detector import StreamDetector
from autoencoder.training_part import TrainingPart

FOLLOWS = "follows"  # in a state: the network of the detector that takes the part of the forecast


@dataclass(eq=False)
class Newcomer(Detector):
    """A forecast judges the first points of a series, while they train the detector that takes over.

    Where a series begins with another model than before, the detector that it had takes the part of the forecast.

    Where a training part cannot be learnt, the forecast goes on, and the newer half of the part begins the next one. How the stream is cut
    into chunks changes nothing.
    """

    forecast: StreamDetector  # needs few points
    own: StreamDetector  # the other detector; its scorer may have a network that is shared, and then trains none
    _follows: bool = field(default=False, init=False)  # the forecast is a detector of another model

    def follow(self, before: Detector) -> None:
        """Let what has judged the series so far go on, and keep the points that it has gathered for its own training."""
        self.forecast, self._follows = before.current, True
        if isinstance(before, Newcomer) and not before.has_model:
            self.own.training, self._follows = before.own.training, before._follows

    @property
    def current(self) -> StreamDetector:
        """The one that scores now."""
        return self.own if self.own.trained else self.forecast

    @property
    def has_model(self) -> bool:
        """Whether the forecast is done with."""
        return self.own.trained

    @property
    def lacks_model(self) -> str:
        """See ``Detector.lacks_model``."""
        return "" if self.own.trained else f"a forecast detects until there are {self.own.training_points:,} points"

    def begin(self, time: Time, values: Array) -> Callable[[], Detections]:
        """See ``Detector.begin``."""
        return self.own.begin(time, values) if self.own.trained else super().begin(time, values)

    def process(self, time: Time, values: Array) -> Detections:
        """See ``Detector.process``; a training part that cannot be learnt is no error here."""
        parts = []
        while not self.own.trained and len(values):
            rest = self.own.training_points - len(self.own.training)
            parts.append(_process(self.forecast, time[:rest], values[:rest]))
            _process(self.own, time[:rest], values[:rest])
            time, values = time[rest:], values[rest:]
        if len(values) or not parts:
            parts.append(self.current.process(time, values))
        return Detections.concatenate(parts)

    def state(self) -> State:
        """See ``Detector.state``."""
        own = self.own.state()
        if self.own.trained:
            return {"own": own}
        state: State = {"own": own, "forecast": self.forecast.state()}
        network = {name: content for name, content in self.forecast.scorer.artifacts().items() if name == "model.onnx"}
        return {**state, FOLLOWS: from_files(network)} if self._follows else state

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """See ``Detector.load``."""
        saved = Reader(state, "the detector of a new series")
        self.own.load(saved.state("own"), self.own.scorer.artifacts() or files)
        if not self.own.trained:
            self.forecast.load(saved.state("forecast"), to_files(saved.state(FOLLOWS)) if saved.has(FOLLOWS) else {})


def _process(detector: StreamDetector, time: Time, values: Array) -> Detections:
    """Detections of points (N,), (N, F); where a training part cannot be learnt, its newer half begins the next one."""
    parts = [Detections.unknown(time[:0], values[:0])]
    while not detector.trained and len(values):
        rest = detector.training_points - len(detector.training)
        try:
            parts.append(detector.process(time[:rest], values[:rest]))
        except TrainingError:
            parts.append(Detections.unknown(time[:rest], values[:rest]))
            times, seen = detector.training.joined()
            half = (len(seen) + 1) // 2
            detector.training = TrainingPart()
            detector.training.add(times[half:], seen[half:])
        time, values = time[rest:], values[rest:]
    return Detections.concatenate([*parts, detector.process(time, values)]) if len(values) else Detections.concatenate(parts)
