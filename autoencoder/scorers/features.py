"""Features of a point: what sets it apart from the points just before it."""

from __future__ import annotations

import numpy as np

from autoencoder.core.types import Array

FEATURES = 4  # of each column of a point
LARGEST = 1e300  # values beyond are taken for this much where differences of them must stay finite


def window_features(values: Array, window: int) -> tuple[Array, Array]:
    """What sets each point apart from the ``window`` points before it.

    Args:
        values: (window + N, K), finite.
        window: points (w) that each of the last N points is compared with.

    Returns:
        Features (N, K, 4) and medians of the w points before (N, K). The features are differences in the values' own units: the
        point minus that median; the point minus the one before; the distance between the quartiles of the newest w points, the
        point included; and the median of their newer half minus that of their older half. Medians and quartiles, because means
        and deviations would make the w points after an outlier odd as well.
    """
    spans = np.lib.stride_tricks.sliding_window_view(values, window + 1, axis=0)  # (N, K, w + 1), a view
    newest = spans[..., -1]
    medians = _median(spans[..., :-1])
    ordered = np.sort(spans[..., 1:], axis=-1)
    older, newer = spans[..., 1 : 1 + window // 2], spans[..., -(window // 2) :]
    with np.errstate(over="ignore"):
        features = [
            newest - medians,
            newest - spans[..., -2],
            ordered[..., 3 * window // 4] - ordered[..., window // 4],
            _median(newer) - _median(older),
        ]
    return np.stack(features, axis=-1), medians


def _median(values: Array) -> Array:
    """Median over the last axis; halved before they are added, so that no sum overflows."""
    ordered, count = np.sort(values, axis=-1), values.shape[-1]
    return np.asarray(ordered[..., (count - 1) // 2] / 2 + ordered[..., count // 2] / 2)


def spread(values: Array) -> Array:
    """Distance between the quartiles of each column of values (N, K) -> (K,); where that is 0, the full range, else 1."""
    bounded = np.clip(values, -LARGEST, LARGEST)
    low, high = np.quantile(bounded, [0.25, 0.75], axis=0)
    spread = np.where(high > low, high - low, np.ptp(bounded, axis=0))
    return np.where(spread > 0, spread, 1.0)
