"""QuantileThreshold: the rolling (1 - budget) quantile of the recent errors."""

from __future__ import annotations

import math

import numpy as np

from autoencoder.core.types import Array
from autoencoder.thresholds.rolling import RollingThreshold

NEAR_RANK = 16  # the fewest errors that may lie above the nearer of the two order statistics
FAR_TO_NEAR = 4
MAX_LEFT_OUT = 0.05  # share of the window that is left out as anomalies at most


class QuantileThreshold(RollingThreshold):
    """The error that a share ``budget`` of the recent ones exceeds, extended along an exponential tail.

    With 2,000 errors and a budget of 0.001 the quantile itself would be the second largest error, one anomaly away from being
    wrong. So it is reached from below: two order statistics, ideally those that twice and eight times the budget exceed, span a
    line against the logarithm of the share above them, and the line is followed to the budget. That is exact for exponential
    tails (a heavier tail is flagged up to three times too often, a lighter one too seldom), needs no more errors for a small
    budget, and keeps the largest errors out of the reckoning: of a flagged error only the fact counts, never the size.

    As many flags as the budget and chance explain are counted as normal errors; more are taken for anomalies and left out, but no
    more than ``MAX_LEFT_OUT`` of the window: errors that stay high for longer are the new normal, and a limit that left out
    whatever it flags would never reach them.

    Examples:
        >>> threshold = QuantileThreshold(budget=0.01)
        >>> threshold.fit(np.random.default_rng(0).exponential(size=2000))
        >>> threshold.process(np.array([0.5, 60.0, 0.5])).round(1)
        array([4.8, 4.8, 4.8])
    """

    def _estimate(self, errors: Array, limits: Array) -> float:
        expected_flags = len(errors) * self.budget
        surplus = int(np.count_nonzero(errors > limits)) - math.ceil(expected_flags + math.sqrt(expected_flags))
        normal = len(errors) - min(max(surplus, 0), int(MAX_LEFT_OUT * len(errors)))
        exceeding = self.budget * normal
        near = max(min(NEAR_RANK, normal // 4), min(math.ceil(2 * exceeding), normal // 8), int(exceeding))
        far = min(FAR_TO_NEAR * near, (normal + near + 1) // 2)
        ordered = np.partition(errors, [normal - far, normal - near])  # in order at these two places only
        near_error, far_error = float(ordered[normal - near]), float(ordered[normal - far])
        # The r-th largest of n exponential errors is exceeded, in the mean of the logarithm, by a share of (r - 1/2) / n.
        steps = math.log((near - 0.5) / exceeding) / math.log((far - 0.5) / (near - 0.5))
        return near_error + steps * (near_error - far_error)
