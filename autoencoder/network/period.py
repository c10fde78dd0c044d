"""Period: after how many points a series repeats."""

from __future__ import annotations

import numpy as np

from autoencoder.core.types import Array

SHORTEST_PERIOD = 4  # points; below that "periodic" and "noisy" cannot be told apart
WEAKEST_PERIOD = 0.2  # autocorrelation that a dominant period must reach where at least three of it were seen
WEAKEST_TWICE = 0.5  # and where it was seen only twice, or spikes hide it
SHOULDER = 1.25  # times the shortest lag of a high peak, within which the peaks are of the same period
CLIPPED = 0.05  # share of the values at either end that count as if they lay no further out: spikes hide a period
ENOUGH = 1000  # values that are clipped so; fewer may then repeat by chance
CLEARER = 0.1  # autocorrelation by which values clipped so must repeat more clearly, and plainly, for their period to count
WEEK = 7  # days
CLEAR_DAY = 0.5  # of the autocorrelation at some days, that a day must have to be their period
NEAR_DAYS = 0.03  # of a number of days, within which a period is of that many, or within a point
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


def dominant_period(values: Array, day: int = 0) -> int | None:
    """Dominant period of values (N,) in points, None where nothing repeats.

    The highest peak of the autocorrelation beyond its first fall below zero; of its peaks within 10 % of the highest that with the shortest
    lag is taken, because every multiple of a period is one too, and of the peaks on its shoulders the highest. At least two periods must
    fit; one seen less than three times must be plainer. Where values without their spikes repeat plainly, and more clearly than with them,
    it is their period.

    Where ``day`` says how many points a day has, a period of about some days, up to a week, is one of a day if a day repeats half as
    clearly: what a few weeks show of five days, or of nine minutes more or less, is chance.

    >>> dominant_period(np.sin(2 * np.pi * np.arange(200) / 25))
    25
    """
    if len(values) < 3 * SHORTEST_PERIOD:
        return None
    period, clearness, correlation = _clearest(values)
    if len(values) >= ENOUGH:
        other = _clearest(np.clip(values, *np.quantile(values, [CLIPPED, 1.0 - CLIPPED])))
        if other[1] > max(clearness + CLEARER, WEAKEST_TWICE):
            period, clearness, correlation = other
    if clearness < WEAKEST_PERIOD:
        return None
    days = round(period / day) if day else 0
    is_days = 0 < days <= WEEK and abs(period - days * day) <= max(1.0, NEAR_DAYS * period)
    return day if is_days and day < len(correlation) and correlation[day] >= CLEAR_DAY * correlation[period] else period


def _clearest(values: Array) -> tuple[int, float, Array]:
    """The period that values (N,) have, how clearly, and their autocorrelation (N // 2 + 1,); 0 where there is none."""
    correlation, thrice = autocorrelation(values), len(values) // 3
    beyond = correlation.copy()
    beyond[thrice + 1 :][beyond[thrice + 1 :] < WEAKEST_TWICE] = 0.0
    below = np.flatnonzero(beyond < 0)
    inner = beyond[1:-1]
    peaks = 1 + np.flatnonzero((inner >= beyond[:-2]) & (inner > beyond[2:]))
    peaks = peaks[peaks > max(below[0], SHORTEST_PERIOD - 1)] if len(below) else below
    if not len(peaks) or (highest := float(beyond[peaks].max())) <= 0:
        return 0, 0.0, correlation
    high = peaks[beyond[peaks] >= 0.9 * highest]
    near = peaks[(peaks >= high[0]) & (peaks <= SHOULDER * high[0])]
    return int(near[np.argmax(beyond[near])]), highest, correlation


def first_period(values: Array, day: int = 0) -> int:
    """Dominant period of the first column of values (N, F) that has one; 0 where nothing repeats. See there for ``day``."""
    return next((period for column in values.T if (period := dominant_period(column, day))), 0)


def day_of(interval: float) -> int:
    """Points of a day where these come every ``interval`` seconds; 0 where they carry no times or hardly resolve one.

    >>> day_of(60.0), day_of(86_400.0), day_of(0.0)
    (1440, 0, 0)
    """
    day = round(DAY / interval) if interval > 0 else 0
    return day if day >= SHORTEST_DAY else 0
