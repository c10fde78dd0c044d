"""WindowMemory: how unlike anything seen before a stretch is, by its nearest neighbour among normal windows.

The network says how well it accounts for a point; the memory says whether it had a chance to know. Neighbour distances lead the tables of
unsupervised detection (Yeh et al. 2016, doi 10.1109/ICDM.2016.0179).
"""

from __future__ import annotations

import copy
import math

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelError
from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array

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

    A squared distance |a - m|^2 is |a|^2 + (-2 a m + |m|^2). A memory is a table with a column a window: -2 m, and below it |m|^2, which is
    infinite where there is no window yet.

    Args:
        size: windows that are remembered, half of them at most from the training part.
        dimension: numbers in a window (steps times columns).
        lag: points that a window must be old before it counts as normal.
        quarantine: windows of the stream with a flagged point in them never enter; which ones were flagged is told by ``judge``.
    """

    def __init__(self, size: int, dimension: int, lag: int, *, quarantine: bool = False) -> None:
        self._size = size
        self._lag = lag
        self._quarantine = quarantine
        self._levels = max(2, math.isqrt(EXACT // dimension) - 1)  # a product of two windows is at most D levels^2
        self._unit = REACH / self._levels
        self._root = math.sqrt(dimension)
        self._dimension = dimension
        self._waiting: Codes
        self._flagged: npt.NDArray[np.int64]
        self.trained = self._table(0)  # windows of the training part, a column each: -2 m and |m|^2
        self.seen = self._table(
            0
        )  # windows of the stream; a memory of another stream may hold the same ``trained``, but not these
        self.reset()

    def fit(self, windows: Array, exclude: int) -> Array:
        """Remember the training part's windows (N, D) -> distance (N,) of each to the nearest that lies ``exclude`` or more away."""
        codes = self.encode(windows)
        rows = np.unique(np.linspace(0, len(codes) - 1, min(len(codes), self._size // 2)).astype(int))
        self.trained = self._columns(codes[rows])
        self.reset()
        distances = []
        for first in range(0, len(codes), BLOCK):
            block = codes[first : first + BLOCK]
            squares = block @ self.trained[:-1] + self.trained[-1]  # (B, M), less |a|^2
            squares[np.abs(first + np.arange(len(block))[:, None] - rows) < exclude] = np.inf
            nearest = squares.min(axis=1)
            distances.append(np.where(np.isfinite(nearest), self.distance(block, nearest), 0.0))  # all may be too close
        return np.concatenate(distances)

    def compare(self, windows: Array) -> Array:
        """Distance (N,) of consecutive windows (N, D) to the nearest remembered one, a root mean square in the windows' unit."""
        codes = self.encode(windows)
        nearest = np.empty(len(codes), np.float32)
        done = 0
        while done < len(codes):
            stop = min(len(codes), done + BLOCK - self._position % BLOCK)
            block = codes[done:stop]
            lowest_of_all = lowest(block, self.trained)
            if self._count:
                lowest_of_all = np.minimum(lowest_of_all, lowest(block, self.seen))
            nearest[done:stop] = lowest_of_all
            self.learn(block)
            done = stop
        return self.distance(codes, nearest)

    def learn(self, codes: Codes) -> None:
        """Windows (N, D) have been compared, no more than are left until the next multiple of ``BLOCK``; some are remembered."""
        first = -self._position % EVERY
        if first < len(codes):
            self._waiting = np.concatenate([self._waiting, codes[first::EVERY]])
        self._position += len(codes)
        if self._position % BLOCK == 0:
            self._admit()

    def encode(self, windows: Array) -> Codes:
        """Windows (N, D) as whole numbers."""
        codes: Codes = np.rint(np.minimum(np.maximum(windows, -REACH), REACH) / self._unit).astype(np.float32)
        return codes

    def distance(self, codes: Codes, nearest: npt.NDArray[np.float32]) -> Array:
        """Distance (N,) of codes (N, D) to a window whose column gave ``nearest`` (N,), the ``lowest`` of all."""
        squares = nearest + np.add.reduce(np.square(codes), axis=1, dtype=np.float64)
        distance: Array = np.sqrt(squares) * self._unit / self._root
        return distance

    def _table(self, columns: int) -> Codes:
        """Room for so many windows."""
        table = np.zeros((self._dimension + 1, columns), np.float32)
        table[-1] = np.inf
        return table

    def _columns(self, codes: Codes) -> Codes:
        """Codes (K, D) as columns of a table, (D + 1, K)."""
        return np.vstack([-2.0 * codes.T, np.square(codes).sum(axis=1)])

    def judge(self, flags: npt.NDArray[np.bool_]) -> None:
        """Flags (N,) of the windows that were compared since the last call; they decide who stays in quarantine.

        Where a stream is cut must not matter, so the caller tells them at places of the stream that do not depend on its chunks.
        """
        self._flagged = np.concatenate([self._flagged, self._judged + np.flatnonzero(flags)])
        self._judged += len(flags)

    def _admit(self) -> None:
        """Move the windows that are old enough into the memory."""
        ready = max(0, len(self._waiting) - -(-self._lag // EVERY))
        ready, clean = self._released(ready) if self._quarantine else (ready, np.ones(ready, dtype=bool))
        entering = self._waiting[:ready][clean]
        self._waiting = self._waiting[ready:]
        if not len(entering):
            return
        most = self._size - self.trained.shape[1]
        places = (self._count + np.arange(len(entering))) % most
        room, needed = self.seen.shape[1], int(places.max()) + 1
        if needed > room:  # twice as much, so that it is seldom moved
            self.seen = np.hstack([self.seen, self._table(min(max(needed, 2 * room), most) - room)])
        self.seen[:, places] = self._columns(entering)
        self._count += len(entering)

    def _released(self, ready: int) -> tuple[int, npt.NDArray[np.bool_]]:
        """How many of the ``ready`` oldest waiting windows are judged, and which of those (K,) hold no flagged point."""
        newest = (self._position - 1) // EVERY * EVERY
        places = newest - EVERY * np.arange(len(self._waiting) - 1, -1, -1)  # (W,) positions of the waiting windows
        places = places[:ready][places[:ready] < self._judged]
        first, after = (np.searchsorted(self._flagged, places + shift) for shift in (1 - self._lag, 1))
        if len(places):
            self._flagged = self._flagged[self._flagged > places[-1] - self._lag]
        return len(places), first == after

    def clone(self) -> WindowMemory:
        """The memory of another stream, with the same training part; that is not copied."""
        other = copy.copy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Another stream begins: only the training part's windows stay."""
        self.seen = self._table(0)  # windows of the stream
        self._waiting = np.empty((0, self._dimension), np.float32)  # those that are not old enough
        self._count = 0  # windows of the stream that entered, those included that had to leave again
        self._position = 0  # windows compared so far
        self._judged = 0  # of which it is known whether they were flagged
        self._flagged = np.empty(0, np.int64)  # newest positions that were

    def state(self) -> State:
        """The windows, and how many there have been."""
        used = min(self._count, self.seen.shape[1])
        return {
            "trained": _whole(self.trained),
            "seen": _whole(self.seen[:, :used]),
            "waiting": self._waiting.astype(np.int16),
            "count": self._count,
            "position": self._position,
            **({"judged": self._judged, "flagged": self._flagged.copy()} if self._quarantine else {}),
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the window memory")
        trained, seen, self._waiting = (self._decoded(saved, key) for key in ("trained", "seen", "waiting"))
        if not 0 < len(trained) < self._size or len(trained) + len(seen) > self._size:
            raise ModelError(
                f"the saved window memory holds {len(trained):,} + {len(seen):,} windows; this program keeps {self._size:,}; train again"
            )
        self.trained, self.seen = self._columns(trained), self._columns(seen)
        self._count = saved.integer("count", len(seen))
        self._position = self._judged = saved.integer("position", 0)
        if self._quarantine and "judged" in state:  # a model of a run without a quarantine begins with one here
            self._judged = saved.integer("judged", 0, self._position)
            self._flagged = np.sort(saved.integers("flagged", (None,)))

    def _decoded(self, saved: Reader, key: str) -> Codes:
        """Saved windows (K, D)."""
        whole = saved.integers(key, (None, self._dimension))
        if len(whole) and np.abs(whole).max() > self._levels:
            raise ModelError(f"the saved window memory holds numbers beyond {self._levels}, which no window has; train again")
        return whole.astype(np.float32)


def lowest(codes: Codes, table: Codes) -> npt.NDArray[np.float32]:
    """The lowest of -2 a m + |m|^2 for each a of codes (N, D) over the windows m in a table (D + 1, M) -> (N,)."""
    squares = codes @ table[:-1]  # (N, M)
    squares += table[-1]
    nearest: npt.NDArray[np.float32] = np.minimum.reduce(squares, axis=1)
    return nearest


def _whole(table: Codes) -> npt.NDArray[np.int16]:
    """The windows (K, D) in a table (D + 1, K)."""
    return (table[:-1].T / -2.0).astype(np.int16)
