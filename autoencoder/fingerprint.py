"""Fingerprint: whether rows that come again are those that came before, told by a few numbers."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State

Array = npt.NDArray[np.generic]


class Fingerprint:
    """Checksums (CRC-32) of the times and of the values of rows; however the rows are cut into chunks, they are the same."""

    def __init__(self) -> None:
        self.rows = 0
        self.first = self.times = self.values = 0

    def take(self, time: Array, values: Array) -> None:
        """Add times (N,) and values (N, F) of the next rows."""
        if not len(time):
            return
        if not self.rows:
            self.first = _checksum(values[:1], _checksum(time[:1]))
        self.rows += len(time)
        self.times, self.values = _checksum(time, self.times), _checksum(values, self.values)

    def difference(self, before: Fingerprint) -> str | None:
        """In what these rows differ from what they were before, "time" or "value", as far as can be told yet.

        >>> one, other = Fingerprint(), Fingerprint()
        >>> one.take(np.arange(3), np.array([[1.0], [2.0], [3.0]]))
        >>> other.take(np.arange(3), np.array([[1.0], [2.0], [3.5]]))
        >>> other.difference(one)
        'value'
        """
        if self.rows < before.rows:
            return "time or value" if self.rows and self.first != before.first else None
        if self.times != before.times:
            return "time"
        return "value" if self.values != before.values else None

    def state(self) -> State:
        """The checksums."""
        return {"first": self.first, "times": self.times, "values": self.values}

    def load(self, state: State, rows: int) -> None:
        """Take back what ``state`` gave after so many rows."""
        saved, self.rows = Reader(state, "the rows done"), rows
        self.first, self.times, self.values = (saved.integer(key, 0, (1 << 32) - 1) for key in ("first", "times", "values"))


def _checksum(values: Array, before: int = 0) -> int:
    return zlib.crc32(values.tobytes(), before)
