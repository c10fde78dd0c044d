"""Order: whether the times of a stream ascend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.text.cells import Time


class OrderWatch:
    """Counts rows whose time is not after the time of the row before, and remembers the first."""

    def __init__(self, unit: str = "line") -> None:
        self._unit = unit  # what the numbers count, "line" or "row"
        self.last: Time | None = None  # (1,)
        self._rows = 0
        self._first = ""

    def see(self, numbers: Sequence[int], time: Time) -> None:
        """Take the next rows: their numbers in the file (N,) and times (N,)."""
        before = time[:1] if self.last is None else self.last
        joined = np.concatenate([before, time])  # (N + 1,)
        late = np.flatnonzero(joined[1:] <= joined[:-1])
        if self.last is None:
            late = late[1:]  # the very first row was compared with itself
        if len(late) and not self._rows:
            first = int(late[0])
            time_text, before_text = _time_text(joined[first + 1]), _time_text(joined[first])
            self._first = f"{self._unit} {numbers[first]}: time {time_text} is not after {before_text}"
        self._rows += len(late)
        self.last = time[-1:]

    def warning(self, name: str) -> str | None:
        """One sentence about all such rows so far; None where there are none."""
        if not self._rows:
            return None
        rows = "1 such row" if self._rows == 1 else f"{self._rows:,} such rows"
        return f"{name}, {self._first} ({rows}); rows are judged in file order; sort the file or choose another --time-column"


def _time_text(time: np.datetime64 | np.int64) -> str:
    return str(np.datetime_as_string(time, unit="auto")) if isinstance(time, np.datetime64) else str(time)
