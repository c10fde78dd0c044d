"""WindowedGaussianScorer: how many standard deviations a point lies off the mean of the points just before it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Self

import numpy as np

from autoencoder.core.errors import ModelError
from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.checks import check_saved, check_training, check_width, require
from autoencoder.scorers.features import complete_rows

BLOCK = 256  # points whose windows are laid out in memory together
FLOOR = 0.01  # least deviation of a window, in the training part's: after a flat stretch a hair's breadth is no anomaly
FARTHEST = 1e15  # values beyond, in deviations of the training part, count as this much, so that no square overflows
FEWEST = 32  # points before it without which a point is not judged


class WindowedGaussianScorer:
    """A normal distribution over the last ``window`` points: the baseline that every detector has to beat.

    The error is the distance from the mean of those points in their standard deviations, of the worst column; the prediction is the
    mean. Both are NaN where fewer than ``FEWEST`` points came before; until the window is full, as many count as there are.

    It follows the benchmark's detector "windowedGaussian" (https://github.com/numenta/NAB), but leaves the tail probability to the
    threshold and moves with every point, not with every hundredth.

    Args:
        window: points before it that a point is compared with, at most.

    Raises:
        ConfigError: the window is out of range.
    """

    kind = "windowed_gaussian"

    def __init__(self, window: int = 6400) -> None:
        require(self.kind, "window", window, FEWEST, 6400)
        self._window = window
        self._centre: Array | None = None  # (F,) of the training part
        self._scale = np.empty(0)  # (F,) its deviations
        self._recent = np.empty((0, 0))  # (n, F) scaled, oldest first
        self._calibration_errors = np.empty(0)

    def fit(self, values: Array, progress: Progress | None = None) -> None:
        """Take the scale from values (N, F), and their errors; see ``Scorer.fit``."""
        valid = values[complete_rows(values)]  # (V, F)
        check_training(self.kind, valid, len(values), 2 * FEWEST)
        self._centre, self._scale = _centre_and_scale(valid)
        self._recent = np.empty((0, values.shape[1]))
        errors, _ = self.process(valid)
        self._calibration_errors = errors[FEWEST:]

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F); NaN for rows with a value that is missing or infinite.

        Raises:
            ModelError: nothing is trained or loaded yet, or another number of columns was trained.
        """
        check_width(self.kind, values, None if self._centre is None else len(self._centre))
        errors, predictions = np.full(len(values), np.nan), np.full(values.shape, np.nan)
        rows = complete_rows(values)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            errors[block], predictions[block] = self._judge(values[block])
        return errors, predictions

    def _judge(self, values: Array) -> tuple[Array, Array]:
        """Complete rows (B, F) -> errors (B,), predictions (B, F); the recent points move on."""
        assert self._centre is not None
        with np.errstate(over="ignore"):  # beyond float64 is beyond FARTHEST
            scaled = np.clip((values - self._centre) / self._scale, -FARTHEST, FARTHEST)
        stretch = np.concatenate([self._recent, scaled])  # (n + B, F)
        self._recent = stretch[max(0, len(stretch) - self._window) :].copy()
        mean, deviation = self._moments_before(stretch, len(values))
        errors: Array = (np.abs(scaled - mean) / np.maximum(deviation, FLOOR)).max(axis=1)
        return errors, mean * self._scale + self._centre

    def _moments_before(self, stretch: Array, count: int) -> tuple[Array, Array]:
        """Mean and deviation (B, F) of the points before each of the last ``count`` (B) rows of stretch (n + B, F)."""
        mean, deviation = (np.full((count, stretch.shape[1]), np.nan) for _ in range(2))
        first = len(stretch) - count
        full = min(max(self._window - first, 0), count)  # rows from here on have a full window before them
        for row in range(max(FEWEST - first, 0), full):
            mean[row], deviation[row] = _moments(stretch[None, : first + row].transpose(0, 2, 1))
        if full < count:
            views = np.lib.stride_tricks.sliding_window_view(stretch[first + full - self._window : -1], self._window, axis=0)
            mean[full:], deviation[full:] = _moments(views)  # (M, F, w)
        return mean, deviation

    def calibration_errors(self) -> Array:
        """Errors (M,) of the training part, once its first window is full."""
        return self._calibration_errors

    @property
    def span(self) -> int:
        """1: an odd point stays in the window, but widens it instead of being felt again."""
        return 1

    def report(self) -> dict[str, object]:
        """The window."""
        return {"window": self._window}

    def clone(self) -> Self:
        """A scorer for another stream; see ``Scorer.sibling``."""
        other = copy.deepcopy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Forget the recent points; the window fills anew."""
        self._recent = self._recent[:0]

    def state(self) -> State:
        """Scale, training errors and the recent points."""
        if self._centre is None:
            raise ModelError(f"{self.kind}: there is no model yet; train one or load one first")
        return {
            "kind": self.kind,
            "settings": {"window": self._window},
            "centre": self._centre.copy(),
            "scale": self._scale.copy(),
            "recent": self._recent.copy(),
            "training_errors": self._calibration_errors.copy(),
        }

    def files(self) -> Mapping[str, bytes]:
        """None: there is no model but the state."""
        return {}

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave; see ``Scorer.load``."""
        saved = Reader(state, self.kind)
        check_saved(self.kind, saved, {"window": self._window})
        centre = saved.array("centre", (None,))
        scale = saved.array("scale", centre.shape)
        recent = saved.array("recent", (None, len(centre)))
        if not (scale > 0).all() or len(recent) > self._window:
            raise ModelError(f"the saved state of {self.kind} cannot be used: its parts do not fit together; train again")
        self._calibration_errors = saved.array("training_errors", (None,))
        self._centre, self._scale, self._recent = centre, scale, recent


def _moments(windows: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of windows (M, F, w) -> (M, F), (M, F)."""
    rows = np.ascontiguousarray(windows)  # a sum along the last axis is then the same for any M
    mean = rows.mean(axis=-1)
    return mean, np.sqrt(np.square(rows - mean[..., None]).mean(axis=-1))


def _centre_and_scale(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column of values (N, F) -> (F,), (F,); free of overflow, and 1 for a constant column."""
    unit = np.maximum(np.abs(values).max(axis=0), np.finfo(float).tiny)  # (F,)
    mean, deviation = (values / unit).mean(axis=0), (values / unit).std(axis=0)
    constant = np.ptp(values / unit, axis=0) == 0
    return mean * unit, np.where(constant, 1.0, deviation * unit)
