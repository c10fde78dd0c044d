"""Buffers: the slots of the block that is filling up, and the newest slots of the stream; see ``SlotFiller`` for slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

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
    seen: Array  # (M, F) the same, but NaN where a cell of a row was missing
    is_row: Bools  # (M,) see ``Block``
    ends: Integers | None  # (N,) how many there are with each row; None where they are the rows, and all are complete
    complete: Integers  # (M,) how many without a missing value there are with each slot

    @staticmethod
    def of(filled: tuple[Array, Integers | None], time: Time, values: Array) -> Slots:
        """Slots that rows (N,), (N, F) were ``filled`` into, see ``SlotFiller.process``."""
        slots, ends = filled
        complete = np.cumsum(~np.isnan(slots).any(axis=1), dtype=np.int64)
        if ends is None and not np.isnan(values).any():
            return Slots(time, values, values, np.ones(len(values), bool), None, complete)
        if ends is None:
            return Slots(time, slots, values, np.ones(len(values), bool), np.arange(1, len(values) + 1), complete)
        is_row, seen = np.zeros(len(slots), bool), slots.copy()
        rows = np.flatnonzero(~np.isnan(values).all(axis=1))
        is_row[ends[rows] - 1], seen[ends[rows] - 1] = True, values[rows]
        return Slots(time[np.searchsorted(ends, np.arange(1, len(slots) + 1))], slots, seen, is_row, ends, complete)

    def __len__(self) -> int:
        return len(self.values)

    def after(self, done: int, count: int) -> int:
        """How many slots there are with so many complete ones (``count``) behind those that are ``done``, or all there are."""
        known = int(self.complete[done - 1]) if done else 0
        return min(len(self), int(np.searchsorted(self.complete, known + count)) + 1)

    def complete_in(self, part: slice) -> int:
        """How many slots of a part are complete."""
        return int(self.complete[part.stop - 1] - (self.complete[part.start - 1] if part.start else 0)) if part.stop else 0

    def row_of(self, done: int) -> int:
        """The row that is there with the first ``done`` slots; -1 where the first one is not."""
        if self.ends is None:
            return done - 1
        row = int(np.searchsorted(self.ends, done))
        return row - int(self.ends[row] > done)  # slots before the next row are filled in

    def to_rows(self, found: Detections, rows: int, time: Time, values: Array) -> Detections:
        """Detections of the first so many rows, of rows (N,), (N, F), from those found in their slots."""
        if self.ends is None:
            return found
        time, values = time[:rows], values[:rows]
        detections, places = Detections.unknown(time, values), np.flatnonzero(~np.isnan(values).all(axis=1))
        for name in ("predictions", "errors", "thresholds", "scores", "anomalies", "contributions"):
            getattr(detections, name)[places] = getattr(found, name)[self.ends[places] - 1]
        return detections


class BlockBuffer:
    """Collects slots until enough of them are complete for a block."""

    def __init__(self) -> None:
        self._parts: list[tuple[Detections | Block, Bools | None]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, part: Detections | Block, is_row: Bools | None, complete: int) -> None:
        """Add slots, of which so many are complete; without ``is_row`` all are rows."""
        self._parts.append((part, is_row))
        self._count += complete

    def _joined(self) -> Block:
        names = ("time", "values", "errors", "anomalies", "predictions")
        joined: list[Any] = [np.concatenate([getattr(part, name) for part, _ in self._parts]) for name in names]
        joined += [np.concatenate([np.ones(len(part), bool) if rows is None else rows for part, rows in self._parts])]
        return Block(*joined)

    def pop(self) -> Block:
        """Take all slots out; the next block begins."""
        block = self._joined()
        self._parts, self._count = [], 0
        return block

    def state(self) -> State:
        """The slots; empty without any."""
        return self._joined().state() if self._parts else {}

    def load(self, state: State) -> None:
        """Restore ``state``."""
        self._parts, self._count = [], 0
        if state:
            block = Block.load(state)
            self.add(block, block.is_row, int(np.count_nonzero(block.is_complete)))


@dataclass(eq=False)
class HistoryBuffer:
    """The newest slots of a stream; blocks are joined when they are asked for, as that costs more than what is done with most of them."""

    capacity: int  # slots that are kept
    find_confirmed: Confirmed = tuple  # gives first and last times of anomalies that people have confirmed, as they are now

    def __post_init__(self) -> None:
        self._parts: list[Block] = []
        self._count = 0  # of slots in all parts
        self.seen = 0  # slots added since the beginning of the stream

    def __len__(self) -> int:
        return min(self._count, self.capacity)

    @property
    def slots(self) -> Block:
        """These; their errors are the current model's."""
        if not self._parts:
            nothing = np.empty((0, 1))
            return Block.unjudged(Slots.of((nothing, None), np.empty(0, np.int64), nothing), np.empty(0))
        if len(self._parts) > 1 or self._count > self.capacity:
            self._keep(Block.concatenate(self._parts)[-self.capacity :])
        return self._parts[0]

    def _keep(self, slots: Block) -> None:
        self._parts, self._count = [slots] if len(slots) else [], len(slots)  # the first ones may have another kind of time

    @property
    def values(self) -> Array:
        """(N, F)."""
        return self.slots.values

    def newest(self, count: int) -> Array | None:
        """Values (count, F) of the newest slots; None where there are fewer."""
        if len(self) < count:
            return None
        last = self._parts[-1].values
        return (last if len(last) >= count else self.values)[-count:]

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
        for first, last in self.find_confirmed():
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
        self._parts.append(block)
        self._count += len(block)
        if self._count > 2 * self.capacity:
            self._keep(self.slots)

    def begin_with(self, slots: Block) -> None:
        """Keep these slots instead of the others."""
        self._keep(slots[-self.capacity :])
        self.seen = max(self.seen, len(slots))

    def replace_errors(self, errors: Array) -> None:
        """Another model is the current one: its errors (K,) of the newest slots; those of older ones are unknown."""
        self._keep(replace(self.slots, errors=np.concatenate([np.full(len(self) - len(errors), np.nan), errors])))

    def state(self) -> State:
        """All attributes."""
        return {**self.slots.state(), "seen": self.seen}

    def load(self, state: State) -> None:
        """Restore ``state``."""
        self._keep(Block.load(state))
        self.seen = Reader(state, "the recent points").integer("seen", 0)
