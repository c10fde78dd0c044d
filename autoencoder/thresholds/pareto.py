"""Generalised Pareto distribution: fit and tail, for peaks over a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FEWEST = 5  # peaks below which the shape cannot be told and an exponential tail is taken
FLAT = 1e-9  # shapes nearer to 0 are taken for 0
SHAPES = (-0.5, 0.5)  # heavier tails have no variance, lighter ones an end that the next point may pass


@dataclass(frozen=True, slots=True)
class Pareto:
    """P(peak > x) = (1 + shape x / scale)^(-1 / shape), x >= 0; shape 0 is the exponential."""

    shape: float
    scale: float

    def exceedance(self, peaks: Array) -> Array:
        """Probability that a peak is larger than each of ``peaks`` (N,) >= 0."""
        return exceedance(peaks, np.array(self.shape), np.array(self.scale))

    def quantile(self, exceedance: float) -> float:
        """Height that a peak passes with probability ``exceedance`` in (0, 1]."""
        if abs(self.shape) < FLAT:
            return float(-self.scale * np.log(exceedance))
        return float(self.scale / self.shape * (exceedance**-self.shape - 1.0))


def exceedance(peaks: Array, shapes: Array, scales: Array) -> Array:
    """Probabilities (N,) that a peak is larger than ``peaks`` (N,) >= 0, for tails with shapes and scales () or (N,)."""
    with np.errstate(over="ignore", divide="ignore"):  # infinitely far out: the probability is 0
        ratio = peaks / scales
        curved = np.maximum(0.0, 1.0 + shapes * ratio) ** (-1.0 / shapes)
        probability: Array = np.where(np.abs(shapes) < FLAT, np.exp(-ratio), curved)
    return probability


def fit(peaks: Array) -> Pareto:
    """Fit to peaks (N,) > 0 with the estimator of Zhang and Stephens (2009, doi 10.1198/tech.2009.08017).

    It needs no iteration and never fails to converge: the profile likelihood is averaged over a grid of candidates that follows from the
    data. The shape is drawn to 0 with the weight of ten peaks (Vehtari et al. 2024, jmlr.org/papers/v25/19-556) and kept in ``SHAPES``.
    """
    ordered = np.sort(peaks[peaks > 0])
    count = len(ordered)
    if count < FEWEST or ordered[-1] <= ordered[0] * (1 + 1e-9):
        return Pareto(0.0, float(ordered.mean()) if count else np.finfo(float).tiny)
    unit = ordered[-1]
    ordered = ordered / unit  # free of overflow for any unit
    candidates = 30 + int(np.sqrt(count))
    quartile = ordered[int(count / 4 + 0.5) - 1]
    grid = 1.0 + (1.0 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))) / (
        3.0 * quartile
    )  # (C,) theta, below 1 / max
    shapes = np.log1p(-grid[:, None] * ordered).mean(axis=1)  # (C,) minus the usual sign
    likelihood = count * (np.log(np.maximum(grid / -shapes, np.finfo(float).tiny)) - shapes - 1.0)
    weights = np.exp(likelihood - likelihood.max())
    theta = float((grid * weights).sum() / weights.sum())
    shape = float(np.log1p(-theta * ordered).mean())
    scale = -shape / theta if abs(theta) > 1e-12 else float(ordered.mean())
    shape = float(np.clip(shape * count / (count + 10.0), *SHAPES))
    return Pareto(shape, scale * unit)
