"""Ordered: the columns of a source in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from autoencoder.sources.chunk import Chunk, Source


class OrderedSource(Source):
    """A source whose columns stand in the order of ``columns``, which are its own."""

    def __init__(self, source: Source, columns: tuple[str, ...]) -> None:
        self._source, self.columns = source, columns
        self._places = [source.columns.index(name) for name in columns]
        self.name, self.length, self.timezone = source.name, source.length, source.timezone
        self.rewindable, self.mutable, self.throttled = source.rewindable, source.mutable, source.throttled
        self.has_series = source.has_series
        self.events = source.events  # type: ignore[method-assign]  # those of the source stand where they stood
        self.memory = source.memory  # type: ignore[method-assign]
        self.recall = source.recall  # type: ignore[method-assign]

    @property
    def series(self) -> object:  # type: ignore[override]  # it grows with those of the source
        """As the source names them."""
        return self._source.series

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on."""
        for chunk in self._source.chunks(start):
            yield replace(chunk, values=chunk.values[:, self._places])
