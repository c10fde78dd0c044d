"""SeasonalScorer: a robust seasonal forecast that needs a few dozen points, for the time before anything better is trained."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from autoencoder.core.errors import ModelFileError, TrainingError
from autoencoder.core.state import Field, Reader, array, integer
from autoencoder.core.types import Array, Progress, unknown
from autoencoder.network.period import first_period
from autoencoder.scorers.base import Scorer

MIN_POINTS = 8  # points before it without which a point is not judged
MAX_PERIODS = 5  # seasons that the forecast is taken from, at most
OFFSET_POINTS = 9  # newest points that tell how far the level has moved within the season
PLAIN_POINTS = 3  # newest points whose median is the forecast where nothing repeats
RECENT_FORECASTS = 200  # newest forecasts whose errors are the measure of the next one
MEMORY_POINTS = 2048  # newest points that are remembered; a period longer than half of it is not found
SEARCH_EVERY = 16  # points after which the period is looked for anew
UPPER, UPPER_DEVIATIONS = 0.9, 1.8  # quantile of their distances, and a little more than that is of normal noise in deviations
MIN_MEASURE = 1e-3  # least measure of an error, in deviations of the points remembered
# deviations from its forecast that a point is remembered with, at most, once a period is known (Gelper et al. 2010, doi 10.1002/for.1125)
MAX_DEVIATION = 3.0
CALM_POINTS = 8  # newest steps from value to value, whose mean tells whether a series has stopped moving
CALM_SHARE = 0.02  # of these means that are as low as is rare: to be calm now and then may be a habit
MAX_ERROR = 1e100  # so that sums of errors stay finite
MIN_SPREAD = 0.5  # least distance of what is rare from what is usual, in logarithms
EXPECTED_ERRORS = 300  # that are expected at first
MAD_TO_STD = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


def _read_misses(saved: Reader) -> Array:
    """Saved by forecasts (3 F, m): where nothing repeats they are equal, and equal parts are saved once."""
    if saved.has("misses"):  # of an older model
        return saved.array("misses", (None, None))
    return np.ascontiguousarray(saved.array("missed", (None, None)).T)


class SeasonalScorer(Scorer):
    """Forecasts a point as its level plus the median of the places in its season, and measures how far off it was.

    The level is the mean of the last period; the place in the season is taken from up to ``MAX_PERIODS`` periods. Three forecasts
    compete, and the one that was best of late counts: that one, the same moved by how far the ``OFFSET_POINTS`` newest points lay off it,
    and the median of the ``PLAIN_POINTS`` newest points. The dominant period is used once it was seen twice. The error is the distance
    from the forecast in robust standard deviations of the last ``RECENT_FORECASTS`` forecasts, or how much less than usual the newest
    ``CALM_POINTS`` points move, if that is more; of several columns the worst counts.

    Examples:
        >>> values = np.tile([0.0, 1.0, 4.0, 9.0, 4.0, 1.0], 20)[:, None]
        >>> scorer = SeasonalScorer().fit(values)
        >>> scorer.info()
        {'period': 6}
        >>> errors, predictions = scorer.process(np.array([[0.0], [1.0], [7.0]]))
        >>> predictions[:, 0].round(2)
        array([0., 1., 4.])
    """

    name = "seasonal"
    STATE: ClassVar = {
        "_features": integer("features", 1, 10_000),
        "_values": array("values", (None, "F")),
        "_misses": Field("missed", _read_misses, lambda misses: misses.T.copy()),
        "_offsets": array("offsets", (None, "F")),
        "_period": integer("period"),
        "_count": integer("count"),
        "_newest": array("newest", (None, None)),
        "_steps": array("steps", (None, "F")),
    }

    def __init__(self) -> None:
        self._features = 0
        self.calibration_errors = np.empty(0)
        self._values: Array  # (n, F) newest points
        self._misses: Array  # (m, 3 F) of the newest forecasts, of each kind
        self._offsets: Array  # (k, F) how far the newest points lay above what their season said
        self._newest: Array  # (1, F) the newest point, none before the first
        self._steps: Array  # (s, F) newest steps from value to value
        self._period = self._count = 0
        self.reset()

    def fit(self, values: Array, progress: Progress | None = None) -> Self:
        """Begin with values (N, F); see ``Scorer.fit``."""
        valid = values[~np.isnan(values).any(axis=1)]
        if len(valid) <= MIN_POINTS:
            raise TrainingError(
                f"the first {len(values):,} points hold {len(valid):,} usable ones; there must be {MIN_POINTS + 1}; "
                "begin where the stream has values, or wait for more points (adaptation.early)"
            )
        self._features = values.shape[1]
        self.reset()
        self.process(valid)
        self.calibration_errors = _expected_errors()
        return self

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F)."""
        if values.shape[1] != self._features:
            raise ModelFileError(f"{self._features} columns were seen so far, the stream has {values.shape[1]}; give as many")
        errors, predictions = unknown(len(values)), unknown(*values.shape)
        for row, point in enumerate(values):
            if np.isnan(point).any():
                if self._period:  # what the season says stands for a missing point, so that the season keeps its pace
                    self._remember(self._seasonal())
            else:
                errors[row], predictions[row] = self._score(point)
                errors[row] += max(self._calm(point) - errors[row], 0.0)  # unknown stays unknown
        return errors, predictions

    def _calm(self, point: Array) -> float:
        """How much less than usual the series moves up to a point (F,), in distances of what is rare from what is usual."""
        self._steps = np.concatenate([self._steps, np.abs(point - self._newest)])[-RECENT_FORECASTS:]
        self._newest = point[None].copy()
        if len(self._steps) < 8 * CALM_POINTS:
            return 0.0
        sums = np.cumsum(self._steps, axis=0)
        least = np.maximum(MIN_MEASURE * self._steps.mean(axis=0), np.finfo(float).tiny)
        means = np.log(np.maximum((sums[CALM_POINTS:] - sums[:-CALM_POINTS]) / CALM_POINTS, least))  # (m, F)
        low, usual = np.quantile(means[: -4 * CALM_POINTS], [CALM_SHARE, 0.5], axis=0)
        return float(((usual - means[-1]) / np.maximum(usual - low, MIN_SPREAD)).max())

    def _score(self, point: Array) -> tuple[float, Array]:
        """A point (F,) -> its error and what was expected (F,)."""
        error, expected, remembered = np.nan, np.full(self._features, np.nan), point
        if len(self._values) >= MIN_POINTS:
            plain = np.median(self._values[-PLAIN_POINTS:], axis=0)
            seasonal = self._seasonal() if self._period else plain
            offset = np.median(self._offsets, axis=0) if len(self._offsets) else np.zeros(self._features)
            forecasts = np.array([seasonal, seasonal + offset, plain])  # (3, F)
            misses = np.abs(point - forecasts)
            recent = self._misses[-max(RECENT_FORECASTS, 2 * self._period) :].reshape(-1, *misses.shape)
            recent = recent if len(recent) else misses[None]
            ordered, count = np.sort(recent, axis=0), len(recent)
            typical = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0  # (3, F) medians
            # the upper quantile tells of noise with heavy tails, and of bursts
            upper = ordered[round(UPPER * (count - 1))] / UPPER_DEVIATIONS
            scale = np.maximum(MAD_TO_STD * typical, upper)
            # in the mean, so that what comes once a season counts; an anomaly is missed by all of them
            chosen = np.argmin(recent.mean(axis=0), axis=0)  # (F,)
            columns = np.arange(self._features)
            expected = forecasts[chosen, columns]
            measure = scale[chosen, columns]
            if len(recent) >= MIN_POINTS:
                if self._period:
                    remembered = expected + np.clip(point - expected, -MAX_DEVIATION * measure, MAX_DEVIATION * measure)
                least = np.maximum(MIN_MEASURE * self._values.std(axis=0), np.finfo(float).tiny)
                with np.errstate(over="ignore"):  # a column that never moved has next to no measure
                    error = min(float((misses[chosen, columns] / np.maximum(measure, least)).max()), MAX_ERROR)
            self._misses = np.concatenate([self._misses, misses.reshape(1, -1)])[-MEMORY_POINTS:]
            self._offsets = np.concatenate([self._offsets, (remembered - seasonal)[None]])[-OFFSET_POINTS:]
        self._remember(remembered)
        return error, expected

    def _remember(self, point: Array) -> None:
        """Take in a point (F,)."""
        self._values = np.concatenate([self._values, point[None]])[-MEMORY_POINTS:]
        self._count += 1
        if self._count % SEARCH_EVERY == 0:
            self._update_period()

    def _seasonal(self) -> Array:
        """Forecast (F,) of the next point from the same place in earlier seasons."""
        period, stretch = self._period, self._values  # (n, F)
        laps = min(MAX_PERIODS, len(stretch) // period - 1)
        # the level of every lap is that of the period that ends right before the place looked at
        sums = np.concatenate([np.zeros((1, self._features)), np.cumsum(stretch[-(laps + 1) * period :], axis=0)])
        ends = len(sums) - 1 - period * np.arange(laps + 1)  # (L + 1,)
        levels = (sums[ends] - sums[ends - period]) / period  # (L + 1, F)
        places = stretch[len(stretch) - period * np.arange(1, laps + 1)]  # (L, F)
        return np.asarray(levels[0] + np.median(places - levels[1:], axis=0))

    def _update_period(self) -> None:
        """Look for the dominant period; the column that has one decides, the first of several."""
        period = first_period(self._values[-1024:])
        if period != self._period:
            self._period = period if 2 * period <= len(self._values) else 0
            # what the forecasts of this period would have been is not known; those of the plain one stand in for them
            self._misses = np.tile(self._misses[:, 2 * self._features :], 3)
            self._offsets = self._offsets[:0]

    @property
    def window(self) -> int:
        """Points of a season."""
        return max(self._period, MIN_POINTS)

    def info(self) -> dict[str, object]:
        """The period, 0 where there is none."""
        return {"period": self._period}

    def reset(self) -> None:
        """Forget everything but the number of columns: all that it knows is the stream."""
        self._values, self._offsets = np.empty((0, self._features)), np.empty((0, self._features))
        self._misses = np.empty((0, 3 * self._features))
        self._newest, self._steps = np.empty((0, self._features)), np.empty((0, self._features))
        self._period = self._count = 0

    def _complete(self, saved: Reader) -> None:
        if (self._values.shape[1], self._misses.shape[1]) != (self._features, 3 * self._features):
            raise saved.fault("features", "does not fit the points")
        if 2 * self._period > len(self._values):
            raise saved.fault("period", f"is {self._period}, with {len(self._values)} points remembered")


def _expected_errors() -> Array:
    """Errors (M,) as they must be expected: the points it begins with are too few to tell how often a large one comes.

    They are those of normal noise; what the stream shows soon outweighs them.
    """
    from scipy.special import ndtri

    return np.asarray(ndtri(0.5 + 0.5 * (np.arange(EXPECTED_ERRORS) + 0.5) / EXPECTED_ERRORS))
