"""Several: files of one kind as one source, each file a series of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import Chunk, Source, skip_rows
from autoencoder.sources.files import FileSource


class SeveralFiles(Source):
    """The rows of several files, one file after the other; each is a series that has the file's name.

    A file that holds series itself gives one for each of them.

    Raises:
        InputError: the files have different columns, or times of different kinds.
    """

    has_series = True

    def __init__(self, files: Sequence[FileSource]) -> None:
        first = files[0]
        for other in files[1:]:
            for what, one, two in (
                ("the columns", _listed(other), _listed(first)),
                ("times", _kind_of_time(other), _kind_of_time(first)),
            ):
                if one != two or other.columns != first.columns:
                    remedy = "judge them in runs of their own"
                    raise InputError(f"{other.path} has {what} {one} and {first.path} {two}; {remedy}")
        self._files = files
        self.name = f"{first.name} and {len(files) - 1} more"
        self.columns, self.timezone = first.columns, first.timezone
        self.length = sum(file.length or 0 for file in files)
        self.series = [name for file, label in zip(files, _labels(files), strict=True) for name in _names(file, label)]

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on."""
        yield from skip_rows(self._rows(), start)

    def _rows(self) -> Iterator[Chunk]:
        before = 0  # series of the files before
        for file in self._files:
            for chunk in file.chunks():
                own = np.zeros(len(chunk), np.int64) if chunk.series is None else chunk.series
                yield Chunk(chunk.time, chunk.values, chunk.labels, own + before)
            before += len(_names(file, ""))


def _labels(files: Sequence[FileSource]) -> list[str]:
    """A name for each file that no other one has."""
    stems = [Path(file.path).name.split(".")[0] for file in files]
    return stems if len(set(stems)) == len(stems) else [str(file.path) for file in files]


def _names(file: FileSource, label: str) -> list[str]:
    return [f"{label} {series}".strip() for series in file.series] if file.has_series else [label]


def _kind_of_time(file: FileSource) -> str:
    first = next(file.chunks())
    return (
        "that are counts"
        if first.time.dtype.kind == "i"
        else f"with the zone {file.timezone}"
        if file.timezone
        else "without a zone"
    )


def _listed(file: FileSource) -> str:
    return ", ".join(file.columns[:5]) + (", ..." if len(file.columns) > 5 else "")
