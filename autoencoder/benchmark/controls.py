"""Controls of ``bench series``: a line of arithmetic each, to tell what a detector adds.

Both take values (N, F) whose first ``train`` rows train and give errors (N,): of several columns the largest error, each in units of
its median in the training part. An error tells of values up to its own point; it is unknown where the value is, and in the warm-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from autoencoder.core.errors import TrainingError
from autoencoder.core.types import Array
from autoencoder.scorers.regression import MAD_TO_STD, robust_regression

LAGS = 24  # newest values that the regression sees
EXPLAINED = 0.85  # share of the variance that the principal components of T2+Q explain
CONFIDENCE = 0.99  # share of normal points below each of its limits


def diff_errors(values: Array, train: int) -> Array:
    """|x_t - x_(t-1)|; in place of a missing value, the last one known.

    >>> diff_errors(np.array([[0.0], [1.0], [0.0], [1.0], [5.0]]), train=4)
    array([nan,  1.,  1.,  1.,  4.])
    """
    steps = np.full(values.shape, np.nan)
    for column, filled in enumerate(_filled(values)):
        steps[1:, column] = np.abs(np.diff(filled))
    return _largest(np.where(np.isnan(values), np.nan, steps), train)


def ar_errors(values: Array, train: int) -> Array:
    """|error| of a robust linear regression of each column on its last ``LAGS`` values, fitted to the training part.

    Raises:
        TrainingError: the training part is too short.
    """
    errors = np.full(values.shape, np.nan)
    for column, filled in enumerate(_filled(values)):
        if np.count_nonzero(~np.isnan(values[LAGS:train, column])) < LAGS:
            raise TrainingError(f"a regression on {LAGS} values needs {2 * LAGS} points of every column in the training part")
        level = np.median(filled[:train])
        scale = MAD_TO_STD * np.median(np.abs(filled[:train] - level)) or filled[:train].std() or 1.0
        series = (filled - level) / scale
        past = np.lib.stride_tricks.sliding_window_view(series, LAGS)[:-1]  # (N - LAGS, LAGS)
        inputs, targets = np.column_stack([past, np.ones(len(past))]), series[LAGS:]
        taught = ~np.isnan(values[LAGS:train, column])
        fitted = robust_regression(inputs[: train - LAGS][taught], targets[: train - LAGS][taught])
        errors[LAGS:, column] = scale * np.abs(targets - inputs @ fitted)
    return _largest(np.where(np.isnan(values), np.nan, errors), train)


CONTROLS: Mapping[str, Callable[[Array, int], Array]] = {"diff": diff_errors, "ar24": ar_errors}


def _filled(values: Array) -> list[Array]:
    """Columns (N,) of values (N, F) with the last known value in each gap, and the first known before it; 0 where none is."""
    columns = []
    for column in values.T:
        known = ~np.isnan(column)
        newest = np.maximum.accumulate(np.where(known, np.arange(len(column)), int(np.argmax(known))))
        columns.append(np.where(known.any(), column[newest], 0.0))
    return columns


def _largest(errors: Array, train: int) -> Array:
    """Errors (N, F) -> (N,): of those that are known at a point the largest, in units of the column's median in the training part."""
    units = np.ones(errors.shape[1])
    for column, usual in enumerate(errors[:train].T):
        known = usual[~np.isnan(usual)]
        if known.any():
            units[column] = np.median(known) or known.mean()
    return np.asarray(np.fmax.reduce(errors / units, axis=1))


def t2q_errors(values: Array, train: int) -> Array:
    """Larger of Hotelling's T-squared and the squared prediction error Q of a PCA, each in units of its 99 % limit -> (N,).

    Values (N, F) are standardised by the training part, the first ``train`` rows. A missing value stands at its column's mean; a row
    without any has no error.

    Source: Jackson and Mudholkar, "Control Procedures for Residuals Associated With Principal Component Analysis", Technometrics 1979,
    doi 10.1080/00401706.1979.10489779.

    Raises:
        TrainingError: fewer than two complete rows train, or nothing moves in them.

    >>> values = np.random.default_rng(0).normal(size=(500, 3))
    >>> values[450] += 5
    >>> int(np.argmax(t2q_errors(values, train=400)))
    450
    """
    from scipy.stats import f, norm

    taught = values[:train][~np.isnan(values[:train]).any(axis=1)]  # (M, F)
    if len(taught) < 2 or (taught == taught[0]).all():
        raise TrainingError("T2+Q needs complete rows that move in the training part")
    spread = taught.std(axis=0)
    scaled = np.nan_to_num((values - taught.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
    variances, axes = np.linalg.eigh(np.cov((taught - taught.mean(axis=0)).T / np.where(spread > 0, spread, 1.0)[:, None]))
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(variances) / variances.sum(), EXPLAINED) + 1)
    places, rows = scaled @ axes[:, :kept], len(taught)
    t_squared = np.square(places / np.sqrt(variances[:kept])).sum(axis=1)
    t_limit = kept * (rows - 1) * (rows + 1) / (rows * max(rows - kept, 1)) * f.ppf(CONFIDENCE, kept, max(rows - kept, 1))
    errors = t_squared / t_limit
    first, second, third = (float((variances[kept:] ** power).sum()) for power in (1, 2, 3))
    if first > 0:
        shape = 1.0 - 2.0 * first * third / (3.0 * second**2)
        spread_of_q = norm.ppf(CONFIDENCE) * np.sqrt(2.0 * second * shape**2) / first
        q_limit = first * (1.0 + spread_of_q + second * shape * (shape - 1.0) / first**2) ** (1.0 / shape)
        errors = np.maximum(errors, np.square(scaled - places @ axes[:, :kept].T).sum(axis=1) / q_limit)
    return np.where(np.isnan(values).all(axis=1), np.nan, errors)
