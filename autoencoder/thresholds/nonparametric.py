"""NonparametricThreshold: the limit that best separates the highest of the recent errors from the rest."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from autoencoder.core.errors import ConfigError
from autoencoder.core.state import number_or_nan
from autoencoder.core.types import Array, Integers
from autoencoder.thresholds.rolling import RollingThreshold, mean_and_deviation

MAX_LEFT_OUT = 0.2  # share of the window that is left out as anomalies at most
DEVIATIONS = np.arange(2.0, 10.5, 0.5)  # z, in standard deviations above the mean: the candidates of the paper


class NonparametricThreshold(RollingThreshold):
    """Nonparametric dynamic thresholding, made causal.

    The errors (>= 0) are smoothed exponentially. Of the candidates mean + z standard deviations of the recent smoothed errors,
    the one is taken that maximises::

        (relative fall of the mean + relative fall of the deviation) / (errors above + (runs above)^2)

    when the errors above it are removed. Runs whose peaks do not stand out by the share ``pruning`` from the next lower peak are
    normal after all; a new error has to stand out from the highest normal one by the same share, and this raises the limit. Where
    nothing lies above any candidate, the highest candidate holds, as in the authors' code.

    The paper judges smoothed errors; the limit given here is the raw error at which the smoothed one would reach that limit.
    A flagged error stays an anomaly: it is left out of the search, and of the smoothing, so that none outlasts itself. Where
    flags fill more than ``MAX_LEFT_OUT`` of the window the level has changed; then all errors count, clipped at their limits, no
    candidate separates so many from the rest, and the highest candidate carries the limit up.

    ``budget`` is not used: the method has no such notion. Its flags depend on how far the errors' peaks stand out.

    Source: Hundman et al., "Detecting Spacecraft Anomalies Using LSTMs and Nonparametric Dynamic Thresholding", KDD 2018,
    doi 10.1145/3219819.3219845, section 3.3.

    Args:
        budget: not used.
        window: how many recent errors are remembered.
        smoothing: span of the exponential smoothing, in errors; 1 smooths nothing. (The paper smooths over 5 % of its window,
            which hides anomalies of single points.)
        pruning: share by which an anomaly has to stand out, in [0, 1); the paper's p.

    Examples:
        >>> threshold = NonparametricThreshold(budget=0.01)
        >>> threshold.fit(np.random.default_rng(0).exponential(size=500))
        >>> threshold.process(np.array([0.5, 60.0, 0.5])).round(0)
        array([10., 11., 11.])
    """

    STATE: ClassVar = {**RollingThreshold.STATE, "_smoothed": number_or_nan("smoothed")}

    def __init__(self, budget: float, window: int = 2000, smoothing: float = 8.0, pruning: float = 0.13) -> None:
        super().__init__(budget, window)
        if not smoothing >= 1:
            raise ConfigError(f"threshold.smoothing is {smoothing}; it must be at least 1, e.g. 8")
        if not 0 <= pruning < 1:
            raise ConfigError(f"threshold.pruning is {pruning}; it must be in [0, 1), e.g. 0.13")
        self._weight = 2 / (smoothing + 1)
        self._pruning = pruning
        self._smoothed = float("nan")

    def _learn_training(self, errors: Array) -> None:
        self._smoothed = float("nan")
        self._judge_and_learn(errors)

    def _judge_and_learn(self, errors: Array) -> Array:
        """Errors (B,) -> limits (B,), one by one: each limit depends on the smoothed error before it."""
        level = self._limit
        # An anomaly in the training part, or a fallen limit, must not leave the smoothed error above the limit: everything would
        # be flagged from there on, and flagged errors could never bring it down again.
        smoothed = level if self._smoothed > level else self._smoothed
        if np.isnan(smoothed) and len(errors):
            smoothed = float(errors[0])
        weight, gain = self._weight, (1 - self._weight) / self._weight
        limits, remembered = [], []
        for error in errors.tolist():
            limit = level + gain * (level - smoothed)  # smoothed + weight * (limit - smoothed) = level
            if error > limit:
                remembered.append(error)  # above its level, hence known as flagged
            else:
                smoothed += weight * (error - smoothed)
                remembered.append(smoothed)
            limits.append(limit)
        self._smoothed = smoothed
        self._remember(np.array(remembered), np.full(len(errors), np.inf if np.isnan(level) else level))
        return np.array(limits)

    def _estimate(self, errors: Array, limits: Array) -> float:
        unflagged = errors <= limits
        smoothed = errors[unflagged]
        if len(smoothed) < (1 - MAX_LEFT_OUT) * len(errors):
            smoothed = np.minimum(errors, limits)
        epsilon = find_epsilon(smoothed)
        normal = highest_normal(smoothed, epsilon, self._pruning)
        return max(epsilon, normal + abs(normal) * self._pruning / (1 - self._pruning))


def find_epsilon(smoothed: Array) -> float:
    """The candidate that best separates the highest of the smoothed errors (n,) from the rest."""
    mean, deviation = mean_and_deviation(smoothed)
    if deviation == 0:
        return mean
    standardised = (smoothed - mean) / deviation  # mean 0, deviation 1
    ordered = np.sort(standardised[standardised > DEVIATIONS[0]])[::-1]
    above = np.searchsorted(-ordered, -DEVIATIONS)  # (Z,) errors above each candidate
    candidates = np.flatnonzero(above)
    if len(candidates) == 0:
        return mean + float(DEVIATIONS[-1]) * deviation
    above = above[candidates]
    below = len(smoothed) - above
    removed_sum, removed_squares = np.cumsum(ordered)[above - 1], np.cumsum(ordered**2)[above - 1]
    fall_of_mean = removed_sum / below * (deviation / abs(mean) if mean else 0.0)
    variance = (len(smoothed) - removed_squares) / below - (removed_sum / below) ** 2
    fall_of_deviation = 1 - np.sqrt(np.maximum(variance, 0))
    gain = (fall_of_mean + fall_of_deviation) / (above + _count_runs(standardised, DEVIATIONS[candidates]) ** 2)
    best = len(gain) - 1 - int(np.argmax(gain[::-1]))  # of candidates that remove the same errors, the highest
    return mean + float(DEVIATIONS[candidates[best]]) * deviation


def highest_normal(smoothed: Array, epsilon: float, pruning: float) -> float:
    """The highest of the smoothed errors (n,) that is no anomaly, once runs above epsilon that do not stand out are pruned."""
    above = smoothed > epsilon
    if not above.any() or above.all():
        return float(smoothed.max())
    highest_below = smoothed[~above].max()
    starts = np.flatnonzero(np.diff(above, prepend=False) & above)  # first places of the runs
    run_peaks = np.maximum.reduceat(np.where(above, smoothed, highest_below), starts)
    peaks = np.append(np.sort(run_peaks)[::-1], highest_below)  # (runs + 1,) descending
    stand_out = np.flatnonzero(peaks[:-1] - peaks[1:] >= pruning * np.abs(peaks[:-1]))
    anomalous_runs = stand_out[-1] + 1 if len(stand_out) else 0
    return float(peaks[anomalous_runs])


def _count_runs(standardised: Array, deviations: Array) -> Integers:
    """How many runs of consecutive errors of the standardised ones (n,) lie above each of the deviations (Z,) -> (Z,)."""
    before = np.concatenate([[-np.inf], standardised[:-1]])
    rises = np.flatnonzero((standardised > deviations[0]) & (standardised > before))
    starts = (standardised[rises] > deviations[:, None]) & (before[rises] <= deviations[:, None])  # (Z, rises)
    return np.asarray(starts.sum(axis=1))
