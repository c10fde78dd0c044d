"""SlotFiller: a stream's rows as slots of its own interval, with what is missing filled by what is expected there.

A row that does not come, or comes empty, must not shorten the season of the rows after it.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Resettable, array, integer, integers
from autoencoder.core.types import Array, Integers
from autoencoder.network.period import day_of, first_period

REGULAR_SHARE = 0.95  # of the steps between the training part's times that must equal their median, or rows are slots
MAX_PERIOD = 1 << 20  # slots
TOLERANCE = 0.1  # by which a step may differ from it
SLOTS_A_ROW = 4  # empty slots that a row may have before it in the long run, or the stream is sampled in another way
MAX_MISSING = 0.5  # share of a training part's slots beyond which it is too empty to be filled


class SlotFiller(Resettable):
    """Inserts rows for empty slots and fills missing cells, causally.

    A stream whose times are regular in the training part has a slot for each interval; the number of empty ones before a row follows from
    its time. Without times, with irregular ones, and where nothing repeats, rows are slots and none is inserted; so it is where a stream
    comes more coarsely than that, by ``SLOTS_A_ROW`` and more. A missing cell takes the value of a period before, or the last value where
    nothing repeats. What is filled is seen by the scorer and judged by nobody.

    Examples:
        >>> filler = SlotFiller()
        >>> season = np.tile([0.0, 1.0, 4.0, 9.0, 4.0, 1.0], 20)[:, None]
        >>> filler.fit(np.arange(120), season).shape
        (120, 1)
        >>> slots, ends = filler.process(np.arange(120, 123), np.array([[0.0], [np.nan], [4.0]]))
        >>> slots[:, 0].tolist(), ends.tolist()
        ([0.0, 1.0, 4.0], [1, 2, 3])
    """

    name = "the filler of gaps"
    STATE: ClassVar = {
        "_step": integer("step"),
        "_period": integer("period", 0, MAX_PERIOD),
        "_allowance": integer("allowance", 0, 2 * MAX_PERIOD),
        "_recent": array("recent", (None, "F"), finite=False),
        "_last": integers("last", (None,)),
    }

    def __init__(self) -> None:
        self._step = 0  # nanoseconds from slot to slot; 0 where rows are slots
        self._period = 0  # slots; 0 where nothing repeats
        self._allowance = 0  # empty slots that may still be inserted
        self._recent = np.empty((0, 0))  # (n, F) newest slots, as many as a period has and one at least
        self._last: Integers = np.empty(0, np.int64)  # time of the newest row, none before it

    @property
    def day(self) -> int:
        """Slots of a day; 0 where rows are slots, or are of a day or longer."""
        return day_of(self._step / 1e9)

    def fit(self, time: npt.NDArray[np.generic], values: Array) -> Array:
        """Learn interval and period from the training part (N,), (N, F) -> its slots (M, F), filled where that is possible."""
        self._step, self._period = _regular_step(time), 0
        self.reset()
        self._recent = self._recent.reshape(0, values.shape[1])
        rows, _ = self.process(time, values)  # each missing cell by its last value
        period = first_period(rows[~np.isnan(rows).any(axis=1)], self.day)
        self._period = period if period <= MAX_PERIOD else 0
        self.reset()
        empty = np.isnan(values).all(axis=1)
        missing = int(self._empty_slots(time).sum()) + np.count_nonzero(empty)
        if missing > MAX_MISSING * (missing + len(values)):
            self._period = 0
        self.reset()
        slots, ends = self.process(time, values)
        if self._period or ends is None:
            return slots
        filled = values.copy()
        filled[~empty] = slots[ends[~empty] - 1]
        return filled

    def reset(self) -> None:
        """Begin another stream with the same interval and period."""
        self._recent, self._last = self._recent[:0], self._last[:0]
        self.allow_gap()

    def allow_gap(self) -> None:
        """The next row may come after a gap of any length, however many slots were inserted before."""
        self._allowance = 2 * self._period

    def process(self, time: npt.NDArray[np.generic], values: Array) -> tuple[Array, Integers | None]:
        """Rows (N,), (N, F) -> slots (M, F), and how many of these there are with each row (N,): None where slots are the rows.

        A row's slot is the last of these; an empty row has one where something repeats.
        """
        empty = self._affordable(self._empty_slots(time))
        if self._step and len(time):
            self._last = _nanoseconds(time[-1:]).copy()
        if not np.count_nonzero(np.isnan(values)) and not np.count_nonzero(empty):
            self._recent = np.concatenate([self._recent, values])[-max(1, self._period) :]
            return values, None
        slots, ends = list(self._recent), np.empty(len(values), np.int64)
        before = len(slots)
        for row, point in enumerate(values):
            for _ in range(empty[row]):
                slots.append(self._expected(slots, values.shape[1]))
            missing = np.isnan(point)
            if self._period or not missing.all():
                slots.append(np.where(missing, self._expected(slots, values.shape[1]), point) if missing.any() else point)
            ends[row] = len(slots) - before
        self._recent = np.array(slots[-max(1, self._period) :]).reshape(-1, values.shape[1])
        return np.array(slots[before:]).reshape(-1, values.shape[1]), ends

    def _expected(self, slots: list[Array], features: int) -> Array:
        """What stands for a missing slot (F,) after these."""
        if self._period and len(slots) >= self._period:
            return slots[-self._period]
        return slots[-1] if slots else np.full(features, np.nan)

    def _empty_slots(self, time: npt.NDArray[np.generic]) -> Integers:
        """Slots (N,) without a row right before each of these rows; of a gap longer than two periods whole periods are left out."""
        if not self._step or not self._period:
            return np.zeros(len(time), np.int64)
        moments = _nanoseconds(time)
        before = np.concatenate([self._last if len(self._last) else moments[:1], moments[:-1]])
        steps = moments - before
        if np.maximum.reduce(steps, initial=0) < 1.4 * self._step:  # none is empty
            return np.zeros(len(time), np.int64)
        slots: Integers = np.maximum(np.rint(steps / self._step).astype(np.int64) - 1, 0)
        return np.where(slots > 2 * self._period, self._period + slots % self._period, slots)

    def _affordable(self, empty: Integers) -> Integers:
        """Empty slots (N,) before each row, but none where there are too many, as in a stream that is sampled more coarsely."""
        most, row = 2 * self._period, 0
        for gap in empty.nonzero()[0].tolist():
            self._allowance = min(most, self._allowance + SLOTS_A_ROW * (gap + 1 - row))
            row = gap + 1
            if empty[gap] > self._allowance:
                empty[gap] = 0
            self._allowance -= int(empty[gap])
        self._allowance = min(most, self._allowance + SLOTS_A_ROW * (len(empty) - row))
        return empty


def _nanoseconds(time: npt.NDArray[np.generic]) -> Integers:
    return time.astype("datetime64[ns]", copy=False).view(np.int64)


def _regular_step(time: npt.NDArray[np.generic]) -> int:
    """Nanoseconds between two of the times (N,), where nearly all are as far apart; 0 otherwise, and without timestamps."""
    if not np.issubdtype(time.dtype, np.datetime64) or len(time) < 3:
        return 0
    steps = np.diff(_nanoseconds(time))
    step = int(np.median(steps))
    is_regular = step > 0 and np.mean(np.abs(steps - step) <= TOLERANCE * step) >= REGULAR_SHARE
    return step if is_regular else 0
