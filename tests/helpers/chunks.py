"""What tests of sources share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import settings

from autoencoder.sources import Chunk, Source

FEW = settings(deadline=None, max_examples=50, derandomize=True)


def collect(source: Source, start: int = 0) -> Chunk:
    """All that a source gives from a row on, as one chunk."""
    return Chunk.concatenate(list(source.chunks(start)))


def with_rows(source: Source) -> Iterator[Chunk]:
    """The chunks of a source that waits, without those that only say that time passes."""
    return (chunk for chunk in source.chunks() if len(chunk))


def first_column(chunk: Chunk) -> list[float | None]:
    """The values of the first column, None where missing."""
    return [None if np.isnan(value) else value for value in chunk.values[:, 0].tolist()]


def assert_same(one: Chunk, other: Chunk) -> None:
    """Compare every array of two chunks."""
    for name in ("time", "values", "labels", "series"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
