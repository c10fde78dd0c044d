"""LinearForecast: how far a point lies from what a linear model of the points before it expects, at the series' own resolution.

A window of the network covers a period and may be down-sampled; what happens within a step is averaged away there. A linear model of the
newest points sees it. Neural forecasters have such a path beside the network for the same reason (LSTNet, Lai et al. 2018,
doi 10.1145/3209978.3210006).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, Stateful, array
from autoencoder.core.types import Array
from autoencoder.scorers.regression import MAD_TO_STD, robust_regression

HORIZONS = (1, 4, 16)  # points ahead that are forecast; the later ones go on to see a change of level after its first point
LAGS = 24  # points that a forecast is made from
BURST_POINTS = 8  # newest one-step errors whose root mean square tells of a burst
POINTS = HORIZONS[-1] + LAGS  # newest points that all of it is made from
KINDS = len(HORIZONS) + 2  # kinds of evidence
GUESSES = (1e-6,) * (KINDS - 1) + (1.0,)  # see ``Surprise.fit``: where no value was ever repeated, a nat is a repetition
ERRORS = len(HORIZONS) + BURST_POINTS - 1  # forecast errors that the evidence of a point is made of
MAX_ROWS = 40_000  # training points that the model is fitted to, evenly spread
FAR_LAGS = 3.0  # times what 19 of 20 points stay below, beyond which lags count less (a Mallows weight)
MAX_ERROR = 1e100  # deviations; squares of them stay finite
BLOCK = 512  # points that are compared together


class LinearForecast(Stateful):
    """Forecasts each column from its own newest ``LAGS`` points, 1, 4 and 16 points ahead, by robust regression.

    All are taken less the level that the column has had of late (``Level``): coefficients whose sum is below 1 pull a forecast towards
    the level that they were fitted at, and in a stream that climbs from there every error would grow with it.

    The evidence of a point is the size of its error at each horizon, and the root mean square of the newest ``BURST_POINTS`` one-step
    errors, all in robust deviations of the column; and how often its very value was repeated, for a sensor that is stuck. The model
    does not change after ``fit``, and evidence depends on the newest ``POINTS`` points alone.

    Examples:
        >>> values = np.sin(np.arange(300) / 5)[:, None]
        >>> forecast = LinearForecast()
        >>> levels = np.zeros_like(values)
        >>> forecast.fit(values, levels).shape
        (300, 1, 5)
        >>> values[-1] += 1
        >>> forecast.compare(values, levels)[-2:, 0].round(1)
        array([[0. , 0. , 0. , 0. , 0. ],
               [1. , 1. , 1. , 0.3, 0. ]])
    """

    name = "the linear forecast"
    STATE: ClassVar = {
        "_weights": array("weights", ("F", None, POINTS)),
        "_offset": array("offset", ("F", None)),
    }

    def __init__(self) -> None:
        # (F, K, P) errors as sums over the newest P points: at each horizon, then one step ahead at earlier points
        self._weights: Array
        self._offset: Array  # (F, K)

    def fit(self, values: Array, levels: Array) -> Array:
        """Fit to values and their levels (N, F) -> evidence (N, F, K), 0 where unknown.

        Rows of NaN are gaps that no forecast reaches across.

        A model of P coefficients errs less on the N points that it is fitted to than on others: their evidence is divided by 1 - P / N,
        as generalised cross-validation has it (Golub, Heath and Wahba 1979, doi 10.1080/00401706.1979.10489751).
        """
        features = values.shape[1]
        self._weights = np.zeros((features, ERRORS, POINTS))
        self._offset = np.zeros(self._weights.shape[:2])
        fitted = np.array([self._fit_column(column, values[:, column], levels[:, column]) for column in range(features)])
        evidence = np.nan_to_num(self.compare(values, levels))
        evidence[:, :, :-1] /= (1.0 - (LAGS + 1) / fitted)[:, None]  # a repetition is no error of the model
        return evidence

    def _fit_column(self, column: int, values: Array, levels: Array) -> float:
        """Fit to values and levels (N,) of a column -> points fitted to; where these are too few, they and all others have no evidence."""
        stretches = _stretches(values[:, None])[:, 0]  # (M, P), a view
        places = np.flatnonzero(~np.isnan(stretches.sum(axis=1)))
        if len(places) <= 2 * LAGS:
            return np.inf
        places = places[:: -(-len(places) // MAX_ROWS)]
        stretches = stretches[places] - levels[places + POINTS - 1][:, None]
        known = (values - levels)[~np.isnan(values)]
        unit = MAD_TO_STD * float(np.median(np.abs(known))) or float(np.std(known)) or 1.0
        stretches = stretches / unit
        for kind, horizon in enumerate(HORIZONS):
            last = POINTS - 1 - horizon
            lags = slice(last - LAGS + 1, last + 1)
            table = np.column_stack([stretches[:, lags], np.ones(len(stretches))])
            *weights, constant = robust_regression(table, stretches[:, -1], _trust(stretches[:, lags]))
            self._weights[column, kind, lags] = weights
            self._weights[column, kind, -1] -= 1.0
            self._offset[column, kind] = constant
        for back in range(1, BURST_POINTS):  # the one-step errors of earlier points
            row = len(HORIZONS) - 1 + back
            self._weights[column, row, :-back] = self._weights[column, 0, back:]
            self._offset[column, row] = self._offset[column, 0]
        self._weights[column] /= unit
        return len(stretches)

    def compare(self, values: Array, levels: Array) -> Array:
        """Evidence (N, F, K) of the newest N of values (M, F), whose levels (N, F) are given.

        It is 0 for points with fewer than ``POINTS - 1`` before them, and NaN where a gap is too near.
        """
        count = len(levels)
        early = min(count, max(0, POINTS - 1 - (len(values) - count)))
        if early == 0 and count == 1:
            return self._evidence(np.ascontiguousarray(values[-POINTS:].T)[None], levels)
        evidence = np.zeros((count, values.shape[1], KINDS))
        stretches = _stretches(values[len(values) - count + early - POINTS + 1 :]) if early < count else evidence[:0]
        for first in range(0, len(stretches), BLOCK):
            block = stretches[first : first + BLOCK]  # (B, F, P)
            rows = slice(early + first, early + first + len(block))
            evidence[rows] = self._evidence(block, levels[rows])
        return evidence

    def expected(self, values: Array, level: Array) -> Array:
        """Forecast (F,) of the point after values (P - 1, F), whose level is (F,); the last value of a column without a model."""
        weights, offset = self._weights[:, 0], self._offset[:, 0]  # (F, P), (F,)
        errors = np.add.reduce((values.T - level[:, None]) * weights[:, :-1], axis=-1) + offset
        known = weights[:, -1] != 0
        return np.asarray(np.where(known, level - errors / np.where(known, weights[:, -1], 1.0), values[-1]))

    def errors(self, stretches: Array, levels: Array) -> Array:
        """Sizes (N, F, K - 1) of the newest errors of stretches (N, F, P) with levels (N, F).

        They are the evidence of the stretches' newest points but for repetitions.

        A sum runs along the last axis, so that it is the same to the bit however many stretches there are.
        """
        centred = stretches - levels[..., None]
        errors = np.add.reduce(centred[..., None, :] * self._weights, axis=-1)  # (N, F, E)
        errors += self._offset
        np.minimum(np.abs(errors, out=errors), MAX_ERROR, out=errors)
        burst = np.square(errors)
        total = burst[..., 0] + np.add.reduce(burst[..., len(HORIZONS) :], axis=-1)
        np.sqrt(total / BURST_POINTS, out=errors[..., len(HORIZONS)])
        return np.asarray(errors[..., : KINDS - 1])

    def _evidence(self, stretches: Array, levels: Array) -> Array:
        """Evidence (N, F, K) of the newest points of stretches (N, F, P) with levels (N, F)."""
        evidence = np.empty((*stretches.shape[:-1], KINDS))
        evidence[..., :-1] = self.errors(stretches, levels)
        evidence[..., -1] = 0.0
        if np.count_nonzero(again := stretches[..., -1] == stretches[..., -2]):
            differs = stretches[again][:, -2::-1] != stretches[again][:, -1:]  # (R, P - 1), the newest first
            evidence[again, -1] = np.where(differs.any(axis=-1), differs.argmax(axis=-1), POINTS - 1)
        return evidence

    def _complete(self, saved: Reader) -> None:
        if self._weights.shape[1] != ERRORS or self._offset.shape[1] != ERRORS:
            raise saved.fault("weights", f"holds {self._weights.shape[1]} errors a point; there must be {ERRORS}")


def _stretches(values: Array) -> Array:
    """The ``POINTS`` points up to each of values (N, F) that has so many -> (N - P + 1, F, P), a view."""
    if len(values) < POINTS:
        return np.empty((0, values.shape[1], POINTS))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, POINTS, axis=0))


def _trust(lags: Array) -> Array:
    """What each row of lags (M, L) counts at most (M,): an outlier there would turn the model to itself, whatever its error counts."""
    height = np.abs(lags).max(axis=1)
    far = FAR_LAGS * float(np.quantile(height, 0.95))
    return np.where(height > far, np.square(far / np.maximum(height, 1e-300)), 1.0)
