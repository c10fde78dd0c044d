"""Files: csv (plain or gzipped) and parquet, read and checked as a whole before the first point is given."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import Chunk, Source, Table, Warn, ignore, unreadable
from autoencoder.sources.parse import RowParser
from autoencoder.sources.schema import ColumnSelection

MAX_BYTES = 4 << 30  # of text, or of values, after decompression
MAX_EXPANSION = 200  # of those to the bytes of the file: 10 MB of gzip can hold 10 GB, but no table of use does
MIN_EXPANDED_BYTES = 64 << 20  # below that the expansion does not matter

_BLOCK_BYTES = 1 << 16  # the lists that a block is parsed through then fit the processor's cache
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


class FileSource(Source):
    """Points of one csv or parquet file.

    Text may be gzipped (told by content, not by name), split by commas, semicolons or tabs, with or without a header, or be one
    JSON object a line; see ``RowParser``. The whole file is read when the source is made, so that row 9,000 is known to
    be good before anything is trained on row 1.

    Args:
        path: the file.
        columns: names of the value columns; empty: the obvious one (see ``choose_schema``).
        time_column: name of the time column; None: the obvious one, or rows are counted.
        chunk_size: rows a chunk.
        warn: told, in a sentence each, of what is odd but no error (times that do not ascend).
        label_column: name of a column of 0 and 1 that marks anomalies; None: no labels.
        max_bytes: most bytes of text (or of values, in parquet) to read, after decompression.
        series_column: name of the column that says which series a row belongs to; None: all rows are of one.

    Raises:
        InputError: the file cannot be read, its columns are not obvious, or a row is bad.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] = (),
        time_column: str | None = None,
        chunk_size: int = 4096,
        warn: Warn = ignore,
        label_column: str | None = None,
        max_bytes: int = MAX_BYTES,
        series_column: str | None = None,
    ) -> None:
        path = Path(path)
        table = _read(path, ColumnSelection(tuple(columns), time_column, label_column, series_column), warn, max_bytes)
        self.name = path.name
        self.columns = table.columns
        self.length: int | None = len(table.rows)
        self.timezone = table.timezone
        self.series, self.has_series = table.series, series_column is not None
        self._rows = table.rows
        self._chunk_size = chunk_size

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on; chunks end at multiples of the chunk size, counted from the file's first row."""
        return self._rows.split(self._chunk_size, start)


def _read(path: Path, selection: ColumnSelection, warn: Warn, max_bytes: int) -> Table:
    with _open(path) as file:
        try:
            magic = file.peek(len(_PARQUET_MAGIC))
            if magic.startswith(_PARQUET_MAGIC) or path.suffix.lower() == ".parquet":
                from autoencoder.sources.parquet import read_parquet  # pyarrow, which it needs, is heavy

                return read_parquet(file, path.name, selection, warn, _max_expanded(file, max_bytes))
            if not magic.startswith(_GZIP_MAGIC):
                return _read_text(file, path.name, selection, warn, max_bytes)
            with gzip.open(file) as text:
                return _read_text(text, path.name, selection, warn, _max_expanded(file, max_bytes))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{path.name} is a damaged gzip file ({error}); make or fetch it again") from None
        except OSError as error:
            raise unreadable(path, error) from error


def _max_expanded(file: BufferedReader, max_bytes: int) -> int:
    """Most bytes that a compressed file may expand to."""
    size = os.fstat(file.fileno()).st_size
    return min(max_bytes, max(MIN_EXPANDED_BYTES, MAX_EXPANSION * size)) if size else max_bytes  # a pipe has no size


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise unreadable(path, error) from error


def _read_text(file: BufferedReader | gzip.GzipFile, name: str, selection: ColumnSelection, warn: Warn, max_bytes: int) -> Table:
    parser = RowParser(name, selection, warn)

    def read() -> Iterator[Chunk | None]:
        for block in _blocks(file, name, max_bytes):
            yield parser.feed(block)
        yield parser.finish()

    chunks: list[Chunk] = []
    size = 0
    for chunk in filter(None, read()):
        chunks.append(chunk)
        size += chunk.time.nbytes + chunk.values.nbytes + (0 if chunk.series is None else chunk.series.nbytes)
        if size > max_bytes:  # "1\n" takes two bytes as text, and sixteen as a row
            raise InputError(f"{name} holds more than {max_bytes:,} bytes of rows; split it into smaller files")
    parser.require_rows()
    return Table(Chunk.concatenate(chunks), parser.columns, parser.timezone, tuple(parser.series))


def _blocks(file: BufferedReader | gzip.GzipFile, name: str, max_bytes: int) -> Iterator[bytes]:
    read = 0
    while block := file.read(_BLOCK_BYTES):
        read += len(block)
        if read > max_bytes:
            raise InputError(f"{name} holds more than {max_bytes:,} bytes of text; split it into smaller files")
        yield block
