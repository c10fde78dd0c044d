"""TrainingPart: the first points of a stream, kept until there are enough to train on."""

from __future__ import annotations

from typing import cast

import numpy as np

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Time

PIECES = 64  # that are joined into one: of points that come one by one each would take twenty times its bytes


class TrainingPart:
    """Chunks of times (N,) and values (N, F) in the order in which they came.

    >>> part = TrainingPart()
    >>> part.add(np.arange(2), np.zeros((2, 1)))
    >>> len(part), part.joined()[1].shape
    (2, (2, 1))
    """

    def __init__(self) -> None:
        self.times: list[Time] = []
        self.values: list[Array] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, time: Time, values: Array) -> None:
        """Take in further points (N,), (N, F)."""
        self.times.append(time)
        self.values.append(values)
        self._count += len(values)
        if len(self.values) == PIECES:
            joined = self.joined()
            self.times, self.values = [joined[0]], [joined[1]]

    def joined(self) -> tuple[Time, Array]:
        """All of it: (N,), (N, F); (0,), (0, 1) where nothing came yet."""
        if not self.values:
            return np.empty(0, np.int64), np.empty((0, 1))
        return cast(Time, np.concatenate(self.times)), np.concatenate(self.values)

    def followed_by(self, time: Time, values: Array) -> tuple[Time, Array]:
        """All of it and further points (N,), (N, F), which it does not take in."""
        return cast(Time, np.concatenate([*self.times, time])), np.concatenate([*self.values, values])

    def state(self) -> State:
        """See ``load``."""
        time, values = self.joined()
        return {"time": time.astype(np.int64), "dated": time.dtype.kind == "M", "values": values}

    @staticmethod
    def load(saved: Reader) -> TrainingPart:
        """What ``state`` gave; ModelFileError where it is damaged."""
        part, times, values = TrainingPart(), saved.integers("time", (None,)), saved.array("values", (None, None), finite=False)
        if len(times) != len(values):
            raise ModelFileError("the saved state of the detector cannot be used: times and values differ in length; train again")
        if len(times):
            part.add(times.astype("datetime64[ns]") if saved.boolean("dated") else times, values)
        return part
