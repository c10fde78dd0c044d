"""Wide: the columns of a table as series of their own, each judged by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import Chunk, Source, Time, skip_rows
from autoencoder.sources.schema import MAX_SERIES

_ROWS = 1 << 16  # most rows of a chunk


class ColumnSeries(Source):
    """Every cell of a source's rows as a row of its column's series, row by row; beside series that there are, of each of them."""

    has_series = True

    def __init__(self, source: Source) -> None:
        if len(source.columns) > MAX_SERIES:
            raise InputError(
                f"{source.name} has {len(source.columns):,} columns of numbers; at most {MAX_SERIES:,} are judged together"
            )
        self._source = source
        self.name, self.timezone = source.name, source.timezone
        self.rewindable, self.mutable, self.throttled = source.rewindable, source.mutable, source.throttled
        self.columns = ("value",)
        self.length = None if source.length is None else source.length * len(source.columns)
        self._names = list(source.columns)

    @property
    def series(self) -> Sequence[str]:  # type: ignore[override]  # it grows with those of the source
        """Names of the columns, behind those of the source's series where it has some."""
        if not self._source.has_series:
            return self._names
        return [f"{series} {column}" for series in self._source.series for column in self._names]

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the cells from number ``start`` on.

        Raises:
            InputError: the source goes on behind a row, and does not know within which.
        """
        if start and not self.rewindable:
            raise InputError(
                f"{self.name}: columns that are judged each on its own cannot be gone on with; run anew without --resume"
            )
        yield from skip_rows(self._cells(), start)

    def _cells(self) -> Iterator[Chunk]:
        width = len(self._names)
        for chunk in self._source.chunks():
            for part in chunk.split(max(1, _ROWS // width)) if len(chunk) else [chunk]:
                rows = len(part)
                first = np.zeros(rows, np.int64) if part.series is None else part.series * width
                time: Time = part.time.repeat(width)
                yield Chunk(
                    time,
                    part.values.reshape(-1, 1),
                    None if part.labels is None else np.repeat(part.labels, width),
                    (first[:, None] + np.arange(width)).reshape(-1),
                    None if part.aside is None else np.repeat(part.aside, width, axis=0),
                )
