"""Series of values that several tests feed, and how they cut and compare."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def series(count: int, columns: int = 1, seed: int = 0, period: float = 25) -> Array:
    """A noisy season (N, F) around 100, each column with another phase."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.arange(count)[:, None] / period + np.arange(columns)
    return 100 + 3 * np.sin(phase) + rng.normal(scale=0.3, size=(count, columns))


def gappy_series(count: int, columns: int = 1, seed: int = 0) -> Array:
    """As ``series``, with missing values and outliers."""
    rng = np.random.default_rng(seed)
    values = series(count, columns, seed)
    values[rng.random(values.shape) < 0.05] = np.nan
    values[rng.random(values.shape) < 0.02] += 20
    return values


def sine(count: int, period: float, noise: float = 0.0, slope: float = 0.0, seed: int = 0) -> Array:
    index = np.arange(count)
    random = np.random.default_rng(seed)
    return np.sin(2 * np.pi * index / period + 0.3) + slope * index + random.normal(scale=noise, size=count)


def noise(count: int, columns: int = 1, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(100, 3, size=(count, columns))


def in_pieces(scorer: Any, values: Array, cuts: list[int]) -> tuple[Array, ...]:
    """What a scorer says that is given values in pieces."""
    return tuple(map(np.concatenate, zip(*(scorer.score(piece) for piece in np.split(values, sorted(cuts))), strict=True)))


def part(scored: tuple[Array, ...], rows: Any) -> tuple[Array, ...]:
    """What a scorer says of some rows."""
    return tuple(each[rows] for each in scored)


def assert_same(one: tuple[Array, ...], other: tuple[Array, ...]) -> None:
    for each, expected in zip(one, other, strict=True):
        np.testing.assert_array_equal(each, expected)
