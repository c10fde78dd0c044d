"""Excursion: how far a point lies outside of all values before it, where that is news for its stream."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, Resettable, State, Stateful, array, integer, integers
from autoencoder.core.types import Array, Integers

BLOCK = 64  # points after which what is usual is estimated anew
REMEMBERED_POINTS = 4000  # points within which a step outside the range seen is remembered
USUAL_STEPS = 10  # so many steps of a size or larger are a habit: a stream that keeps to its range takes two or three in all
FACTOR = 2.0  # how much further than those a step must go
MAX_RANGES = 100.0  # times the range: how far outside a point may count to be, were there hardly a range before it


class Excursion(Resettable):
    """The range of the values so far, and how much further outside of it a point lies than is usual for its stream.

    A trending stream exceeds its range constantly; such steps are not evidence. What counts is only how far a point goes beyond
    ``FACTOR`` times the ``USUAL_STEPS``-th largest step outside among the last ``REMEMBERED_POINTS`` points. A stream that keeps to its
    range has hardly ever taken so many, and then every step counts.
    """

    name = "the range seen"
    STATE: ClassVar = {"_position": integer("position")}

    def __init__(self) -> None:
        self._trained = _Range()
        self.reset()

    def fit(self, values: Array) -> None:
        """Start from values (N, F): their range, and the steps that the second half took outside of what was seen before."""
        first = max(1, len(values) // 2)
        start = values[:first]
        outside, low, high = _outside(values[first:], start.min(axis=0), start.max(axis=0))
        places = np.flatnonzero(outside)
        self._trained = _Range(low, high, places - len(outside), outside[places])
        self.reset()

    def reset(self) -> None:
        """Begin another stream: only what the training part showed stays."""
        self._now = copy.copy(self._trained)
        self._position = 0  # points compared so far; those of the training part lie below 0
        self._new_places: list[int] = []  # of the block that is not full yet
        self._new_steps: list[float] = []
        self._learn()

    def compare(self, values: Array) -> Array:
        """How far values (N, F) lie outside what came before each of them, as a share of that range and less what is usual -> (N,).

        Of several columns the one that lies furthest outside counts.
        """
        now = self._now
        if np.count_nonzero((values >= now.low) & (values <= now.high)) == values.size:
            self.skip(len(values))
            return np.zeros(len(values))
        outside, now.low, now.high = _outside(values, now.low, now.high)
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
        """Let so many points go by, none of them outside, or known already."""
        after = self._position + count
        block = after // BLOCK * BLOCK
        if block > self._position:
            self._position = block
            self._learn()
        self._position = after

    @property
    def range(self) -> tuple[Array, Array]:
        """Lowest and highest (F,) of all values so far."""
        return self._now.low, self._now.high

    def _learn(self) -> None:
        """Take in the steps outside of the blocks that are full, and forget the old ones."""
        places = np.concatenate([self._now.places, np.array(self._new_places, np.int64)])
        steps = np.concatenate([self._now.steps, np.array(self._new_steps)])
        self._new_places, self._new_steps = [], []
        recent = places >= self._position - REMEMBERED_POINTS
        self._now.places, self._now.steps = places[recent], steps[recent]
        enough = len(self._now.steps) >= USUAL_STEPS
        self._usual = FACTOR * float(np.sort(self._now.steps)[-USUAL_STEPS]) if enough else 0.0

    def state(self) -> State:
        """Both ranges and the steps outside of them."""
        new: State = {"new_places": np.array(self._new_places, np.int64), "new_steps": np.array(self._new_steps)}
        return {**super().state(), "trained": self._trained.state(), "now": self._now.state(), **new}

    def _complete(self, saved: Reader) -> None:
        self._trained, self._now = _Range(), _Range()
        self._trained.load(saved.state("trained"))
        self._now.load(saved.state("now"))
        if self._now.low.shape != self._trained.low.shape:
            raise saved.fault("now", "has other columns than trained")
        position, self._position = self._position, self._position // BLOCK * BLOCK  # where what is usual was estimated
        self._new_places, self._new_steps = [], []
        self._learn()
        self._position = position
        self._new_places = saved.integers("new_places", ("N",)).tolist()
        self._new_steps = saved.array("new_steps", ("N",)).tolist()


@dataclass
class _Range(Stateful):
    """A range, low and high (F,), and the steps (K,) that were taken outside of it, at places (K,)."""

    name = "the range seen"
    STATE: ClassVar = {
        "low": array("low", ("F",)),
        "high": array("high", ("F",)),
        "places": integers("places", ("K",)),
        "steps": array("steps", ("K",)),
    }
    low: Array = field(default_factory=lambda: np.empty(0))
    high: Array = field(default_factory=lambda: np.empty(0))
    places: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    steps: Array = field(default_factory=lambda: np.empty(0))


def _outside(values: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """How far values (N, F) lie outside the range before each of them -> (N,), as a share of it; the range (F,) after them."""
    highs = np.maximum.accumulate(np.vstack([high, values]))  # (N + 1, F)
    lows = np.minimum.accumulate(np.vstack([low, values]))
    width = np.maximum(highs - lows, np.finfo(float).tiny)[:-1]
    outside = np.maximum(np.maximum(values - highs[:-1], lows[:-1] - values), 0.0)
    return (np.minimum(outside, MAX_RANGES * width) / width).max(axis=1), lows[-1], highs[-1]
