"""Types: arrays, those in which nobody can write, and what a detector says of N points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Time = npt.NDArray[np.datetime64] | npt.NDArray[np.int64]  # (N,) datetime64[ns], or numbers of rows
N = TypeVar("N", bound=np.generic)
Progress = Callable[[int, int, str], None]  # done, total, what is shown behind the bar


@dataclass(frozen=True, slots=True)
class Detections:
    """One row a point, in order of arrival; NaN where something is not known (training part, warm-up, missing value)."""

    time: Time  # (N,) datetime64[ns] or an index, as the source gave it
    values: Array  # (N, F) what was seen
    predictions: Array  # (N, F) what the detector expected, in the values' own units
    errors: Array  # (N,) how far off it was, in the scorer's own unit
    thresholds: Array  # (N,) the threshold that held before each error was seen
    scores: Array  # (N,) calibrated abnormality in [0, 1]
    anomalies: Bools  # (N,) True where the error lies above the threshold
    #: (N, F) how much each of several columns adds to the error, in a unit of its own; (N, 0) where there is one, or nothing is known.
    contributions: Array = field(default=None, kw_only=True)  # type: ignore[arg-type]  # an array once it is made

    def __post_init__(self) -> None:
        if self.contributions is None:
            object.__setattr__(self, "contributions", np.empty((len(self.values), 0)))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Detections:
        return Detections(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @property
    def numbers(self) -> list[Array]:
        """Columns (N,) each, in the order of scores.csv: values, predictions, errors, thresholds, scores."""
        return [*self.values.T, *self.predictions.T, self.errors, self.thresholds, self.scores]

    def where(self, rows: Bools | Integers) -> Detections:
        """The points at which ``rows`` (N,) is true, or those at these places, in their order."""
        return Detections(**{each.name: getattr(self, each.name)[rows] for each in fields(Detections)})

    @staticmethod
    def unknown(time: Time, values: Array) -> Detections:
        """Detections of points (N,), (N, F) of which nothing is known; no two arrays share memory."""
        errors, thresholds, scores = (unknown(len(values)) for _ in range(3))
        contributions = unknown(len(values), values.shape[1] if values.shape[1] > 1 else 0)
        flags = np.zeros(len(values), dtype=bool)
        return Detections(time, values, unknown(*values.shape), errors, thresholds, scores, flags, contributions=contributions)

    @staticmethod
    def concatenate(parts: Sequence[Detections]) -> Detections:
        """Join detections of consecutive chunks; at least one part is needed."""
        names = (each.name for each in fields(Detections))
        return Detections(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def unknown(*shape: int) -> Array:
    """Array of that shape in which nothing is known yet; a fraction of the time of ``np.full``, which counts for single points."""
    array = np.empty(shape)
    array.fill(np.nan)
    return array


def behind(early: int, part: Array) -> Array:
    """What is known of points (N, ...), behind ``early`` of which nothing is -> (early + N, ...)."""
    return np.concatenate([unknown(early, *part.shape[1:]), part]) if early else part


def frozen(values: npt.NDArray[N]) -> npt.NDArray[N]:
    """The array, in which nobody can write from now on: a state need not copy it, and what is saved of it needs no second look."""
    own = values if values.base is None else values.copy()
    own.setflags(write=False)
    return own


def is_frozen(value: object) -> bool:
    """Whether it is an array in which nobody can write, neither by itself nor by what it is a view of."""
    memory = value
    while isinstance(memory, np.ndarray):
        if memory.flags.writeable:
            return False
        memory = memory.base
    return isinstance(value, np.ndarray) and isinstance(memory, bytes | None)
