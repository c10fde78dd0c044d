"""Errors that thresholds are tried on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def normal_errors(count: int, seed: int = 0) -> Array:
    return np.abs(np.random.default_rng(seed).normal(size=count))


def gappy_errors(count: int, seed: int = 0) -> Array:
    """Normal errors with NaN, repeated values and a few anomalies among them."""
    rng = np.random.default_rng(seed)
    errors = np.abs(rng.normal(size=count))
    errors[rng.random(count) < 0.1] = np.nan
    errors[rng.random(count) < 0.05] = 0.5
    errors[rng.random(count) < 0.02] *= 50
    return errors
