"""Evidence of several kinds, each in a unit of its own, joined into one error."""

from __future__ import annotations

import numpy as np

from autoencoder.core.types import Array
from autoencoder.scorers.linear_forecast import LEAST_UNITS

NETWORK_QUANTILE = 0.99  # evidence of the network is measured in what this share of the training points stay below
LINEAR_QUANTILE = 0.999  # and that of the linear forecast, which a spike raises further
LINEAR_WEIGHT = 0.8  # of the latter, beside the former


def network_unit(error: Array, distance: Array) -> Array:
    """Units (2,) of reconstruction errors (M,) and window distances (M,), from those of the training part."""
    return np.maximum([np.quantile(error, NETWORK_QUANTILE), np.quantile(distance, NETWORK_QUANTILE)], 1e-6)


def linear_unit(linear: Array) -> Array:
    """Units (F, K) of the linear forecast's evidence, from that of the training part (M, F, K)."""
    return np.maximum(np.quantile(linear, LINEAR_QUANTILE, axis=0), np.maximum(LEAST_UNITS, 1e-6)) / LINEAR_WEIGHT


def join(network: Array, linear: Array) -> Array:
    """Errors (N,): the root sum of squares of the network's evidence (2, N) and the linear forecast's (N, F, K), each in its unit.

    Of the network the larger of reconstruction error and window distance counts; of several columns the one with most evidence of a kind.
    """
    squares = np.square(linear)
    largest = squares[:, 0] if squares.shape[1] == 1 else np.maximum.reduce(squares, axis=1)  # (N, K)
    return np.asarray(np.sqrt(np.square(np.maximum(network[0], network[1])) + np.add.reduce(largest, axis=1)))
