"""Decimation: thousands of rows draw the line of millions."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.reports.decimation import decimate


def naive_decimate(x: np.ndarray, y: np.ndarray, bins: int) -> list[int]:
    """The slow twin of ``decimate``: walk through the rows, and keep what each run of equal steps asks for."""
    if len(y) <= 4 * bins:
        return list(range(len(y)))
    width = max(x.max() - x.min(), np.finfo(float).tiny)
    steps = [np.floor((each - x.min()) * (bins / width)) for each in x]
    kept: set[int] = set()
    start = 0
    for row in range(1, len(y) + 1):
        if row < len(y) and steps[row] == steps[start]:
            continue
        known = [k for k in range(start, row) if np.isfinite(y[k])]
        if known:
            kept |= {known[0], known[-1], min(known, key=lambda k: (y[k], k)), max(known, key=lambda k: (y[k], k))}
        else:
            kept.add(start)
        start = row
    return sorted(kept)


heights = st.one_of(st.just(np.nan), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))
series = st.lists(st.tuples(st.integers(0, 40), heights), min_size=0, max_size=120)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(rows=series, bins=st.integers(1, 9), ascending=st.booleans())
def test_decimation_agrees_with_its_naive_twin(rows: list[tuple[int, float]], bins: int, ascending: bool) -> None:
    rows = sorted(rows, key=lambda row: row[0]) if ascending else rows
    x, y = np.array(rows, dtype=float).reshape(-1, 2).T
    kept = decimate(x, y, bins).tolist()
    assert kept == naive_decimate(x, y, bins)
    assert len(kept) <= 4 * (bins + 1) or not ascending
