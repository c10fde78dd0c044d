"""Dependence: how far each of several columns lies from what the others say of it, at a point and over the newest points.

Two sensors that swap, one that lags behind the others or goes its own way may each look normal by itself.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from autoencoder.core.state import Reader, Resettable, array, integer
from autoencoder.core.types import Array, Bools
from autoencoder.scorers.regression import MAD_TO_STD

GUESS = 1e-6  # see ``Surprise.fit``
LEVEL_POINTS = 16  # newest points whose mean tells of a level that stays away
RIDGE = 0.03  # of the mean variance of the columns: keeps those apart that hardly differ, and fewer rows than columns are enough
FAR = 4.0  # deviations at which a training value is cut off, so that no anomaly makes a dependence
LEAST_MAD = 0.1  # of the standard deviation, below which the median deviation says nothing: a column that mostly stands still
EXPLAINED = 0.5  # share of a column's variance that the others must explain for them to stand in for a missing value
FOLDS = 5  # stretches of the training part, each judged by a model of the others
LAGS = 8  # between which the wandering of a column is measured
MAX_DEVIATION = 1e100  # squares of it stay finite
BLOCK = 64  # points that are compared together


def joint_kinds(features: int) -> int:
    """Kinds of evidence in each of so many columns: none where there is no other."""
    return 3 if features > 1 else 0


class Partial(NamedTuple):
    """A regression of each column on all others, from one precision matrix."""

    centre: Array  # (F,)
    unit: Array  # (F,) of each column, > 0
    precision: Array  # (F, F) of the columns in these units; rows and columns of 0 for a column that never moves
    rows: int  # stretches of ``LEVEL_POINTS`` that it is made from, at least 1

    @staticmethod
    def of(values: Array) -> Partial:
        """Of the rows of values (N, F) without a gap."""
        known = values[~np.isnan(values).any(axis=1)]
        features = values.shape[1]
        if len(known) < 2:
            return Partial(np.zeros(features), np.ones(features), np.zeros((features, features)), 1)
        middle, deviation = np.median(known, axis=0), known.std(axis=0)
        unit = MAD_TO_STD * np.median(np.abs(known - middle), axis=0)
        unit = np.where(unit > LEAST_MAD * deviation, unit, deviation)
        moves = unit > 0
        unit = np.where(moves, unit, 1.0)
        scaled = np.clip((known - middle) / unit, -FAR, FAR)
        covariance = np.atleast_2d(np.cov(scaled.T))
        ridge = RIDGE * float(np.trace(covariance)) / max(int(np.count_nonzero(moves)), 1) + np.finfo(float).tiny
        precision = np.asarray(np.linalg.inv(covariance + np.where(moves, ridge, 1.0) * np.eye(features)), np.float64)
        precision[~moves] = precision[:, ~moves] = 0.0
        return Partial(middle + unit * scaled.mean(axis=0), unit, precision, max(1, len(known) // LEVEL_POINTS))

    def residuals(self, scaled: Array) -> Array:
        """Of columns in their units (N, F), what the others do not explain (N, F); less where the others say little.

        The others are worth less the further they lie from where they were learnt (the leverage of a prediction), so that a column that
        breaks away is not blamed on those that it explained. A sum runs along the last axis, so that it is the same to the bit however
        many rows there are.
        """
        weighted = np.add.reduce(scaled[:, None, :] * self.precision, axis=-1)  # (N, F)
        diagonal = np.diag(self.precision)
        own = np.divide(weighted, diagonal, out=np.zeros_like(weighted), where=diagonal > 0)  # what the others leave of each
        distance = np.add.reduce(scaled * weighted, axis=-1)[:, None]  # Mahalanobis distance of the whole row, squared
        leverage = np.maximum(distance - own * weighted, 0.0) / self.rows
        return np.asarray(own / np.sqrt(1.0 + leverage))


class Dependence(Resettable):
    """Regresses each column on the others at the same time, robustly and with a ridge.

    The evidence of a point is, in each column, the size of its residual there, that of the residual of the mean of the newest
    ``LEVEL_POINTS`` points (a state that neither the training part nor the other columns know), and the deviation of their residuals (a
    column that goes its own way around the level that it should have). That of the training part is cross-validated over ``FOLDS``
    stretches, so that wandering columns that were alike by chance are not taken for dependent. How much a residual wanders with time is
    measured, too, and it counts for less the longer ago it was learnt.

    Source: the decomposition of T-squared, Mason, Tracy and Young, Journal of Quality Technology 1995, doi 10.1080/00224065.1995.11979573.

    Examples:
        >>> values = np.random.default_rng(0).normal(size=(600, 1)) + 0.1 * np.random.default_rng(1).normal(size=(600, 3))
        >>> dependence = Dependence()
        >>> dependence.fit(values).shape
        (600, 3, 3)
        >>> values[-1, 1] += 1  # nothing unusual for that column alone
        >>> int(dependence.compare(values)[-1, :, 0].argmax())
        1
    """

    name = "the dependence of columns"
    STATE: ClassVar = {
        "_centre": array("centre", ("F",)),
        "_unit": array("unit", ("F",), low=np.finfo(float).tiny),
        "_precision": array("precision", ("F", "F")),
        "_rows": integer("rows", 1),
        "_wander": array("wander", ("F",), low=0.0),
        "_learnt": integer("learnt", 1),
        "_age": integer("age"),
    }

    def __init__(self) -> None:
        # (F,) power of time with which a residual's distance grows: 0 for one that stays, 0.5 for a random walk
        self._wander: Array
        self._learnt = 1  # points that were learnt from
        self._age = 0  # points since
        self._set(Partial(np.zeros(0), np.ones(0), np.zeros((0, 0)), 1))

    def _set(self, partial: Partial) -> None:
        self._partial = partial
        self._centre, self._unit, self._precision, self._rows = partial
        self._variance = np.zeros(0)  # (F,) of each column
        if partial.precision.size:
            still = np.diag(partial.precision) == 0
            self._variance = np.diag(np.linalg.inv(partial.precision + np.diag(still.astype(float))))

    def fit(self, values: Array) -> Array:
        """Learn from values (N, F) -> their evidence (N, F, K), 0 where unknown; rows of NaN are gaps."""
        count, features = values.shape
        self._learnt, self._age, self._wander = max(count, 1), 0, np.zeros(features)
        evidence = np.zeros((count, features, joint_kinds(features)))
        if features == 1:
            return evidence
        fold = np.arange(count) * FOLDS // max(count, 1)
        for place in range(FOLDS):
            own = np.flatnonzero(fold == place)
            if not len(own) or len(own) == count:
                continue
            self._set(Partial.of(values[fold != place]))
            first = max(0, own[0] - LEVEL_POINTS + 1)
            evidence[own] = self._evidence(values[first : own[-1] + 1])[own[0] - first :]
        self._set(Partial.of(values))
        self._wander = _wander(self._residuals_of_levels(values))
        return np.nan_to_num(evidence)

    def reset(self) -> None:
        """Begin another stream."""
        self._age = 0

    def compare(self, values: Array, newest: int | None = None) -> Array:
        """Evidence (N, F, K) of the ``newest`` N of values (M, F), or of all, which come next in the stream.

        It is 0 for points with fewer than ``LEVEL_POINTS - 1`` before them.
        """
        count = len(values) if newest is None else newest
        before = min(len(values) - count, LEVEL_POINTS - 1)
        if values.shape[1] == 1:
            return np.empty((count, 1, 0))
        evidence = self._evidence(values[len(values) - count - before :])[before:]
        ages = 1.0 + (self._age + 1 + np.arange(count)) / self._learnt  # (N,) in lengths of the training part
        self._age += count
        return np.asarray(evidence / (ages[:, None] ** self._wander)[..., None])

    def impute(self, values: Array) -> Array:
        """Values (N, F) with what the known columns of a row say of the missing ones, where that is enough to go by."""
        if values.shape[1] == 1:
            return values
        missing = np.isnan(values)
        rows = np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1))
        if not len(rows):
            return values
        filled = values.copy()
        for row in rows.tolist():
            filled[row, missing[row]] = self._expected(values[row], missing[row])
        return filled

    def _expected(self, point: Array, missing: Bools) -> Array:
        """What the known columns of a point (F,) say of the missing ones (M,); NaN where they say little."""
        own, others = self._precision[np.ix_(missing, missing)], self._precision[np.ix_(missing, ~missing)]
        still = np.diag(own) == 0
        left = np.linalg.inv(own + np.diag(still.astype(float)))  # (M, M) covariance that is left
        scaled = -left @ np.add.reduce(others * self._scaled(point)[~missing], axis=-1)
        explained = still | (np.diag(left) <= (1.0 - EXPLAINED) * self._variance[missing])
        return np.where(explained, self._centre[missing] + self._unit[missing] * scaled, np.nan)

    def _evidence(self, values: Array) -> Array:
        evidence = np.zeros((*values.shape, joint_kinds(values.shape[1])))
        if len(values) < LEVEL_POINTS:
            return evidence
        for first in range(0, len(values) - LEVEL_POINTS + 1, BLOCK):
            scaled = self._scaled(values[first : first + BLOCK + LEVEL_POINTS - 1])
            levels = np.add.reduce(_stretches(scaled), axis=-1) / LEVEL_POINTS  # (B, F)
            residuals = _stretches(self._partial.residuals(scaled))  # (B, F, P)
            spread = residuals - (np.add.reduce(residuals, axis=-1) / LEVEL_POINTS)[..., None]
            rows = slice(first + LEVEL_POINTS - 1, first + LEVEL_POINTS - 1 + len(levels))
            evidence[rows, :, 0] = np.abs(residuals[..., -1])
            evidence[rows, :, 1] = np.abs(self._partial.residuals(levels))
            evidence[rows, :, 2] = np.sqrt(np.add.reduce(np.square(spread), axis=-1) / LEVEL_POINTS)
        return evidence

    def _scaled(self, values: Array) -> Array:
        return np.clip((values - self._centre) / self._unit, -MAX_DEVIATION, MAX_DEVIATION)

    def _residuals_of_levels(self, values: Array) -> Array:
        """What the others do not explain of the levels of values (N, F) -> (N - P + 1, F); NaN in gaps."""
        if len(values) < LEVEL_POINTS:
            return np.empty((0, values.shape[1]))
        levels = np.add.reduce(_stretches(self._scaled(values)), axis=-1) / LEVEL_POINTS
        diagonal = np.diag(self._precision)
        return np.asarray(levels @ self._precision / np.where(diagonal > 0, diagonal, 1.0))

    def _complete(self, saved: Reader) -> None:
        self._set(Partial(self._centre, self._unit, self._precision, self._rows))


def _stretches(values: Array) -> Array:
    """The ``LEVEL_POINTS`` points up to each of values (N, F) that has so many -> (N - P + 1, F, P), contiguous along the last axis."""
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(values, LEVEL_POINTS, axis=0))


def _wander(levels: Array) -> Array:
    """The power of time with which differences of levels (N, F) grow -> (F,), in [0, 1], by a line through their logarithms."""
    longest = len(levels) // 2
    lags = np.unique(np.geomspace(LEVEL_POINTS, max(longest, LEVEL_POINTS), LAGS).astype(int))
    if len(lags) < LAGS:
        return np.zeros(levels.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.array([np.sqrt(np.nanmean(np.square(levels[lag:] - levels[:-lag]), axis=0)) for lag in lags])  # (L, F)
    places = np.log(lags) - np.log(lags).mean()
    slopes = (places[:, None] * np.log(np.maximum(steps, np.finfo(float).tiny))).sum(axis=0) / np.square(places).sum()
    return np.asarray(np.clip(np.nan_to_num(slopes), 0.0, 1.0))
