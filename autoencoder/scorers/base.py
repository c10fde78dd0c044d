"""Scorer: the contract that every scorer keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from autoencoder.core.errors import NotFittedError
from autoencoder.core.state import Resettable, State
from autoencoder.core.types import Array, Detections, Integers, Progress, Time, unknown

__all__ = ["Array", "Progress", "Refittable", "Scored", "Scorer", "to_detections"]

DECADES = 10.0  # a tail probability of 1e-10 or less has score 1


class Scored(NamedTuple):
    """What a scorer says of N points; NaN where unknown."""

    errors: Array  # (N,) how unusual what ends at each point is
    predictions: Array  # (N, F)
    own_errors: Array  # (N,) how unusual the point itself is: no more than that, and less in the shadow of an anomaly before it
    #: (N, F) how much each of several columns adds to the error; (N, 0) of a single column, and where a scorer cannot tell.
    contributions: Array = np.empty((0, 0))

    @staticmethod
    def unknown(values: Array, contributions: int = 0) -> Scored:
        """Nothing is known of values (N, F), with so many columns that contribute."""
        errors = (unknown(len(values)) for _ in range(2))
        return Scored(next(errors), unknown(*values.shape), next(errors), unknown(len(values), contributions))

    def take(self, rows: Integers) -> Scored:
        """What is said of these rows (M,)."""
        return Scored(self.errors[rows], self.predictions[rows], self.own_errors[rows], self.contributions[rows])

    def at(self, rows: Integers, values: Array) -> Scored:
        """What is said here of points (M,) as said of the ``rows`` (M,) of values (N, F); of the others nothing is known."""
        whole = Scored.unknown(values, self.contributions.shape[1])
        for each, part in zip(whole, self, strict=True):
            each[rows] = part
        return whole

    def of_rows(self, values: Array, ends: Integers | None) -> Scored:
        """What is said of rows (N, F) where this is said of their slots, of which there are ``ends`` (N,), see ``SlotFiller.process``."""
        if ends is None:
            return self
        rows = np.flatnonzero(~np.isnan(values).all(axis=1))
        return self.take(ends[rows] - 1).at(rows, values)


def to_detections(time: Time, values: Array, scored: Scored, limits: Array, probabilities: Array) -> Detections:
    """Detections of N points by their own errors, from limits (N,) and the probabilities (N,) that a normal error is larger."""
    decades = np.log10(np.maximum(probabilities, 1e-300)) / -DECADES
    scores = np.minimum(decades, 1.0) + 0.0  # a certain -0 becomes 0
    flags = scored.own_errors > limits
    contributions = scored.contributions if len(scored.contributions) == len(values) else np.empty((len(values), 0))
    return Detections(time, values, scored.predictions, scored.errors, limits, scores, flags, contributions=contributions)


class Scorer(Resettable, ABC):
    """A state machine over values: trained once, then fed the stream in chunks of any size.

    The law: cutting the stream into chunks in any way gives the same errors and predictions, and ``load(state(), artifacts())`` into a
    fresh scorer goes on exactly where the old one stood. A row with a missing value yields NaN and leaves the state as it was.
    """

    name: ClassVar[str]  # of the detector, as the configuration has it
    # (M,) errors that stand for normal data, from the training part, in order; the threshold starts from them
    calibration_errors: Array
    day: int = 0  #: points of a day where the times of the stream tell; chosen before ``fit``

    @abstractmethod
    def fit(self, values: Array, progress: Progress | None = None) -> Self:
        """Train on values (N, F); rows with NaN are left out. The stream goes on right after these values.

        Raises:
            TrainingError: too few points, or a series that cannot be learnt.
        """

    @abstractmethod
    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F); NaN where unknown.

        Raises:
            NotFittedError: nothing is trained or loaded yet.
            ModelFileError: another number of columns was trained.
        """

    def score(self, values: Array) -> Scored:
        """As ``process``, and what each point says by itself; the same where a scorer cannot tell."""
        return self.begin(values)()

    def begin(self, values: Array) -> Callable[[], Scored]:
        """As ``score``, in two steps: what is returned gives the result, see ``Detector.begin``."""
        errors, predictions = self.process(values)
        return partial(Scored, errors, predictions, errors, np.empty((len(values), 0)))

    def impute(self, values: Array) -> Array:
        """Values (N, F) with the missing cells filled that the others of their row tell; a scorer that cannot tell leaves all."""
        return values

    @property
    @abstractmethod
    def window(self) -> int:
        """Points that one score looks back on; so long an anomaly affects errors after it is over."""

    @abstractmethod
    def info(self) -> dict[str, object]:
        """What a reader wants to know of the trained scorer: window, validation loss, ..."""

    def believable(self, errors: Array, rarity: float) -> Array:
        """Those of the errors (N,) of a training part that normal data may have, where one is too rare below ``rarity``.

        A scorer that knows the shape of its errors' tail can tell; the others believe all.
        """
        return errors

    def artifacts(self) -> Mapping[str, bytes]:
        """Model files by name, e.g. {"model.onnx": ...}; they never change between two trainings."""
        return {}

    def load(self, state: State, artifacts: Mapping[str, bytes] | None = None) -> None:
        """Take back what ``state`` and ``artifacts`` gave.

        Raises:
            ModelFileError: damaged, or not this scorer's.
        """
        super().load(state)

    def _no_model(self) -> NotFittedError:
        return NotFittedError(f"{self.name}: there is no model yet; train one or load one first")


@runtime_checkable
class Refittable(Protocol):
    """A scorer that can be trained further, and that learns from the stream only what is no anomaly."""

    def refit(self, values: Array, progress: Progress | None = None, *, freeze_network: bool = False) -> None:
        """Learn values (N, F), starting from what was learnt; rows of NaN are gaps that nothing reaches across.

        With ``freeze_network`` only what is measured is learnt anew (scale, usual evidence, normal windows), not what is trained.

        Raises:
            TrainingError: too few points are left between the gaps.
        """
        ...
