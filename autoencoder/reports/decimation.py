"""Which rows of a long series draw the same line as all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def decimate(x: Array, y: Array, bins: int) -> Rows:
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
    starts = run_starts(step)  # (G,)
    known = np.isfinite(y)
    gaps = starts[np.add.reduceat(known, starts, dtype=np.int64) == 0]
    rows = np.flatnonzero(known)  # (K,)
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(y)))[rows]  # (K,)
    first = run_starts(group)
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    by_height = rows[np.lexsort((y[rows], group))]  # (K,), in each group from lowest to highest
    return np.unique(np.concatenate([gaps, rows[first], rows[last], by_height[first], by_height[last]]))


def run_starts(group: npt.NDArray[np.generic]) -> Rows:
    """Rows at which a run of equal entries (N,) starts."""
    return np.flatnonzero(np.append(True, group[1:] != group[:-1])[: len(group)])


def runs(mask: npt.NDArray[np.bool_]) -> Rows:
    """First and last row (K, 2) of each run of True."""
    edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1)))
    return np.stack([edges[::2], edges[1::2] - 1], axis=1)
