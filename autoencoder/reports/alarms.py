"""Alarms: which errors rise above all that came shortly before, so that one event rings once and a worse turn again."""

from __future__ import annotations

import numpy as np

from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array


class AlarmFilter:
    """Keeps a score only where it rises above every score of the ``cooldown`` points before it, so that one event alarms once.

    A worse turn of the same event still comes through. Cutting the stream into other chunks changes nothing.
    """

    def __init__(self, cooldown: int) -> None:
        self._recent = np.zeros(cooldown)  # the scores before the next one, NaN where unknown

    @property
    def cooldown(self) -> int:
        """Points before one whose score it must rise above."""
        return len(self._recent)

    def process(self, scores: Array) -> Array:
        """Scores (N,) -> the same where they rise, 0 elsewhere and where unknown.

        >>> AlarmFilter(2).process(np.array([0.2, 0.5, 0.4, 0.6, 0.1, 0.1, 0.3]))
        array([0.2, 0.5, 0. , 0.6, 0. , 0. , 0.3])
        """
        if not len(scores):
            return scores.copy()
        cooldown = self.cooldown
        stream = np.concatenate([self._recent, scores])  # (C + N,)
        self._recent = stream[len(scores) :]
        stream = np.where(stream == stream, stream, 0.0)
        step = stream.itemsize
        recent = np.ndarray((len(scores), cooldown), stream.dtype, stream, strides=(step, step))  # (N, C), no copy
        newest = stream[cooldown:]
        rises: Array = newest * (newest > np.maximum.reduce(recent, axis=1))
        return rises

    def skip(self, scores: Array) -> None:
        """Scores (N,) none of which may raise an alarm."""
        self._recent = np.concatenate([self._recent, scores])[len(scores) :]

    def state(self) -> State:
        """The recent scores."""
        return {"recent": np.where(self._recent == self._recent, self._recent, 0.0)}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the alarm filter")
        self._recent = saved.array("recent", (None,))
        if not len(self._recent):
            raise saved.fault("recent", "is empty")
