"""Sliding windows: how long a window is, how it is cut from the stream and how it is scaled for the network.

A window is ``steps`` steps of ``stride`` points each; a step is the mean of its points. It ends at the newest point, so every point has
a window of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SHORTEST_PERIOD = 4  # points; below that "periodic" and "noisy" cannot be told apart
WEAKEST_PERIOD = 0.2  # autocorrelation that a dominant period must reach where at least three of it were seen
WEAKEST_TWICE = 0.5  # and where it was seen only twice


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shape of a window: ``steps`` (T) steps of ``stride`` points."""

    steps: int
    stride: int

    @property
    def span(self) -> int:
        """Points a window covers."""
        return self.steps * self.stride


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

    The highest peak of the autocorrelation beyond its first fall below zero; of its peaks within 10 % of the highest the shortest lag
    is taken, because every multiple of a period is one too. At least two periods must fit; one seen less than three times must be plainer.
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
    return int(high[0])


def choose_geometry(values: Array, steps: int, cover: float) -> Geometry:
    """Geometry whose windows cover ``cover`` dominant periods of values (N, F) with ``steps`` steps; stride 1 where nothing repeats.

    The column whose period is strongest to see (the first that has one) decides.
    """
    periods = [dominant_period(column) for column in values.T]
    period = next((period for period in periods if period), None)
    if period is None:
        return Geometry(steps, 1)
    stride = max(1, round(cover * period / steps))
    return Geometry(steps, stride)


def sliding(values: Array, geometry: Geometry) -> Array:
    """All windows of values (M, F) -> (M - span + 1, T, F); window i ends at point i + span - 1. A view where a step is one point."""
    values = np.ascontiguousarray(values, dtype=np.float64)
    span, features = geometry.span, values.shape[1]
    row, column = values.strides
    # what numpy's sliding_window_view makes, without its checks, which cost more than all else that is done for a single point
    shape = (len(values) - span + 1, features, span)
    view = np.ndarray(shape, np.float64, values, strides=(row, column, row))  # (N, F, span), no copy
    return stepped(view, geometry)


def stepped(stretches: Array, geometry: Geometry) -> Array:
    """Stretches of span points, (N, F, span) -> windows (N, T, F) of them."""
    if geometry.stride == 1:
        return stretches.transpose(0, 2, 1)
    parts = stretches.reshape(*stretches.shape[:2], geometry.steps, geometry.stride)  # (N, F, T, stride)
    steps: Array = np.add.reduce(parts, axis=-1) / geometry.stride  # (N, F, T)
    return steps.transpose(0, 2, 1)
