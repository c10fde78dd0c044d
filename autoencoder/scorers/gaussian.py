"""WindowedGaussianScorer: how many standard deviations a point lies off the mean of the points just before it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from autoencoder.core.state import POSITIVE, array
from autoencoder.core.types import Array, Progress
from autoencoder.scorers.recent import RecentPointsScorer

MIN_DEVIATION = 0.01  # of a window, in the training part's: after a flat stretch a hair's breadth is no anomaly
MAX_DEVIATIONS = 1e15  # values beyond, in deviations of the training part, count as this much, so that no square overflows
MIN_POINTS = 32  # points before it without which a point is not judged


class WindowedGaussianScorer(RecentPointsScorer):
    """A normal distribution over the last ``window`` points: the baseline that every detector has to beat.

    The error is the distance from the mean of those points in their standard deviations, of the worst column; the prediction is the
    mean. Both are NaN where fewer than ``MIN_POINTS`` points came before; until the window is full, as many count as there are.

    It follows the benchmark's detector "windowedGaussian" (https://github.com/numenta/NAB), but leaves the tail probability to the
    threshold and moves with every point, not with every hundredth.

    Args:
        window: points before it that a point is compared with, at most.

    Examples:
        >>> values = np.sin(np.arange(200.0))[:, None]
        >>> scorer = WindowedGaussianScorer(window=100).fit(values)
        >>> errors, predictions = scorer.process(np.array([[0.5], [9.0]]))
        >>> errors.round(1)
        array([ 0.7, 12.7])
    """

    name = "windowed_gaussian"
    GROUP = "windowed_gaussian"
    BLOCK = 256  # points whose windows are laid out in memory together
    KEYS: ClassVar = {"window": "window"}
    STATE: ClassVar = {
        "_centre": array("centre", ("F",)),
        "_scale": array("scale", ("F",), low=POSITIVE),
        "_recent": array("recent", (None, "F")),  # scaled
        "calibration_errors": array("training_errors", (None,)),
    }

    def __init__(self, window: int = 6400) -> None:
        super().__init__(window, window=window)
        self._centre = np.empty(0)  # (F,) of the training part

    @property
    def window(self) -> int:
        """1: an odd point stays in the window, but widens it instead of affecting later errors."""
        return 1

    def _min_training_points(self) -> int:
        return 2 * MIN_POINTS

    def _train(self, valid: Array, progress: Progress | None) -> None:
        unit = np.maximum(np.abs(valid).max(axis=0), np.finfo(float).tiny)  # (F,), against overflow
        deviation = np.where(np.ptp(valid / unit, axis=0) == 0, 1.0, (valid / unit).std(axis=0) * unit)  # 1 for a constant column
        self._centre, self._scale = (valid / unit).mean(axis=0) * unit, deviation
        self._recent = np.empty((0, valid.shape[1]))
        self.calibration_errors = self.process(valid)[0][MIN_POINTS:]

    def _score(self, values: Array) -> tuple[Array, Array]:
        with np.errstate(over="ignore"):  # beyond float64 is beyond MAX_DEVIATIONS
            scaled = np.clip((values - self._centre) / self._scale, -MAX_DEVIATIONS, MAX_DEVIATIONS)
        stretch = np.concatenate([self._recent, scaled])  # (n + B, F)
        self._recent = stretch[max(0, len(stretch) - self._kept) :].copy()
        mean, deviation = self._moments_before(stretch, len(values))
        errors: Array = (np.abs(scaled - mean) / np.maximum(deviation, MIN_DEVIATION)).max(axis=1)
        return errors, mean * self._scale + self._centre

    def _moments_before(self, stretch: Array, count: int) -> tuple[Array, Array]:
        """Mean and deviation (B, F) of the points before each of the last ``count`` (B) rows of stretch (n + B, F)."""
        mean, deviation = (np.full((count, stretch.shape[1]), np.nan) for _ in range(2))
        first = len(stretch) - count
        full = min(max(self._kept - first, 0), count)  # rows from here on have a full window before them
        for row in range(max(MIN_POINTS - first, 0), full):
            mean[row], deviation[row] = _moments(stretch[None, : first + row].transpose(0, 2, 1))
        if full < count:
            views = np.lib.stride_tricks.sliding_window_view(stretch[first + full - self._kept : -1], self._kept, axis=0)
            mean[full:], deviation[full:] = _moments(views)  # (M, F, w)
        return mean, deviation


def _moments(windows: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of windows (M, F, w) -> (M, F), (M, F)."""
    rows = np.ascontiguousarray(windows)  # a sum along the last axis is then the same for any M
    mean = rows.mean(axis=-1)
    return mean, np.sqrt(np.square(rows - mean[..., None]).mean(axis=-1))
