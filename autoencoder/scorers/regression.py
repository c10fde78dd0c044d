"""Robust linear regression."""

from __future__ import annotations

import numpy as np

from autoencoder.core.types import Array

HUBER = 1.5  # robust standard deviations from which on a residual counts by its size, not by its square
ROUNDS = 12  # of reweighting, after which coefficients hardly move
RIDGE = 1e-6  # of the mean square of the inputs: keeps columns apart that hardly differ
MAD_TO_STD = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


def robust_regression(inputs: Array, targets: Array, trust: Array | float = 1.0) -> Array:
    """Coefficients (P,) of a linear regression of targets (N,) on inputs (N, P) with Huber's loss, by iterated reweighting.

    ``trust`` (N,) in [0, 1] is what each row counts at most, whatever its residual (Mallows weights).

    Source: Huber, "Robust Estimation of a Location Parameter", 1964, doi 10.1214/aoms/1177703732; Holland and Welsch, "Robust
    Regression Using Iteratively Reweighted Least-Squares", 1977, doi 10.1080/03610927708827533.

    >>> inputs = np.column_stack([np.arange(20.0), np.ones(20)])
    >>> robust_regression(inputs, np.where(np.arange(20) == 7, 900.0, 3 * np.arange(20.0) + 2)).round(2)
    array([3., 2.])
    """
    weights = trust * np.ones(len(targets))
    for _ in range(ROUNDS):
        weighted = inputs * weights[:, None]
        square = weighted.T @ inputs
        square += RIDGE * np.trace(square) / len(square) * np.eye(len(square))
        coefficients = np.linalg.solve(square, weighted.T @ targets)
        residuals = np.abs(targets - inputs @ coefficients)
        spread = MAD_TO_STD * np.median(residuals) + 1e-12
        weights = trust * np.minimum(1.0, HUBER * spread / np.maximum(residuals, 1e-300))
    return np.asarray(coefficients)
