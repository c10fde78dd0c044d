"""SeasonalScorer: a robust seasonal forecast that needs a few dozen points, for the time before anything better is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Self

import numpy as np

from autoencoder.core.errors import ModelError, TrainingError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import unknown
from autoencoder.network.windows import dominant_period
from autoencoder.scorers.base import Array, Progress

FEWEST = 8  # points before it without which a point is not judged
LAPS = 5  # seasons that the forecast is taken from, at most
OFFSETS = 9  # newest points that tell how far the level has moved within the season
LAST = 3  # newest points whose median is the forecast where nothing repeats
RECENT = 200  # newest forecasts whose errors are the measure of the next one
MEMORY = 2048  # newest points that are remembered; a period longer than half of it is not found
LOOK_EVERY = 16  # points after which the period is looked for anew
FLOOR = 1e-3  # least measure of an error, in deviations of the points remembered
# deviations from its forecast that a point is remembered with, at most, once a period is known (Gelper et al. 2010, doi 10.1002/for.1125)
BELIEVED = 3.0
FREEDOM = 20  # degrees of freedom of the errors that are expected at first (Student's t)
EXPECTED = 300  # of them
MAD = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


class SeasonalScorer:
    """Forecasts a point as its level plus the median of the places in its season, and measures how far off it was.

    The level is the mean of the last period; the place in the season is taken from up to ``LAPS`` periods. Three forecasts compete, and the
    one that was best of late counts: that one, the same moved by how far the ``OFFSETS`` newest points lay off it, and the median of the
    ``LAST`` newest points. The dominant period is used once it was seen twice. The error is the distance from the forecast in robust
    standard deviations of the last ``RECENT`` forecasts; of several columns the worst counts.
    """

    def __init__(self) -> None:
        self._features = 0
        self._begin()

    def _begin(self) -> None:
        self._values = np.empty((0, self._features))  # (n, F) newest points
        self._misses = np.empty((0, 3, self._features))  # (m, 3, F) of the newest forecasts, of each kind
        self._offsets = np.empty((0, self._features))  # (k, F) how far the newest points lay above what their season said
        self._period = 0
        self._count = 0

    def fit(self, values: Array, progress: Progress | None = None) -> None:
        """Begin with values (N, F); see ``Scorer.fit``."""
        valid = values[~np.isnan(values).any(axis=1)]
        if len(valid) <= FEWEST:
            raise TrainingError(
                f"the first {len(values):,} points hold {len(valid):,} usable ones; there must be {FEWEST + 1}; "
                "begin where the stream has values, or wait for more points (adaptation.cold_start_points)"
            )
        self._features = values.shape[1]
        self._begin()
        self.process(valid)

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F)."""
        if values.shape[1] != self._features:
            raise ModelError(f"{self._features} columns were seen so far, the stream has {values.shape[1]}; give as many")
        errors, predictions = unknown(len(values)), unknown(*values.shape)
        for row, point in enumerate(values):
            if np.isnan(point).any():
                self._pass_over()
            else:
                errors[row], predictions[row] = self._judge(point)
        return errors, predictions

    def _pass_over(self) -> None:
        """A point is missing: what its season says stands for it, so that the season keeps its pace."""
        if self._period:
            self._remember(self._seasonal())

    def _judge(self, point: Array) -> tuple[float, Array]:
        """A point (F,) -> its error and what was expected (F,)."""
        error, expected, remembered = np.nan, np.full(self._features, np.nan), point
        if len(self._values) >= FEWEST:
            plain = np.median(self._values[-LAST:], axis=0)
            seasonal = self._seasonal() if self._period else plain
            offset = np.median(self._offsets, axis=0) if len(self._offsets) else np.zeros(self._features)
            forecasts = np.array([seasonal, seasonal + offset, plain])  # (3, F)
            misses = np.abs(point - forecasts)
            recent = self._misses[-max(RECENT, 2 * self._period) :] if len(self._misses) else misses[None]
            typical = np.median(recent, axis=0)  # (3, F)
            # in the mean, so that what comes once a season counts; an anomaly is missed by all of them
            chosen = np.argmin(recent.mean(axis=0), axis=0)  # (F,)
            columns = np.arange(self._features)
            expected = forecasts[chosen, columns]
            measure = MAD * typical[chosen, columns]
            if len(recent) >= FEWEST:
                if self._period:
                    remembered = expected + np.clip(point - expected, -BELIEVED * measure, BELIEVED * measure)
                least = np.maximum(FLOOR * self._values.std(axis=0), np.finfo(float).tiny)
                error = float((misses[chosen, columns] / np.maximum(measure, least)).max())
            self._misses = np.concatenate([self._misses, misses[None]])[-MEMORY:]
            self._offsets = np.concatenate([self._offsets, (remembered - seasonal)[None]])[-OFFSETS:]
        self._remember(remembered)
        return error, expected

    def _remember(self, point: Array) -> None:
        """A point (F,) has gone by."""
        self._values = np.concatenate([self._values, point[None]])[-MEMORY:]
        self._count += 1
        if self._count % LOOK_EVERY == 0:
            self._look()

    def _seasonal(self) -> Array:
        """Forecast (F,) of the next point from the same place in earlier seasons."""
        period, stretch = self._period, self._values  # (n, F)
        laps = min(LAPS, len(stretch) // period - 1)
        # the level of every lap is that of the period that ends right before the place looked at
        sums = np.concatenate([np.zeros((1, self._features)), np.cumsum(stretch[-(laps + 1) * period :], axis=0)])
        ends = len(sums) - 1 - period * np.arange(laps + 1)  # (L + 1,)
        levels = (sums[ends] - sums[ends - period]) / period  # (L + 1, F)
        places = stretch[len(stretch) - period * np.arange(1, laps + 1)]  # (L, F)
        forecast: Array = levels[0] + np.median(places - levels[1:], axis=0)
        return forecast

    def _look(self) -> None:
        """Look for the dominant period; the column that has one decides, the first of several."""
        periods = (dominant_period(column) for column in self._values[-1024:].T)
        period = next((period for period in periods if period), 0)
        if period != self._period:
            self._period = period if 2 * period <= len(self._values) else 0
            # what the forecasts of this period would have been is not known; those of the plain one stand in for them
            self._misses[:, :2] = self._misses[:, 2:]
            self._offsets = self._offsets[:0]

    def calibration_errors(self) -> Array:
        """Errors (M,) as they must be expected: the points it began with are too few to tell how often a large one comes.

        They are those of normal noise whose deviation was taken from ``FREEDOM`` points; what the stream shows soon outweighs them.
        """
        from scipy.special import stdtrit

        errors: Array = stdtrit(FREEDOM, 0.5 + 0.5 * (np.arange(EXPECTED) + 0.5) / EXPECTED)
        return errors

    @property
    def span(self) -> int:
        """Points of a season."""
        return max(self._period, FEWEST)

    def report(self) -> dict[str, object]:
        """The period, 0 where there is none."""
        return {"period": self._period}

    def clone(self) -> Self:
        """A forecast for another stream, of which it knows nothing yet."""
        other = copy.copy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Forget everything but the number of columns: all that it knows is the stream."""
        self._begin()

    def state(self) -> State:
        """The newest points and forecasts."""
        return {
            "features": self._features,
            "values": self._values.copy(),
            "misses": self._misses.reshape(len(self._misses), -1).copy(),
            "offsets": self._offsets.copy(),
            "period": self._period,
            "count": self._count,
        }

    def files(self) -> Mapping[str, bytes]:
        """None: there is no model but the state."""
        return {}

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the seasonal forecast")
        self._features = saved.integer("features", 1, 10_000)
        self._values = saved.array("values", (None, self._features))
        self._misses = saved.array("misses", (None, 3 * self._features)).reshape(-1, 3, self._features)
        self._offsets = saved.array("offsets", (None, self._features))[-OFFSETS:]
        self._period = saved.integer("period", 0, max(0, len(self._values) // 2))
        self._count = saved.integer("count", 0)
