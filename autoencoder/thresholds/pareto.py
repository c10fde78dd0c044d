"""Generalised Pareto distribution, for peaks over a threshold, and the probabilities of errors whose tail follows one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoencoder.core.types import Array

MIN_PEAKS = 5  # peaks below which the shape cannot be told and an exponential tail is taken
FLAT_SHAPE = 1e-9  # shapes nearer to 0 are taken for 0
# exceedance probabilities at which the body of the errors is kept, down to the share of them that makes the tail
BODY_GRID = np.concatenate([np.linspace(1.0, 0.0, 65)[:-1], [0.012, 0.009, 0.007, 0.005]])
SHAPE_RANGE = (-0.5, 0.5)  # heavier tails have no variance, lighter ones an end that the next point may pass


@dataclass(frozen=True, slots=True)
class Pareto:
    """P(peak > x) = (1 + shape x / scale)^(-1 / shape), x >= 0; shape 0 is the exponential."""

    shape: float
    scale: float

    def quantile(self, exceedance: float) -> float:
        """Height that a peak passes with probability ``exceedance`` in (0, 1]."""
        if abs(self.shape) < FLAT_SHAPE:
            return float(-self.scale * np.log(exceedance))
        return float(self.scale / self.shape * (exceedance**-self.shape - 1.0))


def exceedance(peaks: Array, shape: Array, scale: Array) -> Array:
    """Probabilities (N,) that a peak is larger than ``peaks`` (N,) >= 0, for a tail with shape and scale ()."""
    with np.errstate(over="ignore", divide="ignore"):  # infinitely far out: the probability is 0
        ratio = peaks / scale
        curved = np.maximum(0.0, 1.0 + shape * ratio) ** (-1.0 / shape)
        return np.where(np.abs(shape) < FLAT_SHAPE, np.exp(-ratio), curved)


def fit(peaks: Array) -> Pareto:
    """Fit to peaks (N,) > 0 with the estimator of Zhang and Stephens (2009, doi 10.1198/tech.2009.08017).

    It needs no iteration and never fails to converge: the profile likelihood is averaged over a grid of candidates that follows from the
    data. The shape is drawn to 0 with the weight of ten peaks (Vehtari et al. 2024, jmlr.org/papers/v25/19-556) and kept in
    ``SHAPE_RANGE``.
    """
    ordered = np.sort(peaks[peaks > 0])
    count = len(ordered)
    if count < MIN_PEAKS or ordered[-1] <= ordered[0] * (1 + 1e-9):
        return Pareto(0.0, float(ordered.mean()) if count else np.finfo(float).tiny)
    unit = ordered[-1]
    ordered = ordered / unit  # free of overflow for any unit
    candidates = 30 + int(np.sqrt(count))
    quartile = max(ordered[int(count / 4 + 0.5) - 1], 1e-300)  # what it divides stays finite
    falling = 1.0 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))
    grid = 1.0 + falling / (3.0 * quartile)  # (C,) theta, below 1 / max
    shapes = np.log1p(-grid[:, None] * ordered).mean(axis=1)  # (C,) minus the usual sign
    likelihood = count * (np.log(np.maximum(grid / -shapes, np.finfo(float).tiny)) - shapes - 1.0)
    weights = np.exp(likelihood - likelihood.max())
    theta = float((grid * weights).sum() / weights.sum())
    shape = float(np.log1p(-theta * ordered).mean())
    scale = -shape / theta if abs(theta) > 1e-12 else float(ordered.mean())
    shape = float(np.clip(shape * count / (count + 10.0), *SHAPE_RANGE))
    return Pareto(shape, scale * unit)


@dataclass(frozen=True, slots=True)
class TailModel:
    """What errors are judged by: numbers of shape () and a body (B,)."""

    limit: Array  # above it an error is a flag
    level: Array  # median of the recent errors
    spread: Array  # distance from their lowest decile to it; errors less the level, in this unit, are comparable over time
    peak_level: Array  # comparable error above which the tail begins
    share: Array  # of the errors that lie there
    shape: Array  # of the tail
    scale: Array  # of the tail
    body: Array  # comparable errors at ``BODY_GRID``

    @staticmethod
    def unknown() -> TailModel:
        """Of errors that cannot be judged yet."""
        return TailModel(*[np.array(np.nan)] * 7 + [np.full(len(BODY_GRID), np.nan)])

    def probabilities(self, errors: Array) -> Array:
        """Errors (N,) -> probabilities (N,) that a normal error is larger."""
        comparable = (errors - self.level) / self.spread
        probabilities: Array = np.maximum(np.interp(comparable, self.body, BODY_GRID), self.share)
        beyond = comparable > self.peak_level
        if np.count_nonzero(beyond):
            peaks = np.maximum(comparable - self.peak_level, 0.0)
            probabilities = np.where(beyond, self.share * exceedance(peaks, self.shape, self.scale), probabilities)
        return probabilities
