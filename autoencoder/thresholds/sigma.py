"""SigmaThreshold: so many standard deviations above the mean of the recent errors."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from autoencoder.core.types import Array
from autoencoder.thresholds.rolling import RollingThreshold, mean_and_deviation


class SigmaThreshold(RollingThreshold):
    """Rolling mean + z standard deviations, where a normal variable exceeds z with probability ``budget``.

    The simplest one, good to compare with. It keeps its budget for normally distributed errors; errors with a heavier tail,
    as absolute errors mostly have, are flagged more often than that.

    Flagged errors count with the limit that they exceeded (they are winsorised). Of a normal distribution's deviation that takes
    next to nothing away, and an anomaly of any size weighs no more than the largest normal error. A level that stays high still
    carries the limit up, as ever more of the window lies at the limit.

    Examples:
        >>> threshold = SigmaThreshold(budget=0.01)
        >>> threshold.fit(np.random.default_rng(0).normal(size=2000))
        >>> threshold.process(np.array([0.5, 60.0, 0.5])).round(1)
        array([2.3, 2.3, 2.3])
    """

    def __init__(self, budget: float, window: int = 2000) -> None:
        super().__init__(budget, window)
        self._deviations = NormalDist().inv_cdf(1 - budget)

    def _estimate(self, errors: Array, limits: Array) -> float:
        mean, deviation = mean_and_deviation(np.minimum(errors, limits))
        return mean + self._deviations * deviation
