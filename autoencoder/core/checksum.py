"""Row checksum: whether rows that come again are those that came before, told by a few numbers."""

from __future__ import annotations

import zlib
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State

Array = npt.NDArray[Any]


class TimedValues(Protocol):
    """Rows with times (N,) and values (N, F)."""

    @property
    def time(self) -> Array:
        """(N,)."""

    @property
    def values(self) -> Array:
        """(N, F)."""


class RowChecksum:
    """CRC-32 checksums of the times and of the values of rows; however the rows are cut into chunks, they are the same.

    It tells whether rows that come again are those that came before.
    """

    def __init__(self) -> None:
        self.rows = self.last_time = 0
        self.first = self.times = self.values = 0

    def update(self, rows: TimedValues) -> None:
        """Add the next rows.

        >>> from types import SimpleNamespace
        >>> one, other = RowChecksum(), RowChecksum()
        >>> one.update(SimpleNamespace(time=np.arange(3), values=np.array([[1.0], [2.0], [3.0]])))
        >>> other.update(SimpleNamespace(time=np.arange(3), values=np.array([[1.0], [2.0], [3.5]])))
        >>> other.difference(one)
        'value'
        """
        if not len(rows.values):
            return
        if not self.rows:
            self.first = _crc(rows.values[:1], _crc(rows.time[:1]))
        self.rows += len(rows.values)
        self.last_time = int(rows.time.view(np.int64)[-1])
        self.times, self.values = _crc(rows.time, self.times), _crc(rows.values, self.values)

    def difference(self, before: RowChecksum) -> str | None:
        """In what these rows differ from what they were before, "time" or "value", as far as can be told yet."""
        if self.rows < before.rows:
            return "time or value" if self.rows and self.first != before.first else None
        if self.times != before.times:
            return "time"
        return "value" if self.values != before.values else None

    def state(self) -> State:
        """The checksums."""
        return {"first": self.first, "times": self.times, "values": self.values}

    def load(self, state: State, rows: int, last_time: int) -> None:
        """Take back what ``state`` gave after so many rows."""
        saved, self.rows, self.last_time = Reader(state, "the rows done"), rows, last_time
        self.first, self.times, self.values = (saved.integer(key, 0, (1 << 32) - 1) for key in ("first", "times", "values"))


def _crc(values: Array, before: int = 0) -> int:
    return zlib.crc32(values.tobytes(), before)
