"""Transforms beside their plain twins, in any pieces, and columns as series."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from helpers.chunks import FEW, assert_same, collect
from helpers.naive import transformed
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.core.errors import InputError
from autoencoder.core.state import pack, unpack
from autoencoder.sources.chunk import Chunk, ignore
from autoencoder.sources.live import StdinSource
from autoencoder.sources.schema import ColumnSelection
from autoencoder.sources.wrapped import ColumnSeries, Transform, TransformedSource

ALL = ColumnSelection(("all",))
KINDS = ["rate", "difference", "log", "log_return"]
VALUES = st.one_of(st.sampled_from([0.0, -1.0, math.nan, 5.0]), st.floats(-1e6, 1e6))
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), VALUES, VALUES), min_size=1, max_size=20)


def chunk_of(rows: Sequence[tuple[int, int, float, float]], unit: str) -> Chunk:
    """Rows of series, step in time and two values."""
    time = np.cumsum([step for _, step, *_ in rows])
    moments = time.astype("datetime64[s]").astype("datetime64[ns]") if unit == "s" else time.astype(np.int64)
    return Chunk(moments, np.array([values for _, _, *values in rows]), None, np.array([series for series, *_ in rows]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["s", "row"])
@FEW
@given(ROWS, st.lists(st.integers(1, 5)))
def test_a_transform_is_its_twin_in_any_pieces(kind: Any, unit: str, rows: list[Any], sizes: list[int]) -> None:
    chunk, transform, parts = chunk_of(rows, unit), Transform(kind, 2), []
    bounds = sorted({0, len(rows), *(place for place in np.cumsum(sizes, dtype=int).tolist() if place < len(rows))})
    for start, stop in pairwise(bounds):
        parts.append(transform.process(chunk[start:stop]))
        again = Transform(kind, 2)  # as after a restart
        again.load(unpack(pack(transform.state()), "x"))
        transform = again
    whole = Chunk.concatenate(parts)
    assert chunk.series is not None
    seconds = np.cumsum([step for _, step, *_ in rows]).tolist()
    for column in range(2):
        expected = transformed(kind, seconds, chunk.values[:, column].tolist(), chunk.series.tolist())
        np.testing.assert_allclose(whole.values[:, column], expected, rtol=1e-12)
    assert_same(whole, Transform(kind, 2).process(chunk))


def piped(text: bytes, **arguments: Any) -> StdinSource:
    return StdinSource(io.BytesIO(text), **arguments)


def test_a_transformed_pipe_goes_on_exactly() -> None:
    lines = [b"%d,%d\n" % (1_700_000_000 + row, row * row) for row in range(1, 9)]
    whole = collect(TransformedSource(piped(b"".join(lines)), "rate", ignore))
    for done in range(1, 8):
        source = TransformedSource(piped(b"".join(lines)), "rate", ignore)
        next(source.chunks())  # one chunk, of which a part is done
        resumed = TransformedSource(piped(b"".join(lines[done:])), "rate", ignore)
        resumed.recall(source.memory(done))
        assert_same(collect(resumed, done), whole[done:])


def test_values_without_a_logarithm_are_told_once() -> None:
    warnings: list[str] = []
    source = TransformedSource(piped(b"1\n0\n-5\n2\n"), "log", warnings.append)
    np.testing.assert_allclose(collect(source).values[:, 0], [0, math.nan, math.nan, math.log(2)])
    assert warnings == ["stdin: 2 values of 0 and less have no logarithm and are missing"]


def test_columns_as_series_are_melted_row_by_row() -> None:
    source = ColumnSeries(piped(b"time,a,b\n7,1,2\n8,3,\n", selection=ALL))
    whole = collect(source)
    assert (source.columns, source.has_series, list(source.series), source.length) == (("value",), True, ["a", "b"], None)
    assert whole.series is not None and whole.series.tolist() == [0, 1, 0, 1]
    assert whole.time.tolist() == [7, 7, 8, 8]
    np.testing.assert_array_equal(whole.values[:, 0], [1, 2, 3, math.nan])
    with pytest.raises(InputError, match="cannot be gone on with; run anew without --resume"):
        next(ColumnSeries(piped(b"time,a,b\n7,1,2\n", selection=ALL)).chunks(2))
