"""Judge: what a run needs of that which judges its points, whether it stays as it is or adapts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from autoencoder.adaptation.record import Adaptation
from autoencoder.detector import Time
from autoencoder.scorers.base import Array, Scorer
from autoencoder.state import State
from autoencoder.verdicts import Verdicts


class Judge(Protocol):
    """A ``Detector``, or an ``AdaptiveDetector`` that replaces one by another.

    Attributes:
        training_points: length of the training part.
    """

    training_points: int

    @property
    def scorer(self) -> Scorer:
        """The one that judges now."""

    @property
    def trained(self) -> bool:
        """Whether points are judged."""

    @property
    def waiting(self) -> int:
        """Points of the training part seen so far; 0 once trained."""

    @property
    def share(self) -> float:
        """Share of normal points that may be flagged."""

    @property
    def training_seconds(self) -> float:
        """Seconds that the first training took."""

    @property
    def has_model(self) -> bool:
        """Whether what judges can be saved for other streams."""

    @property
    def adaptations(self) -> Sequence[Adaptation]:
        """What was done about the model so far."""

    def process(self, time: Time, values: Array) -> Verdicts:
        """Points (N,), (N, F) -> their verdicts."""

    def expect(self, values: Array, after: Array) -> None:
        """Values (N, F) that come after others (M, F): what takes time can begin."""

    def training_report(self) -> dict[str, object]:
        """What there is to know about training."""

    def adaptation_report(self) -> dict[str, object]:
        """What there is to know about adaptations; nothing where there can be none."""

    def stop(self) -> None:
        """The stream is over."""

    def adopt(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take what was learnt from a saved model."""

    def saved_model(self) -> State:
        """What was learnt, for ``adopt``."""

    def state(self) -> State:
        """All that is remembered."""

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave."""
