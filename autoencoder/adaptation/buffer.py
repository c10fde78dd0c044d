"""Buffers: the points of the block that is filling up, and the newest points of the stream."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Bools, Detections


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive points without a missing value, and what the detector said of them."""

    values: Array  # (B, F)
    errors: Array  # (B,) NaN where unknown
    anomalies: Bools  # (B,)
    predictions: Array  # (B, F) NaN where unknown


COLUMNS = [field.name for field in fields(Block)]


class BlockBuffer:
    """Collects points until there are enough for a block; points with a missing value are left out."""

    def __init__(self) -> None:
        self._parts: list[Block] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, detections: Detections) -> None:
        """Add the points of detections (N)."""
        rows = ~np.isnan(detections.values).any(axis=1)
        self._parts.append(Block(*(getattr(detections, name)[rows] for name in COLUMNS)))
        self._count += int(rows.sum())

    def pop(self) -> Block:
        """Take all points out; the next block begins."""
        block = self._joined()
        self._parts, self._count = [], 0
        return block

    def _joined(self) -> Block:
        return Block(*(np.concatenate([getattr(part, name) for part in self._parts]) for name in COLUMNS))

    def state(self) -> State:
        """The points; empty without any."""
        if not self._count:
            return {}
        block = self._joined()
        flags = block.anomalies.astype(np.float64)
        return {"values": block.values, "errors": block.errors, "flags": flags, "predictions": block.predictions}

    def load(self, state: State) -> None:
        """Restore ``state``."""
        self._parts, self._count = [], 0
        if state:
            saved = Reader(state, "a block")
            values = saved.array("values", (None, None))
            errors, flags = (saved.array(name, (len(values),), finite=False) for name in ("errors", "flags"))
            predictions = saved.array("predictions", values.shape, finite=False)
            self._parts, self._count = [Block(values, errors, flags.astype(bool), predictions)], len(values)


class HistoryBuffer:
    """The newest points of a stream without a missing value.

    Args:
        capacity: points that are kept.

    Attributes:
        values: (N, F).
        errors: (N,) of the current model; NaN where unknown.
        anomalies: (N,) bool.
        seen: points added since the beginning of the stream.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.values: Array = np.empty((0, 1))
        self.errors = np.empty(0)
        self.anomalies: Bools = np.empty(0, bool)
        self.seen = 0

    def __len__(self) -> int:
        return len(self.values)

    def add(self, values: Array, errors: Array, anomalies: Bools) -> None:
        """Add points (N, F); the oldest ones leave."""
        kept = self.values if len(self) else values[:0]
        self.values = np.concatenate([kept, values])[-self._capacity :]
        self.errors = np.concatenate([self.errors, errors])[-self._capacity :]
        self.anomalies = np.concatenate([self.anomalies, anomalies])[-self._capacity :]
        self.seen += len(values)

    def replace_errors(self, errors: Array) -> None:
        """Another model is the current one: its errors (K,) of the newest points; those of older points are unknown."""
        self.errors = np.concatenate([np.full(len(self) - len(errors), np.nan), errors])

    def state(self) -> State:
        """All attributes."""
        flags = self.anomalies.astype(np.int64)
        return {"values": self.values.copy(), "errors": self.errors.copy(), "flags": flags, "seen": self.seen}

    def load(self, state: State) -> None:
        """Restore ``state``."""
        saved = Reader(state, "the recent points")
        self.values = saved.array("values", (None, None))
        self.errors = saved.array("errors", (len(self),), finite=False)
        self.anomalies = saved.integers("flags", (len(self),)).astype(bool)
        self.seen = saved.integer("seen", 0)
