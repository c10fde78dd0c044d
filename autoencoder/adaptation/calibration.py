"""Calibration: which errors a model's threshold is set by when it takes over in the middle of a stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autoencoder.scorers.base import Array

NARROW = 2.5  # times that the upper half of a model's spread may be wider than its first errors show
WIDE = 3.0  # times that it may be wider than the lower half lets expect
CARRIED = 4000  # newest errors of other times and models that tell what the tail looks like

Bools = npt.NDArray[np.bool_]


def calm_rows(normal: Bools, span: int) -> npt.NDArray[np.int64]:
    """Places (K,) among normal (N,) rows at which no anomaly is felt, at least ``span`` of them if there are so many.

    An anomaly is felt as long as it is in the window of ``span`` points, and less so in its older half.
    """
    rows = np.empty(0, np.int64)
    for reach in (span, span // 2, 1):
        rows = np.flatnonzero(untouched(normal, reach))
        if len(rows) >= span:
            break
    return rows


def untouched(normal: Bools, span: int) -> Bools:
    """Which of normal (N,) rows have no other row among themselves and the ``span`` - 1 rows before them."""
    sums = np.concatenate([np.zeros(span, np.int64), np.cumsum(~normal)])
    untouched: Bools = sums[span:] == sums[: len(normal)]
    return untouched


def carried(calm: Array, others: Sequence[Array]) -> Array:
    """Errors (M,) to set a threshold by: the ``calm`` ones (K,), and before them those of ``others`` with their level and spread.

    The few errors of a new model tell level and spread; how large they may become is told by the many of the model before. What is larger
    still is left of an anomaly that nobody saw.
    """
    known = [errors[~np.isnan(errors)][-CARRIED:] for errors in others]
    rescaled = [rescale(errors, calm) for errors in known if len(errors) >= len(calm)]
    highest = max((float(errors.max()) for errors in rescaled), default=np.inf)
    return np.concatenate([*rescaled, calm[calm <= highest]])


def rescale(errors: Array, like: Array) -> Array:
    """Errors (N,) of one model with the level and spread of another's (M,), so that their tail serves it.

    Below the median the lower half's spread counts. Few errors say too little of their upper half, which may be too narrow or hold what is
    left of an anomaly: above the median the lower half's spread counts, too, as far as the upper half's bears it out.
    """
    below, level, above = _spread(errors)
    other_below, other_level, other_above = _spread(like)
    lower, upper = other_below / below, other_above / above
    higher = min(max(upper, min(lower, NARROW * upper)), WIDE * lower)
    off = errors - level
    rescaled: Array = np.maximum(other_level + off * np.where(off < 0, lower, higher), 0.0)
    return rescaled


def _spread(errors: Array) -> tuple[float, float, float]:
    """Distance from the lowest decile to the median, the median, and the distance from it to the highest decile."""
    low, middle, high = np.quantile(errors, [0.1, 0.5, 0.9]).tolist()
    least = max(1e-6 * abs(middle), np.finfo(float).tiny * 1e10)
    return max(middle - low, least), middle, max(high - middle, least)
