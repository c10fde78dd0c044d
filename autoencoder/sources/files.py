"""Files: csv (plain or gzipped) and parquet, read and checked as a whole before the first point is given."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TypeAlias

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import Chunk, Source, Warn, ignore, unreadable
from autoencoder.sources.parse import RowParser
from autoencoder.sources.schema import OBVIOUS, ColumnSelection

MAX_BYTES = 4 << 30  # of text, or of values, after decompression
MAX_EXPANSION = 200  # of those to the bytes of the file: 10 MB of gzip can hold 10 GB, but no table of use does
MIN_EXPANDED_BYTES = 64 << 20  # below that the expansion does not matter

_BLOCK_BYTES = 1 << 16  # the lists that a block is parsed through then fit the processor's cache
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


Table: TypeAlias = tuple[Chunk, tuple[str, ...], str | None, Sequence[str]]  # rows, names of the columns, zone, names of series


@dataclass(eq=False)
class FileSource(Source):
    """Points of one csv or parquet file.

    Text may be gzipped (told by content, not by name), split by commas, semicolons or tabs, with or without a header, or be one
    JSON object a line; see ``RowParser``. The whole file is read when the source is made, so that row 9,000 is known to
    be good before anything is trained on row 1.

    Raises:
        InputError: the file cannot be read, its columns are not obvious, or a row is bad.
    """

    path: str | Path
    selection: ColumnSelection = OBVIOUS
    chunk_size: int = 4096  # rows
    warn: Warn = ignore  # told, in a sentence each, of what is odd but no error (times that do not ascend)
    max_bytes: int = MAX_BYTES  # read at most, of text or (in parquet) of values, after decompression

    def __post_init__(self) -> None:
        path = Path(self.path)
        self._rows, self.columns, self.timezone, self.series = _read(path, self.selection, self.warn, self.max_bytes)
        self.name = path.name
        self.length: int | None = len(self._rows)
        self.has_series = self.selection.series is not None

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on; chunks end at multiples of the chunk size, counted from the file's first row."""
        return self._rows.split(self.chunk_size, start)


def _read(path: Path, selection: ColumnSelection, warn: Warn, max_bytes: int) -> Table:
    try:
        opened = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise unreadable(path, error) from error
    try:
        with opened as file:
            magic, size = file.peek(len(_PARQUET_MAGIC)), os.fstat(file.fileno()).st_size
            # what a compressed file may expand to; a pipe has no size
            expanded = min(max_bytes, max(MIN_EXPANDED_BYTES, MAX_EXPANSION * size)) if size else max_bytes
            if magic.startswith(_PARQUET_MAGIC) or path.suffix.lower() == ".parquet":
                from autoencoder.sources.parquet import read_parquet  # pyarrow, which it needs, is heavy

                return read_parquet(file, path.name, selection, warn, expanded)
            if magic.startswith(_GZIP_MAGIC):
                with gzip.open(file) as text:
                    return _read_text(text, path.name, selection, warn, expanded)
            return _read_text(file, path.name, selection, warn, max_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path.name} is a damaged gzip file ({error}); make or fetch it again") from None
    except OSError as error:
        raise unreadable(path, error) from error


def _read_text(file: BufferedReader | gzip.GzipFile, name: str, selection: ColumnSelection, warn: Warn, max_bytes: int) -> Table:
    parser = RowParser(name, selection, warn)
    chunks: list[Chunk] = []
    text, rows = 0, 0  # bytes so far; "1\n" takes two as text, and sixteen as a row
    while block := file.read(_BLOCK_BYTES):
        text += len(block)
        if chunk := parser.feed(block):
            chunks.append(chunk)
            rows += chunk.time.nbytes + chunk.values.nbytes + (0 if chunk.series is None else chunk.series.nbytes)
        if max(text, rows) > max_bytes:
            kind = "text" if text > max_bytes else "rows"
            raise InputError(f"{name} holds more than {max_bytes:,} bytes of {kind}; split it into smaller files")
    if chunk := parser.finish():
        chunks.append(chunk)
    parser.require_rows()
    return Chunk.concatenate(chunks), parser.columns, parser.timezone, tuple(parser.series)
