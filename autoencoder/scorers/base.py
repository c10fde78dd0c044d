"""Scorer: the contract that every scorer keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import State

Array = npt.NDArray[np.float64]
Progress = Callable[[int, int, str], None]  # done, total, what is shown behind the bar


class Scorer(Protocol):
    """A state machine over values: trained once, then fed the stream in chunks of any size.

    The law: cutting the stream into chunks in any way gives the same errors and predictions, and ``load(state(), files())`` into a
    fresh scorer goes on exactly where the old one stood. A row with a missing value yields NaN and leaves the state as it was.
    """

    def fit(self, values: Array, progress: Progress | None = None) -> None:
        """Train on values (N, F); rows with NaN are left out. Streaming state is reset to "right after these values".

        Raises:
            TrainingError: too few points, or a series that cannot be learnt.
        """
        ...

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F); NaN where unknown."""
        ...

    def calibration_errors(self) -> Array:
        """Errors (M,) that stand for normal behaviour, from the training part, in order; the threshold is primed with them."""
        ...

    @property
    def span(self) -> int:
        """Points that a judgement looks back on; so long an anomaly can be felt after it is over."""
        ...

    def report(self) -> dict[str, object]:
        """What a reader wants to know of the trained scorer: window, validation loss, ..."""
        ...

    def clone(self) -> Self:
        """A scorer for another stream with all that this one has learnt from its training part, as after ``reset``."""
        ...

    def reset(self) -> None:
        """Forget the recent points, keep what was learnt: the next points belong to another stream."""
        ...

    def state(self) -> State:
        """All that is remembered, but for what ``files`` holds."""
        ...

    def files(self) -> Mapping[str, bytes]:
        """Model files by name, e.g. {"model.onnx": ...}; they never change between two trainings."""
        ...

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` and ``files`` gave.

        Raises:
            ModelError: damaged, or not this scorer's.
        """
        ...


@runtime_checkable
class Retrainable(Protocol):
    """A scorer that can be trained on, and that learns from the stream only what was not flagged."""

    def refit(self, values: Array, progress: Progress | None = None, *, retrain: bool = True) -> None:
        """Learn values (N, F), starting from what was learnt; rows of NaN are gaps that nothing reaches across.

        With ``retrain`` False only what is measured is learnt anew (scale, units, normal windows), not what is trained.

        Raises:
            TrainingError: too few points are left between the gaps.
        """
        ...

    def judged(self, flags: npt.NDArray[np.bool_]) -> None:
        """Flags (N,) of the newest rows that got an error; what was flagged is not learnt as normal."""
        ...


@runtime_checkable
class Expecting(Protocol):
    """A scorer that can make use of knowing what comes next."""

    def expect(self, values: Array, after: Array) -> None:
        """Values (N, F) that ``process`` is given, as this very array, ``after`` (M, F) is over, which is given next.

        Work on them may begin as far as it does not depend on what ``after`` changes.
        """
        ...
