"""Order: whether the times of a stream ascend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.text.cells import Time

_NO_TIME = int(np.iinfo(np.int64).min)  # before all others


class OrderWatch:
    """Counts rows whose time is not after that of the row before in the same series, and remembers the first."""

    def __init__(self, unit: str = "line") -> None:
        self._unit = unit  # what the numbers count, "line" or "row"
        self.last: Time | None = None  # (1,) of the newest row
        self._newest = np.empty(0, np.int64)  # time of the newest row of each series
        self._rows = 0
        self._first = ""

    def see(self, numbers: Sequence[int], time: Time, series: npt.NDArray[np.int64] | None = None) -> None:
        """Take the next rows: their numbers in the file (N,), times (N,) and series (N,); None: they are all of one."""
        counts = time.view(np.int64)
        if series is None and len(counts) == 1 == len(self._newest) and counts[0] > self._newest[0]:
            self._newest, self.last = counts, time  # as below, in a fraction of the time, for a stream that comes row by row
            return
        before = self._counts_before(counts) if series is None else self._counts_before_in(series, counts)
        late = (counts <= before).nonzero()[0]
        if len(late) and not self._rows:
            first = int(late[0])
            time_text, before_text = _time_text(time[first]), _time_text(before[first : first + 1].view(time.dtype)[0])
            self._first = f"{self._unit} {numbers[first]}: time {time_text} is not after {before_text}"
        self._rows += len(late)
        self.last = time[-1:]

    def _counts_before(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Time (N,) as a number of the row before each; ``_NO_TIME`` where there is none."""
        if not len(self._newest):
            self._newest = np.array([_NO_TIME])
        before = np.concatenate([self._newest, counts])
        self._newest = before[-1:].copy()
        return before[:-1]

    def _counts_before_in(self, series: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Time (N,) as a number of the row before each in its own series; ``_NO_TIME`` where there is none."""
        grown = int(series.max()) + 1 - len(self._newest)
        self._newest = np.concatenate([self._newest, np.full(max(0, grown), _NO_TIME)])
        rows = np.argsort(series, kind="stable")  # series by series, each in order
        counts, owners = counts[rows], series[rows]
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        before = np.empty_like(counts)
        before[rows[1:]] = counts[:-1]
        before[rows[starts]] = self._newest[owners[starts]]
        self._newest[owners] = counts  # of several rows of a series the last one stays
        return before

    def warning(self, name: str) -> str | None:
        """One sentence about all such rows so far; None where there are none."""
        if not self._rows:
            return None
        rows = "1 such row" if self._rows == 1 else f"{self._rows:,} such rows"
        return f"{name}, {self._first} ({rows}); rows are judged in file order; sort the file or choose another --time-column"


def _time_text(time: np.datetime64 | np.int64) -> str:
    return str(np.datetime_as_string(time, unit="auto")) if isinstance(time, np.datetime64) else str(time)
