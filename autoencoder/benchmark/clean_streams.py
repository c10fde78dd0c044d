"""Clean streams: everything that normal data does, and no anomaly. Whatever is flagged there is a false alarm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoencoder.scorers.base import Array

Draw = Callable[[np.random.Generator, int], Array]  # number of points N -> values (N,), noise of deviation about 1


def clean_stream(number: int, points: int, seed: int) -> tuple[str, Array]:
    """Stream ``number`` of the collection: its kind and its values (N,); kinds take turns, and no two streams are alike.

    >>> [clean_stream(number, 10, seed=0)[0] for number in (0, 1, 8)]
    ['white', 'trend', 'white']
    """
    kind = list(KINDS)[number % len(KINDS)]
    return kind, KINDS[kind](np.random.default_rng((seed, number)), points)


def _white(random: np.random.Generator, points: int) -> Array:
    values: Array = random.normal(size=points)
    return values


def _trend(random: np.random.Generator, points: int) -> Array:
    rise = random.choice((-1.0, 1.0)) * random.uniform(5.0, 50.0)
    values: Array = rise * np.arange(points) / points + random.normal(size=points)
    return values


def _wandering_level(random: np.random.Generator, points: int) -> Array:
    steps = random.uniform(0.02, 0.2) * random.normal(size=points)
    return np.cumsum(steps) + random.normal(size=points)


def _two_seasons(random: np.random.Generator, points: int) -> Array:
    short = int(random.integers(20, 100))
    long = 7 * short
    seasons = random.uniform(2.0, 8.0) * _season(random, points, short) + random.uniform(0.5, 4.0) * _season(random, points, long)
    return seasons + random.normal(size=points)


def _changing_spread(random: np.random.Generator, points: int) -> Array:
    """Noise whose deviation swings up to threefold over a season."""
    period = int(random.integers(100, 1000))
    deviation = np.exp(random.uniform(0.2, 0.55) * _season(random, points, period))
    return deviation * random.normal(size=points)


def _heavy_tails(random: np.random.Generator, points: int) -> Array:
    """Student's t with three degrees of freedom: the heaviest tail that still has a variance."""
    values: Array = random.standard_t(3, size=points) / np.sqrt(3.0)
    return values


def _memory(random: np.random.Generator, points: int) -> Array:
    return _autoregressive(random.normal(size=points), random.uniform(0.3, 0.95))


def _mixture(random: np.random.Generator, points: int) -> Array:
    """Trend, level, seasons and spread move together, and the noise has memory and a heavier tail than the normal."""
    noise = _autoregressive(random.standard_t(6, size=points) / np.sqrt(1.5), random.uniform(0.2, 0.7))
    spread = np.exp(random.uniform(0.1, 0.4) * _season(random, points, int(random.integers(100, 1000))))
    normal = sum(draw(random, points) for draw in (_trend, _wandering_level, _two_seasons)) / np.sqrt(3.0)
    mixed: Array = normal + spread * noise
    return mixed


KINDS: dict[str, Draw] = {
    "white": _white,
    "trend": _trend,
    "wandering level": _wandering_level,
    "two seasons": _two_seasons,
    "changing spread": _changing_spread,
    "heavy tails": _heavy_tails,
    "memory": _memory,
    "mixture": _mixture,
}


def _season(random: np.random.Generator, points: int, period: int) -> Array:
    """A sine of height 1 with a random phase."""
    season: Array = np.sin(2 * np.pi * (np.arange(points) / period + random.random()))
    return season


def _autoregressive(shocks: Array, memory: float) -> Array:
    """x[t] = memory x[t - 1] + shock[t], scaled to the shocks' own deviation."""
    from scipy.signal import lfilter

    values: Array = lfilter([np.sqrt(1.0 - memory**2)], [1.0, -memory], shocks)
    return values
