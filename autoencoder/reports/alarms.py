"""Alarms: of the scores of one event, only those that tell something new."""

from __future__ import annotations

import numpy as np

from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array


class AlarmFilter:
    """Keeps a score only where it rises above every score of the ``refractory`` points before it, so that one event alarms once.

    A worse turn of the same event still comes through. Cutting the stream into other chunks changes nothing.

    Args:
        refractory: points that a score keeps later, lower ones quiet.
    """

    def __init__(self, refractory: int) -> None:
        self._refractory = refractory
        self._recent = np.zeros(refractory)  # the scores before the next one, NaN where unknown

    def process(self, scores: Array) -> Array:
        """Scores (N,) -> the same where they rise, 0 elsewhere and where unknown.

        >>> AlarmFilter(2).process(np.array([0.2, 0.5, 0.4, 0.6, 0.1, 0.1, 0.3]))
        array([0.2, 0.5, 0. , 0.6, 0. , 0. , 0.3])
        """
        if not len(scores):
            return scores.copy()
        stream = np.concatenate([self._recent, scores])  # (R + N,)
        self._recent = stream[len(scores) :]
        stream = np.where(stream == stream, stream, 0.0)
        step = stream.itemsize
        recent = np.ndarray((len(scores), self._refractory), stream.dtype, stream, strides=(step, step))  # (N, R), no copy
        before = np.maximum.reduce(recent, axis=1)  # (N,)
        newest = stream[self._refractory :]
        rises: Array = newest * (newest > before)
        return rises

    def skip(self, scores: Array) -> None:
        """Scores (N,) go by, and nobody asks which of them rise."""
        self._recent = np.concatenate([self._recent, scores])[len(scores) :]

    def state(self) -> State:
        """The recent scores."""
        return {"recent": np.where(self._recent == self._recent, self._recent, 0.0)}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        self._recent = Reader(state, "the alarm filter").array("recent", (self._refractory,))
