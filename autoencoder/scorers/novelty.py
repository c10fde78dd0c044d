"""Novelty: how unlike anything seen before a stretch is, by its nearest neighbour among normal windows and by the range of the values.

The network says how well it accounts for a point; these two say whether it had a chance to know. Neighbour distances lead the tables of
unsupervised detection (Yeh et al. 2016, doi 10.1109/ICDM.2016.0179).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from autoencoder.errors import ModelError
from autoencoder.scorers.base import Array
from autoencoder.state import Reader, State

EXACT = 1 << 24  # whole numbers up to here are exact in float32
REACH = 4.0  # training deviations at which a value is cut off; what lies beyond is unlike everything already
BLOCK = 64  # points after which new windows enter the memory; constant in between, so that whole blocks are compared at once
EVERY = 8  # of the stream's windows one in so many is remembered: neighbours in time are alike

Codes = npt.NDArray[np.float32]


class WindowMemory:
    """Normal windows, and the distance of a window to the nearest of them.

    Windows are held as whole numbers in float32, small enough that every sum in a matrix product is exact: so a distance does not depend on
    how many windows are compared in one call. The training part's windows stay; those of the stream enter once they are older than ``lag``
    points, the oldest of them leaving when the memory is full.

    Args:
        size: windows that are remembered, half of them at most from the training part.
        dimension: numbers in a window (steps times columns).
        lag: points that a window must be old before it counts as normal.
    """

    def __init__(self, size: int, dimension: int, lag: int) -> None:
        self._size = size
        self._lag = lag
        self._levels = max(2, math.isqrt(EXACT // dimension) - 1)
        self._unit = REACH / self._levels
        self._root = math.sqrt(dimension)
        self._dimension = dimension
        self._codes = np.zeros((size, dimension), np.float32)  # the memory, the first ``_count`` rows in use
        self._lengths = np.zeros(size, np.float32)  # their sums of squares
        self._count = 0
        self._kept = 0  # of it, windows of the training part
        self._oldest = 0  # row that the next window of the stream overwrites, once the memory is full
        self._waiting = np.empty((0, dimension), np.float32)  # windows that are not old enough
        self._position = 0  # windows compared so far

    def fit(self, windows: Array, exclude: int) -> Array:
        """Remember the training part's windows (N, D) -> distance (N,) of each to the nearest that lies ``exclude`` or more away."""
        codes = self._encode(windows)
        rows = np.unique(np.linspace(0, len(codes) - 1, min(len(codes), self._size // 2)).astype(int))
        self._store(codes[rows], kept=len(rows))
        self._oldest = self._position = 0
        self._waiting = self._waiting[:0]
        distances = [
            self._nearest(
                codes[first : first + BLOCK], np.abs(np.arange(first, min(first + BLOCK, len(codes)))[:, None] - rows) < exclude
            )
            for first in range(0, len(codes), BLOCK)
        ]
        return np.concatenate(distances)

    def compare(self, windows: Array) -> Array:
        """Distance (N,) of consecutive windows (N, D) to the nearest remembered one, a root mean square in the windows' unit."""
        codes = self._encode(windows)
        distances = np.empty(len(codes))
        done = 0
        while done < len(codes):
            stop = min(len(codes), done + BLOCK - self._position % BLOCK)
            distances[done:stop] = self._nearest(codes[done:stop])
            remembered = (self._position + np.arange(stop - done)) % EVERY == 0
            self._waiting = np.concatenate([self._waiting, codes[done:stop][remembered]])
            self._position += stop - done
            done = stop
            if self._position % BLOCK == 0:
                self._admit()
        return distances

    def _encode(self, windows: Array) -> Codes:
        """Windows (N, D) as whole numbers."""
        whole: Codes = np.rint(np.clip(windows, -REACH, REACH) / self._unit).astype(np.float32)
        return whole

    def _nearest(self, codes: Codes, hidden: npt.NDArray[np.bool_] | None = None) -> Array:
        """Distance (N,) of codes (N, D) to the nearest in the memory (M, D), but for the ``hidden`` pairs (N, M)."""
        squares = self._lengths[: self._count] - 2.0 * (codes @ self._codes[: self._count].T)  # (N, M)
        if hidden is not None:
            squares[hidden] = np.inf
        nearest = squares.min(axis=1).astype(np.float64) + np.square(codes).sum(axis=1)
        return np.sqrt(np.where(np.isfinite(nearest), nearest, 0.0)) * self._unit / self._root

    def _store(self, codes: Codes, kept: int) -> None:
        """Make codes (M, D) the memory."""
        self._count, self._kept = len(codes), kept
        self._codes[: len(codes)] = codes
        self._lengths[: len(codes)] = np.square(codes).sum(axis=1)

    def _admit(self) -> None:
        """Move the windows that are old enough into the memory."""
        ready = max(0, len(self._waiting) - -(-self._lag // EVERY))
        for code in self._waiting[:ready]:
            row = self._count
            if row < self._size:
                self._count += 1
            else:
                row = self._kept + self._oldest
                self._oldest = (self._oldest + 1) % (self._size - self._kept)
            self._codes[row] = code
            self._lengths[row] = np.square(code).sum()
        self._waiting = self._waiting[ready:]

    def restart(self) -> None:
        """Another stream begins: only the training part's windows stay."""
        self._waiting = self._waiting[:0]
        self._count, self._oldest, self._position = self._kept, 0, 0

    def state(self) -> State:
        """The windows, and which of them goes next."""
        return {
            "codes": self._codes[: self._count].astype(np.int64),
            "waiting": self._waiting.astype(np.int64),
            "kept": self._kept,
            "oldest": self._oldest,
            "position": self._position,
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the window memory")
        codes = saved.integers("codes", (None, self._dimension))
        if len(codes) > self._size:
            raise ModelError(
                f"the saved window memory holds {len(codes):,} windows; this program keeps {self._size:,}; train again"
            )
        self._store(codes.astype(np.float32), saved.integer("kept", 1, min(self._size - 1, len(codes))))
        self._waiting = saved.integers("waiting", (None, self._dimension)).astype(np.float32)
        self._oldest = saved.integer("oldest", 0, self._size - self._kept - 1)
        self._position = saved.integer("position", 0)


class SeenRange:
    """The range of the values so far, and how far a point lies outside of it."""

    def __init__(self) -> None:
        self._trained = (np.empty(0), np.empty(0))  # lowest and highest (F,) of the training part
        self._low, self._high = self._trained  # and of all so far

    def fit(self, values: Array) -> None:
        """Start from values (N, F)."""
        self._trained = (values.min(axis=0), values.max(axis=0))
        self.restart()

    def restart(self) -> None:
        """Another stream begins: only the training part's range stays."""
        self._low, self._high = self._trained

    def compare(self, values: Array) -> Array:
        """How far values (N, F) lie outside what came before each of them, as a share of that range -> (N,), the widest column's."""
        highs = np.maximum.accumulate(np.vstack([self._high, values]))  # (N + 1, F)
        lows = np.minimum.accumulate(np.vstack([self._low, values]))
        width = np.maximum(highs - lows, np.finfo(float).tiny)[:-1]
        outside = np.maximum(np.maximum(values - highs[:-1], lows[:-1] - values), 0.0) / width
        self._low, self._high = lows[-1], highs[-1]
        widest: Array = outside.max(axis=1)
        return widest

    def state(self) -> State:
        """Both ranges."""
        low, high = self._trained
        return {"trained_low": low.copy(), "trained_high": high.copy(), "low": self._low.copy(), "high": self._high.copy()}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the range seen")
        low = saved.array("trained_low", (None,))
        self._trained = (low, saved.array("trained_high", low.shape))
        self._low, self._high = saved.array("low", low.shape), saved.array("high", low.shape)
