"""StreamPosition: up to which time a detector has seen its stream, and whether other points can follow."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, State, Stateful, boolean
from autoencoder.core.types import Time


class StreamPosition(Stateful):
    """Where a detector stands in its stream.

    Examples:
        >>> position = StreamPosition()
        >>> position.advance(np.array(["2024-03-01", "2024-03-02"], "datetime64[ns]"))
        >>> [position.can_go_on(np.array([day], "datetime64[ns]")) for day in ("2024-03-02", "2024-03-09")]
        [False, True]
    """

    name = "the position"
    STATE: ClassVar = {"is_at_start": boolean("at_start")}

    def __init__(self) -> None:
        self.newest: Time = np.empty(0, np.int64)  # (1,) time of the newest point; (0,) before the first
        self.is_at_start = False  # what was learnt comes from a saved model, and no point has come since

    def advance(self, time: Time) -> None:
        """Points at times (N,) have come, at least one."""
        self.newest, self.is_at_start = time[-1:].copy(), False

    def can_go_on(self, time: Time) -> bool:
        """Whether points at times (N,) come after all that was seen; without timestamps on either side they simply follow."""
        are_dated = len(time) and len(self.newest) and time.dtype.kind == self.newest.dtype.kind == "M"
        return not are_dated or bool(time[0] > self.newest[0])

    def state(self) -> State:
        """See ``Stateful``."""
        return {**super().state(), "newest": self.newest.astype(np.int64), "dated": self.newest.dtype.kind == "M"}

    def _complete(self, saved: Reader) -> None:
        newest = saved.integers("newest", (None,))[-1:]
        self.newest = newest.astype("datetime64[ns]") if saved.boolean("dated") else newest
