"""NearestWindow: how unlike anything seen before a stretch is, by its nearest neighbour among normal windows.

The network says how well it accounts for a point; this memory says whether it had a chance to know. Neighbour distances lead the tables
of unsupervised detection (Yeh et al. 2016, doi 10.1109/ICDM.2016.0179).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import ClassVar
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, Resettable, State, integer
from autoencoder.core.types import Array
from autoencoder.scorers.overlap import fold, unfold

MAX_EXACT = 1 << 24  # whole numbers up to here are exact in float32
LEVELS = 127  # of a value on each side of zero at most, so that a window is saved in a byte a step
CUT_OFF = 4.0  # training deviations at which a value is cut off; what lies beyond is unlike everything already
BLOCK = 64  # points after which new windows enter the memory; constant in between, so that whole blocks are compared at once
EVERY = 8  # of the stream's windows one in so many is remembered: neighbours in time are alike

Codes = npt.NDArray[np.float32]
_TABLES: WeakValueDictionary[bytes, Codes] = WeakValueDictionary()  # of training parts, by the digest of their codes


@dataclass(eq=False)
class NearestWindow(Resettable):
    """Normal windows, and the distance of a window to the nearest of them.

    Windows are held as whole numbers in float32, small enough that every sum in a matrix product is exact: so a distance does not depend on
    how many windows are compared in one call. The training part's windows stay; those of the stream enter once they are older than ``lag``
    points, the oldest of them leaving when the memory is full.

    A squared distance |a - m|^2 is |a|^2 + (-2 a m + |m|^2). A memory is a table with a column a window: -2 m, and below it |m|^2, which is
    infinite where there is no window yet.
    """

    name = "the window memory"
    STATE: ClassVar = {"_count": integer("count"), "_position": integer("position")}

    size: int  # windows that are remembered: at most two thirds from the training part, and a third from the stream
    dimension: int  # numbers in a window (steps times columns)
    lag: int  # points that a window must be old before it counts as normal
    step: int = 1  # numbers by which a step of the window moves on (columns)
    stride: int = 1  # points that a step covers

    def __post_init__(self) -> None:
        most = math.isqrt(MAX_EXACT // self.dimension) - 1  # a product of two windows is at most D levels^2
        self._levels = max(2, min(LEVELS, most))
        self._unit = CUT_OFF / self._levels
        self.trained = self._table(0)  # windows of the training part, a column each; memories of several streams may share them
        self._folded_trained: State = {}
        self.reset()

    def reset(self) -> None:
        """Begin another stream: only the training part's windows stay."""
        self.seen = self._table(0)  # windows of the stream
        self._waiting = np.empty((0, self.dimension), np.float32)  # those that are not old enough
        self._count = 0  # windows of the stream that entered, those included that had to leave again
        self._position = 0  # windows compared so far
        self._folded_seen: tuple[int, State] = -1, {}  # as they were after so many entered

    def fit(self, windows: Array, gap: int) -> Array:
        """Remember the training part's windows (N, D) -> distance (N,) of each to the nearest that lies ``gap`` or more away."""
        codes = self.encode(windows)
        rows = np.unique(np.linspace(0, len(codes) - 1, min(len(codes), self.size - self.size // 3)).astype(int))
        self.trained = self._columns(codes[rows])
        self._folded_trained = self._folded(codes[rows], int(rows[1]) if len(rows) > 1 else 1)
        self.reset()
        distances = []
        for first in range(0, len(codes), BLOCK):
            block = codes[first : first + BLOCK]
            squares = block @ self.trained[:-1] + self.trained[-1]  # (B, M), less |a|^2
            squares[np.abs(first + np.arange(len(block))[:, None] - rows) < gap] = np.inf
            lowest = squares.min(axis=1)
            distances.append(np.where(np.isfinite(lowest), self.distance(block, lowest), 0.0))  # all may be too close
        return np.concatenate(distances)

    def compare(self, windows: Array) -> Array:
        """Distance (N,) of consecutive windows (N, D) to the nearest remembered one, a root mean square in the windows' unit."""
        codes = self.encode(windows)
        lowest = np.empty(len(codes), np.float32)
        done = 0
        while done < len(codes):
            stop = min(len(codes), done + BLOCK - self._position % BLOCK)
            block = codes[done:stop]
            lowest[done:stop] = nearest(block, self.trained)
            if self._count:
                lowest[done:stop] = np.minimum(lowest[done:stop], nearest(block, self.seen))
            self.learn(block)
            done = stop
        return self.distance(codes, lowest)

    def learn(self, codes: Codes) -> None:
        """Take in windows (N, D) that have been compared, at most up to the next multiple of ``BLOCK``; some are remembered."""
        first = -self._position % EVERY
        if first < len(codes):
            self._waiting = np.concatenate([self._waiting, codes[first::EVERY]])
        self._position += len(codes)
        if self._position % BLOCK == 0:
            self._admit()

    def encode(self, windows: Array) -> Codes:
        """Windows (N, D) as whole numbers."""
        return np.rint(np.minimum(np.maximum(windows, -CUT_OFF), CUT_OFF) / self._unit).astype(np.float32)

    def distance(self, codes: Codes, lowest: Codes) -> Array:
        """Distance (N,) of codes (N, D) to a window whose column gave ``lowest`` (N,), the least of all; see ``nearest``."""
        squares = lowest + np.add.reduce(np.square(codes), axis=1, dtype=np.float64)
        return np.asarray(np.sqrt(squares) * self._unit / math.sqrt(self.dimension))

    def _table(self, columns: int) -> Codes:
        """Room for so many windows."""
        table = np.zeros((self.dimension + 1, columns), np.float32)
        table[-1] = np.inf
        return table

    def _columns(self, codes: Codes) -> Codes:
        """Codes (K, D) as columns of a table, (D + 1, K)."""
        return np.vstack([-2.0 * codes.T, np.square(codes).sum(axis=1)])

    def _shared(self, codes: npt.NDArray[np.int8]) -> Codes:
        """The table of codes (K, D), one for all memories with the same: series that use one model would hold it each."""
        key = hashlib.sha256(codes.tobytes()).digest()
        table = _TABLES.get(key)
        if table is None:
            table = _TABLES[key] = self._columns(codes.astype(np.float32))
        return table

    def _admit(self) -> None:
        """Move the windows that are old enough into the memory."""
        ready = max(0, len(self._waiting) - -(-self.lag // EVERY))
        entering, self._waiting = self._waiting[:ready], self._waiting[ready:]
        if not len(entering):
            return
        most = self.size // 3
        places = (self._count + np.arange(len(entering))) % most
        room, needed = self.seen.shape[1], int(places.max()) + 1
        if needed > room:  # twice as much, so that it is seldom moved
            self.seen = np.hstack([self.seen, self._table(min(max(needed, 2 * room), most) - room)])
        self.seen[:, places] = self._columns(entering)
        self._count += len(entering)

    def _folded(self, codes: Codes, apart: int) -> State:
        """Codes (K, D) of windows, each so many points behind the one before it, as a state."""
        same = math.gcd(apart, self.stride)  # windows so many points apart times stride / same have whole steps in common
        # those less than a step apart have most points of each step in common
        return fold(codes.astype(np.int8), self.stride // same if apart >= self.stride else 0, apart // same * self.step)

    def _codes(self, table: Codes) -> Codes:
        """Codes (K, D) of a table, (D + 1, K)."""
        return np.asarray(table[:-1].T / -2.0)

    def state(self) -> State:
        """The windows, and how many there have been."""
        if self._folded_seen[0] != self._count:
            seen = self._codes(self.seen[:, : min(self._count, self.seen.shape[1])])
            self._folded_seen = self._count, self._folded(seen, EVERY)
        windows: State = {"trained_windows": self._folded_trained, "seen_windows": self._folded_seen[1]}
        return {**windows, "waiting_windows": self._folded(self._waiting, EVERY), **super().state()}

    def _complete(self, saved: Reader) -> None:
        trained, seen, waiting = (self._unfolded(saved, key) for key in ("trained", "seen", "waiting"))
        most = self.size // 3
        if not 0 < len(trained) <= self.size - most or not len(seen) <= min(most, self._count):
            raise saved.fault("trained", f"holds {len(trained):,} + {len(seen):,} windows; this program keeps {self.size:,}")
        self._waiting = waiting.astype(np.float32)
        self.trained, self.seen = self._shared(trained), self._columns(seen.astype(np.float32))
        self._folded_trained = (
            self._folded(self._codes(self.trained), 1) if saved.has("trained") else saved.state("trained_windows")
        )
        self._folded_seen = -1, {}

    def _unfolded(self, saved: Reader, key: str) -> npt.NDArray[np.int8]:
        """Codes (K, D), as they are saved under that key, or folded."""
        if saved.has(key):  # of an older model
            codes = saved.integers(key, (None, self.dimension), -LEVELS, LEVELS).astype(np.int8)
        else:
            codes = unfold(saved.state(f"{key}_windows"), self.dimension, self.name)
        if codes.size and max(-int(codes.min()), int(codes.max())) > self._levels:
            raise saved.fault(key, f"holds numbers that are not from {-self._levels} to {self._levels}")
        return codes


def nearest(codes: Codes, table: Codes) -> Codes:
    """The least of -2 a m + |m|^2 for each a of codes (N, D) over the windows m in a table (D + 1, M) -> (N,)."""
    squares = codes @ table[:-1]  # (N, M)
    squares += table[-1]
    return np.asarray(np.minimum.reduce(squares, axis=1))
