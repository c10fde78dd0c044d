"""Decimation: which rows of a long series draw the same line as all of them, and which columns of a wide one are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoencoder.core.types import Array, Detections, Integers


def decimate(x: Array, y: Array, bins: int) -> Integers:
    """Choose the rows that draw the same line as all of them: first, lowest, highest and last of each of ``bins`` steps of x.

    A step without any known y keeps one row, so that a gap stays a gap. Jugel et al. 2014, "M4: a visualization-oriented time
    series data aggregation", doi:10.14778/2732951.2732953.

    Args:
        x: (N,) finite positions, in order of arrival.
        y: (N,) heights, NaN in gaps.
        bins: steps over the range of x; as many as the picture has pixels from left to right, or more.

    Returns:
        (M,) ascending rows, M <= 4 * (bins + 1) where x ascends; all N rows where they are that few anyway.
    """
    if len(y) <= 4 * bins:
        return np.arange(len(y))
    step = np.floor((x - x.min()) * (bins / max(np.ptp(x), np.finfo(float).tiny)))  # (N,)
    changes = np.append(True, step[1:] != step[:-1])
    group = np.cumsum(changes)  # (N,), counts the runs of equal steps
    rows = np.flatnonzero(np.isfinite(y))  # (K,)
    by_height = rows[np.lexsort((y[rows], group[rows]))]  # (K,), in each group from lowest to highest
    first = np.flatnonzero(np.diff(group[rows], prepend=0))  # places in ``rows``
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    gaps = np.flatnonzero(changes & ~np.isin(group, group[rows]))
    return np.unique(np.concatenate([gaps, rows[first], rows[last], by_height[first], by_height[last]]))


def choose_columns(detections: Detections, before: Sequence[int], most: int) -> Sequence[int]:
    """Choose columns, where there are more than ``most``; empty where there are not, or none is known to be worth more than another.

    Those furthest from their prediction in units of their spread, at flagged points if any; ``before`` stays until points are flagged.
    """
    judged = detections.anomalies.any() if before else np.isfinite(detections.predictions).any()
    if detections.values.shape[1] <= most or not judged:
        return before
    rows = detections.anomalies if detections.anomalies.any() else slice(None)
    off = np.ma.masked_invalid(detections.values - detections.predictions)[rows]  # (K, F)
    spread = np.ma.masked_invalid(detections.values).std(axis=0).filled(0.0)  # (F,)
    distance = np.abs(off).mean(axis=0).filled(0.0) / np.where(spread > 0, spread, 1.0)  # (F,)
    return sorted(np.argsort(-distance, kind="stable")[:most].tolist())
