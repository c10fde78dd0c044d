"""Period: after how many points a series repeats."""

from __future__ import annotations

import numpy as np

from autoencoder.core.types import Array

SHORTEST_PERIOD = 4  # points; below that "periodic" and "noisy" cannot be told apart
WEAKEST_PERIOD = 0.2  # autocorrelation that a dominant period must reach where at least three of it were seen
WEAKEST_TWICE = 0.5  # and where it was seen only twice
SHOULDER = 1.25  # times the shortest lag of a high peak, within which the peaks are of the same period
DAY = 86_400.0  # seconds
SHORTEST_DAY = 8  # points of a day, below which it is no season


def autocorrelation(values: Array) -> Array:
    """Autocorrelation of values (N,) at lags 0..N/2 -> (N // 2 + 1,), straight line removed; NaN-free input."""
    count = len(values)
    index = np.arange(count)
    residual = values - np.polyval(np.polyfit(index, values, 1), index)
    spectrum = np.fft.rfft(residual, 2 * count)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2)[: count // 2 + 1]
    # each lag is averaged over the pairs it has, or long periods would look weaker than they are
    covariance = covariance / np.arange(count, count - len(covariance), -1)
    return covariance / covariance[0] if covariance[0] > 0 else np.zeros_like(covariance)


def dominant_period(values: Array) -> int | None:
    """Dominant period of values (N,) in points, None where nothing repeats.

    The highest peak of the autocorrelation beyond its first fall below zero; of its peaks within 10 % of the highest that with the shortest
    lag is taken, because every multiple of a period is one too, and of the peaks on its shoulders the highest. At least two periods must
    fit; one seen less than three times must be plainer.

    >>> dominant_period(np.sin(2 * np.pi * np.arange(200) / 25))
    25
    """
    if len(values) < 3 * SHORTEST_PERIOD:
        return None
    correlation = autocorrelation(values)
    thrice = len(values) // 3
    correlation[thrice + 1 :][correlation[thrice + 1 :] < WEAKEST_TWICE] = 0.0
    below = np.flatnonzero(correlation < 0)
    if not len(below):
        return None
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner >= correlation[:-2]) & (inner > correlation[2:]))
    peaks = peaks[(peaks > max(below[0], SHORTEST_PERIOD - 1))]
    if not len(peaks) or correlation[peaks].max() < WEAKEST_PERIOD:
        return None
    high = peaks[correlation[peaks] >= 0.9 * correlation[peaks].max()]
    near = peaks[(peaks >= high[0]) & (peaks <= SHOULDER * high[0])]
    return int(near[np.argmax(correlation[near])])


def first_period(values: Array) -> int:
    """Dominant period of the first column of values (N, F) that has one; 0 where nothing repeats."""
    return next((period for column in values.T if (period := dominant_period(column))), 0)


def day_of(interval: float) -> int:
    """Points of a day where these come every ``interval`` seconds; 0 where they carry no times or hardly resolve one.

    >>> day_of(60.0), day_of(86_400.0), day_of(0.0)
    (1440, 0, 0)
    """
    day = round(DAY / interval) if interval > 0 else 0
    return day if day >= SHORTEST_DAY else 0
