"""The checksum of rows: cuts change nothing, every change of a value or a time shows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.checksum import RowChecksum
from autoencoder.sources.chunk import Chunk


def checksum(*chunks: Chunk) -> RowChecksum:
    rows = RowChecksum()
    for chunk in chunks:
        rows.update(chunk.time, chunk.values)
    return rows


@settings(deadline=None, max_examples=40, derandomize=True)
@given(rows=st.integers(1, 60), cuts=st.lists(st.integers(0, 60), max_size=8), place=st.integers(0, 59), moved=st.booleans())
def test_cuts_change_nothing_and_changes_show(rows: int, cuts: list[int], place: int, moved: bool) -> None:
    time, values = np.arange(rows), np.random.default_rng(1).normal(size=(rows, 2))
    whole = checksum(Chunk(time, values))
    assert checksum(*(Chunk(time[piece], values[piece]) for piece in np.split(time, sorted(cuts)))).difference(whole) is None
    changed_time, changed = time.copy(), values.copy()
    if moved:
        changed_time[place % rows] += 1
    else:
        changed[place % rows] += 1e-9
    assert checksum(Chunk(changed_time, changed)).difference(whole) == ("time" if moved else "value")
    reloaded = RowChecksum()
    reloaded.load(whole.state(), rows, whole.last_time)
    assert reloaded.difference(whole) is None


def test_another_first_row_shows_at_once() -> None:
    before, again = checksum(Chunk(np.arange(9), np.ones((9, 1)))), checksum(Chunk(np.arange(1), np.zeros((1, 1))))
    assert again.difference(before) == "time or value"
