"""Excursion: how far a point lies outside of all values before it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, Resettable, array
from autoencoder.core.types import Array

MAX_RANGES = 100.0  # times the range: how far outside a point may count to be, were there hardly a range before it


class Excursion(Resettable):
    """The range of the values so far, and how far outside of it a point lies, as a share of that range.

    Examples:
        >>> excursion = Excursion()
        >>> excursion.fit(np.array([[0.0], [10.0], [5.0], [11.0]])).tolist()
        [0.0, 0.0, 0.0, 0.1]
        >>> excursion.compare(np.array([[22.0], [21.0]])).tolist()
        [1.0, 0.0]
    """

    name = "the range seen"
    STATE: ClassVar = {
        "_trained_low": array("trained_low", ("F",)),
        "_trained_high": array("trained_high", ("F",)),
        "_low": array("low", ("F",)),
        "_high": array("high", ("F",)),
    }

    def fit(self, values: Array) -> Array:
        """Start from values (N, F) -> how far each lay outside (N,): 0 in the first half, which tells what the range is like.

        Rows may hold NaN: they lie nowhere.
        """
        known = np.flatnonzero(~np.isnan(values).any(axis=1))
        half = int(known[(len(known) - 1) // 2]) + 1 if len(known) else len(values)
        start = values[:half]
        low, high = np.fmin.reduce(start, axis=0), np.fmax.reduce(start, axis=0)
        steps, self._trained_low, self._trained_high = outside(values[half:], low, high)
        self.reset()
        return np.asarray(np.nan_to_num(np.concatenate([np.zeros(half), steps])))

    def reset(self) -> None:
        """Begin another stream: only the training part's range stays."""
        self._low, self._high = self._trained_low, self._trained_high

    def compare(self, values: Array) -> Array:
        """How far values (N, F) lie outside what came before each of them -> (N,); of several columns the one furthest out counts."""
        if np.count_nonzero((values >= self._low) & (values <= self._high)) == values.size:
            return np.zeros(len(values))
        steps, self._low, self._high = outside(values, self._low, self._high)
        return steps

    def _complete(self, saved: Reader) -> None:
        if self._low.shape != self._trained_low.shape:
            raise saved.fault("low", "has other columns than the training part")


def outside(values: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """How far values (N, F) lie outside the range before each of them, as a share of it -> (N,); the range (F,) after them.

    Of several columns the one that is furthest out counts.
    """
    highs = np.fmax.accumulate(np.vstack([high, values]))  # (N + 1, F)
    lows = np.fmin.accumulate(np.vstack([low, values]))
    low, high = lows[:-1], highs[:-1]  # (N, F)
    width = np.maximum(high - low, np.finfo(float).tiny)
    beyond = np.fmax(np.maximum(values - high, low - values), 0.0)
    return (np.minimum(beyond, MAX_RANGES * width) / width).max(axis=1), lows[-1], highs[-1]
