"""Files: csv (plain or gzipped) and parquet, read and checked as a whole before the first point is given."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Protocol

from data.series import Chunk, InputError
from data.text.layout import Request
from data.text.lines import LineBuffer
from data.text.rows import RowParser, Table, Warn, ignore

MAX_BYTES = 4 << 30  # of text, or of values, after decompression
MAX_RATIO = 200  # of those to the bytes of the file: 10 MB of gzip can hold 10 GB, but not of a table that anybody wants judged
RATIO_FREE_BYTES = 64 << 20  # below that it does not matter

_BLOCK = 1 << 16  # bytes; the lists that a block is parsed through then fit the processor's cache
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


class _Bytes(Protocol):
    """An open file, plain or gzipped."""

    def read(self, size: int, /) -> bytes: ...


class FileSource:
    """Points of one csv or parquet file.

    Text may be gzipped (told by content, not by name), split by commas, semicolons or tabs, with or without a header, or be one
    JSON object a line; see ``data.text.rows.RowParser``. The whole file is read when the source is made, so that row 9,000 is known to
    be good before anything is trained on row 1.

    Attributes:
        name: the file's name without its folder.
        columns: names of the F value columns.
        points: number of rows N.
        series: names of the series in order of first appearance; empty where no column of them was asked for.
        timezone: zone of the times; None where they carry none or rows are counted.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] = (),
        time_column: str | None = None,
        chunk_size: int = 4096,
        warn: Warn | None = None,
        label_column: str | None = None,
        max_bytes: int = MAX_BYTES,
        series_column: str | None = None,
    ) -> None:
        """Read the file.

        Args:
            path: the file.
            columns: names of the value columns; empty: the obvious one (see ``data.text.layout.choose_layout``).
            time_column: name of the time column; None: the obvious one, or rows are counted.
            chunk_size: rows a chunk.
            warn: told, in a sentence each, of what is odd but no error (times that do not ascend).
            label_column: name of a column of 0 and 1 that marks anomalies; None: no labels.
            max_bytes: most bytes of text (or of values, in parquet) to read, after decompression.
            series_column: name of the column that says which series a row belongs to; None: all rows are of one.

        Raises:
            InputError: the file cannot be read, its columns are not obvious, or a row is bad.
        """
        if chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}; it must be at least 1")
        path = Path(path)
        request = Request(tuple(columns), time_column, label_column, series_column)
        table = _read(path, request, warn or ignore, max_bytes)
        self.name = path.name
        self.columns = table.columns
        self.points: int | None = len(table.rows)
        self.timezone = table.timezone
        self.series = table.series
        self._rows = table.rows
        self._chunk_size = chunk_size

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on; chunks end at multiples of the chunk size, counted from the file's first row."""
        size, points = self._chunk_size, len(self._rows)
        while start < points:
            end = min((start // size + 1) * size, points)
            yield self._rows[start:end]
            start = end


def unreadable(path: Path, error: OSError | ValueError) -> InputError:
    """What a user is told when a file cannot be opened or read."""
    match error:
        case FileNotFoundError():
            return InputError(f"{path}: no such file; check the path")
        case IsADirectoryError():
            return InputError(f"{path} is a folder; give the path of one file in it")
        case PermissionError():
            return InputError(f"{path}: permission to read is denied; change its rights (chmod u+r) or run as its owner")
        case OSError():
            return InputError(f"{path} cannot be read ({error.strerror or error}); check the path")
    return InputError(f"{str(path)!r} cannot be read ({error}); check the path")


def _read(path: Path, request: Request, warn: Warn, max_bytes: int) -> Table:
    with _open(path) as file:
        try:
            magic = file.peek(len(_PARQUET_MAGIC))
            if magic.startswith(_PARQUET_MAGIC) or path.suffix.lower() == ".parquet":
                from data.parquet import read_parquet  # pyarrow, which it needs, is heavy

                return read_parquet(file, path.name, request, warn, _most_bytes(file, max_bytes))
            if not magic.startswith(_GZIP_MAGIC):
                return _read_text(file, path.name, request, warn, max_bytes)
            with gzip.open(file) as text:
                return _read_text(text, path.name, request, warn, _most_bytes(file, max_bytes))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{path.name} is a damaged gzip file ({error}); make or fetch it again") from None
        except OSError as error:
            raise unreadable(path, error) from error


def _most_bytes(file: BufferedReader, most: int) -> int:
    """What a packed file may unpack to."""
    size = os.fstat(file.fileno()).st_size
    return min(most, max(RATIO_FREE_BYTES, MAX_RATIO * size)) if size else most  # a pipe has no size


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise unreadable(path, error) from error


def _read_text(file: _Bytes, name: str, request: Request, warn: Warn, max_bytes: int) -> Table:
    lines = LineBuffer(name)
    parser = RowParser(name, request, warn)
    chunks, size = [], 0
    for block in chain(_blocks(file, name, max_bytes), [None]):
        chunk = parser.feed(lines.finish() if block is None else lines.push(block))
        if chunk is not None:
            chunks.append(chunk)
            size += chunk.time.nbytes + chunk.values.nbytes + (0 if chunk.series is None else chunk.series.nbytes)
            if size > max_bytes:  # "1\n" takes two bytes as text, and sixteen as a row
                raise InputError(f"{name} holds more than {max_bytes:,} bytes of rows; split it into smaller files")
    parser.require_rows()
    if sentence := parser.order_warning():
        warn(sentence)
    return Table(Chunk.concatenate(chunks), parser.columns, parser.timezone, parser.series)


def _blocks(file: _Bytes, name: str, max_bytes: int) -> Iterator[bytes]:
    read = 0
    while block := file.read(_BLOCK):
        read += len(block)
        if read > max_bytes:
            raise InputError(f"{name} holds more than {max_bytes:,} bytes of text; split it into smaller files")
        yield block
