"""Watch: what the newest blocks of a stream look like, and whether that has changed for good."""

from __future__ import annotations

import numpy as np

from autoencoder.adaptation.drift import Drift, DriftMonitor, block_figures
from autoencoder.adaptation.recent import Bools
from autoencoder.core.state import State
from autoencoder.scorers.base import Array


class Watch:
    """Draws up the figures of each block and shows them to a ``DriftMonitor``.

    Args:
        patience: blocks for which a change must stay.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._monitor: DriftMonitor | None = None

    def take(self, values: Array, before: Array | None, errors: Array, flags: Bools) -> Drift | None:
        """A block (B, F) after another one, with its errors (B,) and flags (B,) -> the change that has now stayed for long enough."""
        figures = block_figures(values, before, errors, flags)
        if self._monitor is None:
            self._monitor = DriftMonitor(self._patience, values.shape[1])
        return self._monitor.take(figures)

    def refer(self, values: Array, errors: Array, block: int) -> None:
        """Take the blocks of normal values (N, F) with errors (N,) for the reference."""
        quiet = np.zeros(block, dtype=bool)
        figures = [
            block_figures(values[start : start + block], values[start - block : start], errors[start : start + block], quiet)
            for start in range(len(values) % block + block, len(values), block)
        ]
        self._monitor = DriftMonitor(self._patience, values.shape[1])
        self._monitor.refer(np.array(figures).reshape(-1, 3 * values.shape[1] + 2))

    def accept(self) -> None:
        """Take the newest blocks for the reference: nothing better is known."""
        if self._monitor:
            self._monitor.accept()

    def forget(self) -> None:
        """Begin anew."""
        self._monitor = None

    def state(self) -> State:
        """The monitor's; nothing where there is none yet."""
        return self._monitor.state() if self._monitor else {}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        self._monitor = None
        if state:
            self._monitor = DriftMonitor(self._patience, 1)
            self._monitor.load(state)
