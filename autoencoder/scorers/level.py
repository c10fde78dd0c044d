"""Level: what the values of a stream have been about of late."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, Resettable, array, integer
from autoencoder.core.types import Array

SAMPLES = 63  # values that the median is taken of, evenly spread over the recent past
WINDOWS = 16  # that they cover: whole seasons, so that the time of the day is none of the level
MIN_STRIDE = 16  # points from one sample to the next at least


class Level(Resettable):
    """Median of each column over the newest ``SAMPLES`` of every so many points.

    A model of values less their level holds for a stream that climbs or falls for months, and an event of less than half the samples
    does not move it.

    Examples:
        >>> level = Level()
        >>> levels = level.fit(np.full((1500, 1), 50.0), window=24)
        >>> levels = level.follow(np.full((1500, 1), 70.0))
        >>> levels[[0, 400, 600], 0].tolist()
        [50.0, 50.0, 70.0]
    """

    name = "the level"
    STATE: ClassVar = {
        "_trained": array("trained", ("F",)),
        "_stride": integer("stride", 1),
        "_samples": array("samples", ("F", SAMPLES)),
        "_seen": integer("seen"),
    }

    def fit(self, values: Array, window: int) -> Array:
        """Begin with values (N, F), NaN where unknown -> the level (N, F) of each; the first ``SAMPLES`` strides have their own."""
        self._stride = max(MIN_STRIDE, WINDOWS * window // SAMPLES)
        first = values[: SAMPLES * self._stride]
        known = [column[~np.isnan(column)] for column in first.T]
        self._trained = np.array([np.median(column) if len(column) else 0.0 for column in known])
        self.reset()
        if len(first):
            places = np.linspace(0, len(first) - 1, SAMPLES).astype(int)
            self._samples = np.where(np.isnan(first[places]), self._trained, first[places]).T
            self._set_level()
        levels = self.follow(values)
        self._trained = self._level
        return levels

    def reset(self) -> None:
        """Begin another stream, about as the training part was at its end."""
        self._samples = np.repeat(self._trained[:, None], SAMPLES, axis=1)  # (F, SAMPLES), a ring
        self._seen = 0  # points
        self._set_level()

    def follow(self, values: Array) -> Array:
        """Values (N, F) that come next -> the level (N, F) that each is to be compared with, which has not seen it."""
        levels = np.empty_like(values)
        done = 0
        while done < len(values):
            stop = min(len(values), done + self._stride - self._seen % self._stride)
            levels[done:stop] = self._level
            self._seen += stop - done
            done = stop
            if self._seen % self._stride == 0:
                newest = values[stop - 1]
                self._samples[:, self._seen // self._stride % SAMPLES] = np.where(np.isnan(newest), self._level, newest)
                self._set_level()
        return levels

    def _set_level(self) -> None:
        self._level: Array = np.partition(self._samples, SAMPLES // 2, axis=1)[:, SAMPLES // 2]  # (F,)

    def _complete(self, saved: Reader) -> None:
        self._set_level()
