"""SeenRange: how far a point lies outside of all values before it, where that is news for its stream."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array

BLOCK = 64  # points after which it is asked anew what is usual
RECENT = 4000  # points within which a step outside the range seen is remembered
USUAL = 10  # so many steps of a size or larger are a habit: a stream that keeps to its range takes two or three, and its anomalies a few
FURTHER = 2.0  # and how much further than those a step must go
FARTHEST = 100.0  # times the range: how far outside a point may count to be, were there hardly a range before it


class SeenRange:
    """The range of the values so far, and how much further outside of it a point lies than is usual for its stream.

    A stream with a trend leaves its range all the time, and nobody wants to hear of it: what counts is only how far a point goes beyond
    ``FURTHER`` times the ``USUAL``-th largest step outside among the last ``RECENT`` points. A stream that keeps to its range has
    hardly ever taken so many, and then every step counts.
    """

    def __init__(self) -> None:
        self._trained = _Excursions(np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0))
        self.reset()

    def fit(self, values: Array) -> None:
        """Start from values (N, F): their range, and the steps that the second half took outside of what was seen before."""
        first = max(1, len(values) // 2)
        start = values[:first]
        outside, low, high = _outside(values[first:], start.min(axis=0), start.max(axis=0))
        places = np.flatnonzero(outside)
        self._trained = _Excursions(low, high, places - len(outside), outside[places])
        self.reset()

    def clone(self) -> SeenRange:
        """That of another stream, with the same training part."""
        other = copy.copy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Another stream begins: only what the training part showed stays."""
        self._low, self._high, self._places, self._steps = self._trained.parts()
        self._position = 0  # points compared so far; those of the training part lie below 0
        self._new_places: list[int] = []  # of the block that is not full yet
        self._new_steps: list[float] = []
        self._learn()

    def compare(self, values: Array) -> Array:
        """How far values (N, F) lie outside what came before each of them, as a share of that range and less what is usual -> (N,).

        Of several columns the one that lies furthest outside counts.
        """
        if np.count_nonzero((values >= self._low) & (values <= self._high)) == values.size:
            self.skip(len(values))
            return np.zeros(len(values))
        outside, self._low, self._high = _outside(values, self._low, self._high)
        excess = np.empty(len(values))
        done = 0
        while done < len(values):
            stop = min(len(values), done + BLOCK - self._position % BLOCK)
            excess[done:stop] = np.maximum(outside[done:stop] - self._usual, 0.0)
            places = np.flatnonzero(outside[done:stop])
            self._new_places += (self._position + places).tolist()
            self._new_steps += outside[done:stop][places].tolist()
            self.skip(stop - done)
            done = stop
        return excess

    def skip(self, count: int) -> None:
        """So many points go by, none of them outside, or known already."""
        after = self._position + count
        block = after // BLOCK * BLOCK
        if block > self._position:
            self._position = block
            self._learn()
        self._position = after

    @property
    def range(self) -> tuple[Array, Array]:
        """Lowest and highest (F,) of all values so far."""
        return self._low, self._high

    def _learn(self) -> None:
        """Take in the steps outside of the blocks that are full, and forget the old ones."""
        places = np.concatenate([self._places, np.array(self._new_places, np.int64)])
        steps = np.concatenate([self._steps, np.array(self._new_steps)])
        self._new_places, self._new_steps = [], []
        recent = places >= self._position - RECENT
        self._places, self._steps = places[recent], steps[recent]
        self._usual = FURTHER * float(np.sort(self._steps)[-USUAL]) if len(self._steps) >= USUAL else 0.0

    def state(self) -> State:
        """Both ranges and the steps outside of them."""
        return {
            "trained": self._trained.state(),
            "now": _Excursions(self._low, self._high, self._places, self._steps).state(),
            "new_places": np.array(self._new_places, np.int64),
            "new_steps": np.array(self._new_steps),
            "position": self._position,
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the range seen")
        self._trained = _Excursions.load(saved.state("trained"), (None,))
        now = _Excursions.load(saved.state("now"), self._trained.low.shape)
        self._low, self._high, self._places, self._steps = now.parts()
        position = saved.integer("position", 0)
        self._position = position // BLOCK * BLOCK  # where it was last asked what is usual
        self._new_places, self._new_steps = [], []
        self._learn()
        self._position = position
        new = saved.integers("new_places", (None,))
        self._new_places, self._new_steps = new.tolist(), saved.array("new_steps", new.shape).tolist()


@dataclass(frozen=True, slots=True)
class _Excursions:
    """A range, low and high (F,), and the steps (K,) that were taken outside of it, at places (K,)."""

    low: Array
    high: Array
    places: npt.NDArray[np.int64]
    steps: Array

    def parts(self) -> tuple[Array, Array, npt.NDArray[np.int64], Array]:
        return self.low, self.high, self.places, self.steps

    def state(self) -> State:
        return {"low": self.low.copy(), "high": self.high.copy(), "places": self.places.copy(), "steps": self.steps.copy()}

    @staticmethod
    def load(state: State, shape: tuple[int | None, ...]) -> _Excursions:
        saved = Reader(state, "the range seen")
        low, places = saved.array("low", shape), saved.integers("places", (None,))
        return _Excursions(low, saved.array("high", low.shape), places, saved.array("steps", places.shape))


def _outside(values: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """How far values (N, F) lie outside the range before each of them -> (N,), as a share of it; the range (F,) after them."""
    highs = np.maximum.accumulate(np.vstack([high, values]))  # (N + 1, F)
    lows = np.minimum.accumulate(np.vstack([low, values]))
    width = np.maximum(highs - lows, np.finfo(float).tiny)[:-1]
    outside = np.maximum(np.maximum(values - highs[:-1], lows[:-1] - values), 0.0)
    share: Array = np.minimum(outside, FARTHEST * width) / width  # (N, F)
    return share.max(axis=1), lows[-1], highs[-1]
