"""T2+Q: the classical chart of several columns, which their detectors have to beat."""

from __future__ import annotations

import numpy as np

from autoencoder.core.errors import TrainingError
from autoencoder.core.types import Array

EXPLAINED = 0.85  # share of the variance that the principal components explain
CONFIDENCE = 0.99  # share of normal points below each limit


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
