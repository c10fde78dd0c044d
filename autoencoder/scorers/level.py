"""Level: what the values of a stream have been about of late."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from autoencoder.core.state import Resettable, array, boolean, integer
from autoencoder.core.types import Array

WINDOWS = 21  # whose locations the median is taken of: an event of ten of them does not move it
HALF = WINDOWS // 2  # windows from the middle one to the newest
# of the usual spread within a window, below which one says nothing of the level: an outage, or a gap that was filled
QUIET = 0.25
TREND = 0.5  # of the median deviation from their median, below which windows have to lie off a line that is a trend


class Level(Resettable):
    """Median of the locations of each column's newest ``WINDOWS`` windows, carried on to the next window by their trend.

    A model of values less their level holds for a stream that climbs or falls for months. The location of a window is its mean where it
    covers a season: the median of a season lies off its mean by a share of the season's height, and a forecast from values less that would
    be off by more once the season grows. Elsewhere it is the median, which spikes do not move. Windows that hardly move do not count:
    after an outage values are back at the level from before it.

    Means of whole seasons vary little, so there a climb of a fraction of their spread shows. The trend is the smaller one of the slopes of
    the older and the newer half of the windows, each a repeated median (Siegel 1982, doi 10.1093/biomet/69.1.242). There is none where
    these differ in sign, or where the windows lie about as far off such a line as off their median: a step, an event amid the windows or a
    level that wanders is no trend.

    Examples:
        >>> level = Level()
        >>> stream = np.repeat([50.0, 70.0], [1500, 1000])[:, None]
        >>> levels = level.fit(stream[:1500], window=24, has_season=False)
        >>> levels = level.follow(stream, 1000)
        >>> levels[[0, 250, 280], 0].tolist()
        [50.0, 50.0, 70.0]
    """

    name = "the level"
    STATE: ClassVar = {
        "window": integer("window", 1),
        "_has_season": boolean("has_season"),
        "_usual": array("usual", ("F",), low=0.0),
        "_trained": array("trained", ("F",)),
        "_windows": array("windows", ("F", WINDOWS)),
        "_seen": integer("seen"),
    }

    window: int  #: points of one

    def fit(self, values: Array, window: int, *, has_season: bool) -> Array:
        """Begin with values (N, F), NaN where unknown -> the level (N, F) of each; the first windows have that of them all."""
        self.window, self._has_season = window, has_season
        ends = range(min(window, len(values)), len(values) + 1, window)
        windows = [values[max(0, end - window) : end] for end in ends if end]
        self._trained = self._usual = np.zeros(values.shape[1])
        self._usual = np.median([self._spread(each) for each in windows], axis=0) if windows else self._usual
        first = [self._location(each, self._trained) for each in windows[:WINDOWS]]
        self._trained = np.median(first, axis=0) if first else self._trained
        self.reset()
        levels = self.follow(values, len(values))
        self._trained = self._level
        return levels

    def reset(self) -> None:
        """Begin another stream, about as the training part was at its end."""
        self._windows = np.repeat(self._trained[:, None], WINDOWS, axis=1)  # (F, WINDOWS), a ring
        self._seen = 0  # points
        self._found: Array | None = None

    def follow(self, stream: Array, count: int) -> Array:
        """The newest N = ``count`` points of a stream (M, F) -> the level (N, F) that each is to be compared with, which has not seen it.

        The stream holds a window before them, or all since the last reset.
        """
        levels, first = np.empty((count, stream.shape[1])), len(stream) - count
        done = 0
        while done < count:
            stop = min(count, done + self.window - self._seen % self.window)
            levels[done:stop] = self._level
            self._seen += stop - done
            done = stop
            if self._seen % self.window == 0:
                values = stream[max(0, first + done - self.window) : first + done]
                moves = self._spread(values) >= QUIET * self._usual
                place = self._seen // self.window % WINDOWS
                self._windows[moves, place] = self._location(values, self._level)[moves]
                self._found = None
        return levels

    def _location(self, values: Array, unknown: Array) -> Array:
        """Location (F,) of the values (W, F) of a window, and ``unknown`` (F,) where none is known."""
        columns = [column[~np.isnan(column)] for column in np.ascontiguousarray(values.T)]
        location = np.mean if self._has_season else np.median
        found = zip(columns, unknown.tolist(), strict=True)
        return np.array([location(column) if len(column) else otherwise for column, otherwise in found])

    def _spread(self, values: Array) -> Array:
        """Range (F,) of 80 % of the values (W, F) of a window; 0 where none is known."""
        known = [np.sort(column[~np.isnan(column)]) for column in values.T]
        return np.array([each[-1 - len(each) // 10] - each[len(each) // 10] if len(each) else 0.0 for each in known])

    @property
    def _level(self) -> Array:
        if self._found is None:  # a series that is loaded may get no point
            self._found = self._find()
        return self._found

    def _find(self) -> Array:
        level: Array = np.partition(self._windows, HALF, axis=1)[:, HALF]  # (F,)
        newest = self._seen // self.window
        if self._has_season and newest >= WINDOWS:
            ordered = np.roll(self._windows, -1 - newest % WINDOWS, axis=1)  # the oldest first
            older, newer = _slope(ordered[:, : HALF + 1]), _slope(ordered[:, HALF:])
            trend = np.where(older * newer > 0, np.copysign(np.minimum(np.abs(older), np.abs(newer)), newer), 0.0)
            off = ordered - level[:, None]
            off_line = off - trend[:, None] * np.arange(-HALF, HALF + 1)
            is_trend = np.median(np.abs(off_line), axis=1) < TREND * np.median(np.abs(off), axis=1)
            level = level + np.where(is_trend, trend, 0.0) * (HALF + 1)  # from the middle window to the next
        return level

    def _complete(self, saved: object) -> None:
        self._found = None


def _slope(locations: Array) -> Array:
    """Slope (F,) of locations (F, W) of successive windows: the median, over windows, of the median slope to all others."""
    count = locations.shape[1]
    steps = np.arange(count) - np.arange(count)[:, None]  # (W, W)
    np.fill_diagonal(steps, 1)
    slopes = (locations[:, None, :] - locations[:, :, None]) / steps  # (F, W, W), the diagonal 0
    others = slopes[:, ~np.eye(count, dtype=bool)].reshape(len(locations), count, count - 1)
    return np.asarray(np.median(np.median(others, axis=2), axis=1))
