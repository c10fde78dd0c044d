"""Recent: the newest points of the stream and what was said of them, and those of the block that is not full yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array

Bools = npt.NDArray[np.bool_]


class Recent:
    """The newest ``size`` points without a missing value: values (N, F), errors (N,), flags (N,).

    An error is NaN where it is not known, or known only from a model that judges no more.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.values: Array = np.empty((0, 1))
        self.errors = np.empty(0)
        self.flags: Bools = np.empty(0, bool)
        self.seen = 0  # points taken since the beginning

    def __len__(self) -> int:
        return len(self.values)

    def take(self, values: Array, errors: Array, flags: Bools) -> None:
        """Add points (N, F); the oldest leave."""
        old = self.values.reshape(len(self.values), values.shape[1]) if len(self.values) else np.empty((0, values.shape[1]))
        self.values = np.concatenate([old, values])[-self._size :]
        self.errors = np.concatenate([self.errors, errors])[-self._size :]
        self.flags = np.concatenate([self.flags, flags])[-self._size :]
        self.seen += len(values)

    def rejudge(self, errors: Array) -> None:
        """Another model judges from here on: its errors (K,) of the newest points; those of the older ones are not known."""
        self.errors = np.concatenate([np.full(len(self) - len(errors), np.nan), errors])

    def state(self) -> State:
        """All of it."""
        return {
            "values": self.values.copy(),
            "errors": self.errors.copy(),
            "flags": self.flags.astype(np.int64),
            "seen": self.seen,
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the recent points")
        self.values = saved.array("values", (None, None))
        size = (len(self.values),)
        self.errors = saved.array("errors", size, finite=False)
        self.flags = saved.integers("flags", size).astype(bool)
        self.seen = saved.integer("seen", 0)


class Block:
    """Collects points until there are enough for a block: values (N, F), errors (N,), flags (N,), predictions (N, F)."""

    def __init__(self) -> None:
        self._parts: list[tuple[Array, Array, Bools, Array]] = []
        self.points = 0

    def take(self, values: Array, errors: Array, flags: Bools, predictions: Array) -> None:
        """Add points."""
        self._parts.append((values, errors, flags, predictions))
        self.points += len(values)

    def empty(self) -> tuple[Array, Array, Bools, Array]:
        """All points so far; the next block begins."""
        values, errors, flags, predictions = (np.concatenate(rows) for rows in zip(*self._parts, strict=True))
        self._parts, self.points = [], 0
        return values, errors, flags, predictions

    def state(self) -> State:
        """The points; nothing where there are none."""
        if not self.points:
            return {}
        names = ("values", "errors", "flags", "predictions")
        parts = (np.concatenate(rows).astype(np.float64) for rows in zip(*self._parts, strict=True))
        return dict(zip(names, parts, strict=True))

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        self._parts, self.points = [], 0
        if not state:
            return
        saved = Reader(state, "a block")
        values = saved.array("values", (None, None))
        errors, flags = (saved.array(name, (len(values),), finite=False) for name in ("errors", "flags"))
        self.take(values, errors, flags.astype(bool), saved.array("predictions", values.shape, finite=False))
