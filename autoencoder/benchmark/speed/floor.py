"""Floor: what a window must cost at least, from the network's multiply-adds and the rate at which the machine multiplies matrices."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from autoencoder.benchmark.speed.measure import Spread
from autoencoder.network.model import Architecture

SIZE = 512  # rows and columns: large enough for the full rate, small enough for the cache
REPEATS = 20  # products a round


def multiply_adds(architecture: Architecture) -> int:
    """Multiply-adds of one window: the matrix products of the layers in ``autoencoder.network.model``, nothing else.

    A step of an LSTM layer with H units and I inputs takes 4 (I + H) H, a dense layer I O.

    >>> multiply_adds(Architecture(steps=2, features=1, units=(3,), latent_dim=2, horizon=0))
    228
    """
    seen = architecture.steps - architecture.horizon
    inputs, total = architecture.features, 0
    for units in architecture.units:
        total += seen * _lstm(inputs, units)
        inputs = units
    total += inputs * architecture.latent_dim
    inputs = architecture.latent_dim
    for units in reversed(architecture.units):
        total += architecture.steps * _lstm(inputs, units)
        inputs = units
    return total + architecture.steps * inputs * architecture.features


def _lstm(inputs: int, units: int) -> int:
    return 4 * (inputs + units) * units


def matrix_rate(rounds: int) -> Spread:
    """Multiply-adds a second of one core in float32 matrix products, as NumPy's BLAS does them."""
    from threadpoolctl import threadpool_limits

    left = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    out = np.empty_like(left)
    rates = []
    with threadpool_limits(1, "blas"):
        np.matmul(left, left, out=out)  # the first call sets the library up
        for _ in range(rounds):
            began = perf_counter()
            for _ in range(REPEATS):
                np.matmul(left, left, out=out)
            rates.append(REPEATS * SIZE**3 / (perf_counter() - began))
    return Spread.of(rates)
