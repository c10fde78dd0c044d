"""Row checksum: whether rows that come again are those that came before, told by a few numbers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from autoencoder.core.state import AnyArray, Reader, State


@dataclass
class RowChecksum:
    """CRC-32 checksums of the first row, of all times and of all values; however rows are cut into chunks, they are the same."""

    rows: int = 0
    last_time: int = 0
    first: int = 0
    times: int = 0
    values: int = 0

    def update(self, time: AnyArray, values: AnyArray) -> None:
        """Add the next rows: times (N,), values (N, F).

        >>> one, other = RowChecksum(), RowChecksum()
        >>> one.update(np.arange(3), np.array([[1.0], [2.0], [3.0]]))
        >>> other.update(np.arange(3), np.array([[1.0], [2.0], [3.5]]))
        >>> other.difference(one)
        'value'
        """
        if len(values):
            if not self.rows:
                self.first = _crc(values[:1], _crc(time[:1]))
            self.rows += len(values)
            self.last_time = int(time.view(np.int64)[-1])
            self.times, self.values = _crc(time, self.times), _crc(values, self.values)

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


def _crc(values: AnyArray, before: int = 0) -> int:
    return zlib.crc32(values.tobytes(), before)
