"""Buffers: the slots of the block that is filling up, and the newest slots of the stream; see ``SlotFiller`` for slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Bools, Detections, Integers, Time

MIN_WINDOW = 16  # points; a scorer that looks back on fewer gets blocks of
SHORT_BLOCK = 48  # points, for a block must say something of level and scale

Confirmed = Callable[[], Sequence[tuple[int, int]]]  # first and last times, as whole numbers


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive slots of a stream, and what the detector said of them."""

    time: Time  # (B,) of the rows
    values: Array  # (B, F)
    errors: Array  # (B,) NaN where unknown
    anomalies: Bools  # (B,)
    predictions: Array  # (B, F) NaN where unknown
    is_row: Bools  # (B,) False where no row came, or an empty one, and the value was filled in

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, places: slice | Bools) -> Block:
        return Block(*(getattr(self, field.name)[places] for field in fields(self)))

    @staticmethod
    def concatenate(parts: Sequence[Block]) -> Block:
        """Join consecutive blocks, at least one."""
        return Block(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Block)))

    @staticmethod
    def unjudged(slots: Slots, errors: Array) -> Block:
        """Slots with errors (N,), of which none is an anomaly."""
        count, unknown = len(slots.values), np.full(slots.values.shape, np.nan)
        return Block(slots.time, slots.values, errors, np.zeros(count, bool), unknown, slots.is_row)

    @staticmethod
    def of(slots: Detections, is_row: Bools) -> Block:
        """What was detected in slots (N,), some of which are rows."""
        return Block(slots.time, slots.values, slots.errors, slots.anomalies, slots.predictions, is_row)

    @property
    def is_complete(self) -> Bools:
        """Which slots (B,) have no missing value."""
        return np.asarray(~np.isnan(self.values).any(axis=1))

    @property
    def judged_errors(self) -> Array:
        """Errors (B,); NaN where unknown, and where no row came."""
        return np.where(self.is_row, self.errors, np.nan)

    def state(self) -> State:
        """All slots."""
        flags = np.column_stack([self.anomalies, self.is_row]).astype(np.int64)
        numbers: State = {"values": self.values.copy(), "errors": self.errors.copy(), "predictions": self.predictions.copy()}
        return {"time": self.time.astype(np.int64), "dated": self.time.dtype.kind == "M", "flags": flags, **numbers}

    @staticmethod
    def load(state: State) -> Block:
        """The slots that ``state`` gave. Raises ModelFileError: damaged."""
        saved = Reader(state, "a block")
        values, predictions = (saved.array(name, ("N", "F"), finite=False) for name in ("values", "predictions"))
        errors, time = saved.array("errors", ("N",), finite=False), saved.integers("time", ("N",))
        anomalies, is_row = saved.integers("flags", ("N", 2)).astype(bool).T
        dated = time.astype("datetime64[ns]") if saved.boolean("dated") else time
        return Block(dated, values, errors, anomalies, predictions, is_row)


class Slots(NamedTuple):
    """Slots of N rows."""

    time: Time  # (M,) of the row with which each came
    values: Array  # (M, F)
    is_row: Bools  # (M,) see ``Block``
    ends: Integers  # (N,) how many there are with each row

    @staticmethod
    def of(filled: tuple[Array, Integers | None], time: Time, values: Array) -> Slots:
        """Slots that rows (N,), (N, F) were ``filled`` into, see ``SlotFiller.process``."""
        slots, ends = filled
        if ends is None:
            return Slots(time, values, np.ones(len(values), bool), np.arange(1, len(values) + 1))
        is_row = np.zeros(len(slots), bool)
        is_row[ends[~np.isnan(values).all(axis=1)] - 1] = True
        return Slots(time[np.searchsorted(ends, np.arange(1, len(slots) + 1))], slots, is_row, ends)

    def to_rows(self, found: Detections, rows: int, time: Time, values: Array) -> Detections:
        """Detections of the first so many rows, of rows (N,), (N, F), from those found in their slots."""
        time, values = time[:rows], values[:rows]
        detections, places = Detections.unknown(time, values), np.flatnonzero(~np.isnan(values).all(axis=1))
        for name in ("predictions", "errors", "thresholds", "scores", "anomalies", "contributions"):
            getattr(detections, name)[places] = getattr(found, name)[self.ends[places] - 1]
        return detections


class BlockBuffer:
    """Collects slots until enough of them are complete for a block."""

    def __init__(self) -> None:
        self._parts: list[Block] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, part: Block) -> None:
        """Add slots."""
        self._parts.append(part)
        self._count += int(np.count_nonzero(part.is_complete))

    def pop(self) -> Block:
        """Take all slots out; the next block begins."""
        block = Block.concatenate(self._parts)
        self._parts, self._count = [], 0
        return block

    def state(self) -> State:
        """The slots; empty without any."""
        return Block.concatenate(self._parts).state() if self._parts else {}

    def load(self, state: State) -> None:
        """Restore ``state``."""
        self._parts, self._count = [], 0
        if state:
            self.add(Block.load(state))


class HistoryBuffer:
    """The newest slots of a stream.

    Args:
        capacity: slots that are kept.
        confirmed: gives first and last times of anomalies that people have confirmed, as they are now.

    Attributes:
        slots: these; their errors are the current model's.
        seen: slots added since the beginning of the stream.
    """

    def __init__(self, capacity: int, confirmed: Confirmed = tuple) -> None:
        self._capacity, self._confirmed = capacity, confirmed
        self.slots = Block.unjudged(Slots.of((np.empty((0, 1)), None), np.empty(0, np.int64), np.empty((0, 1))), np.empty(0))
        self.seen = 0

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def values(self) -> Array:
        """(N, F)."""
        return self.slots.values

    @property
    def errors(self) -> Array:
        """(N,) of the current model; NaN where unknown."""
        return self.slots.judged_errors

    @property
    def anomalies(self) -> Bools:
        """(N,)."""
        return self.slots.anomalies

    @property
    def confirmed(self) -> Bools:
        """Which slots (N,) lie in an anomaly that was confirmed."""
        time, found = self.slots.time.astype(np.int64), np.zeros(len(self), np.bool_)
        for first, last in self._confirmed():
            found |= (first <= time) & (time <= last)
        return found

    @property
    def rows(self) -> Block:
        """The slots that are rows, without the values of confirmed anomalies."""
        known = replace(self.slots, values=np.where(self.confirmed[:, None], np.nan, self.values))
        return known[known.is_row]

    def add(self, block: Block) -> None:
        """Add slots; the oldest ones leave."""
        self.seen += len(block)
        self.begin_with(Block.concatenate([self.slots, block]) if len(self) else block)

    def begin_with(self, slots: Block) -> None:
        """Keep these slots instead of the others."""
        self.slots, self.seen = slots[-self._capacity :], max(self.seen, len(slots))

    def replace_errors(self, errors: Array) -> None:
        """Another model is the current one: its errors (K,) of the newest slots; those of older ones are unknown."""
        self.slots = replace(self.slots, errors=np.concatenate([np.full(len(self) - len(errors), np.nan), errors]))

    def state(self) -> State:
        """All attributes."""
        return {**self.slots.state(), "seen": self.seen}

    def load(self, state: State) -> None:
        """Restore ``state``."""
        self.slots = Block.load(state)
        self.seen = Reader(state, "the recent points").integer("seen", 0)
