"""Detector: the contract of what scores the points of one stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from autoencoder.core.events import AdaptationEvent
from autoencoder.core.state import State
from autoencoder.core.types import Array, Detections, Time

if TYPE_CHECKING:
    from autoencoder.detector import StreamDetector
    from autoencoder.reports.incidents import Incident


class Detector(ABC):
    """Scores the points of one stream, with a ``StreamDetector`` that stays the same or is replaced by others."""

    @property
    def adaptations(self) -> Sequence[AdaptationEvent]:
        """What was done about the model so far."""
        return ()

    @property
    @abstractmethod
    def current(self) -> StreamDetector:
        """The one that scores now."""

    @property
    def has_model(self) -> bool:
        """Whether there is a model that can be saved for other streams."""
        return self.current.trained

    @property
    def lacks_model(self) -> str:
        """Why there is none although points are judged; empty where there is one, or nothing is judged."""
        return ""

    @property
    def lacks_season(self) -> str:
        """Which season takes more points than were seen; empty where none does."""
        return ""

    @abstractmethod
    def process(self, time: Time, values: Array) -> Detections:
        """Points (N,), (N, F) -> their detections, NaN where nothing is known; TrainingError where the training part cannot be learnt."""

    def begin(self, time: Time, values: Array) -> Callable[[], Detections]:
        """As ``process``, in two steps: what is returned gives the detections, before the next points come.

        Detectors that share a network, and all begin before the first of them ends, run it once.
        """
        detections = self.process(time, values)
        return lambda: detections

    @property
    def usual_gap(self) -> int | None:
        """Most points without a flag inside one incident, where nothing is asked for; None: as many as a window has steps."""
        return None

    def described(self, incident: Incident) -> Incident:
        """One of its incidents with what only the detector can tell of it."""
        return incident

    def view(self, time: Time, values: Array) -> Array:
        """What a scorer is to see of a training part (N,), (N, F)."""
        return values

    def adaptation_report(self) -> dict[str, object]:
        """What there is to know about adaptations; nothing where there can be none."""
        return {}

    def stop(self) -> None:  # noqa: B027 - nothing to stop by default
        """The stream is over: a training in progress is cancelled."""

    @abstractmethod
    def state(self) -> State:
        """All that is remembered, but for the scorer's files."""

    @abstractmethod
    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` and ``scorer.artifacts`` gave; ModelFileError where it is damaged or of another kind."""
