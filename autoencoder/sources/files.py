"""Files: where the text of a table comes from; a file is read and checked as a whole before its first point."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import Chunk, Source, Warn, ignore, unreadable
from autoencoder.sources.documents import read_table
from autoencoder.sources.parse import RowParser
from autoencoder.sources.reading import AS_FOUND, MustReadAgain, Reading
from autoencoder.sources.schema import OBVIOUS, ColumnSelection

MAX_BYTES = 4 << 30  # of text, or of values, after decompression
MAX_EXPANSION = 200  # of those to the bytes of the file: 10 MB of gzip can hold 10 GB, but no table of use does
MIN_EXPANDED_BYTES = 64 << 20  # below that the expansion does not matter

BLOCK_BYTES = 1 << 16  # most text that makes one chunk; the lists that it is parsed through then fit the processor's cache
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


class Table(NamedTuple):
    """A whole table."""

    rows: Chunk
    columns: tuple[str, ...]
    timezone: str | None
    series: Sequence[str]  # their names


@dataclass(eq=False)
class FileSource(Source):
    """Points of one csv, JSON or parquet file.

    Text may be gzipped (told by content, not by name), in UTF-8 or UTF-16, split by commas, semicolons, tabs, bars or blanks, with or
    without a header, be one JSON object a line, or one JSON document; see ``RowParser`` and ``read_table``. The whole file is read when
    the source is made, so that row 9,000 is known to be good before anything is trained on row 1; what its cells leave open, all of them
    settle, and a file with its newest rows first is turned round.

    Raises:
        InputError: the file cannot be read, its columns are not obvious, or a row is bad.
    """

    path: str | Path
    selection: ColumnSelection = OBVIOUS
    chunk_size: int = 4096  # rows
    warn: Warn = ignore  # told, in a sentence each, of what is odd but no error (times that do not ascend)
    max_bytes: int = MAX_BYTES  # read at most, of text or (in parquet) of values, after decompression
    reading: Reading = AS_FOUND  # of cells with two readings

    def __post_init__(self) -> None:
        path = Path(self.path)
        table = _read(path, self.selection, self.warn, self.max_bytes, self.reading)
        self._rows, self.columns, self.timezone, self.series = table
        self.name = path.name
        self.length: int | None = len(self._rows)
        self.has_series = self._rows.series is not None

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on; chunks end at multiples of the chunk size, counted from the file's first row."""
        return self._rows.split(self.chunk_size, start)


def _read(path: Path, selection: ColumnSelection, warn: Warn, max_bytes: int, reading: Reading) -> Table:
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
                    return _read_text(text, path.name, selection, warn, expanded, reading)
            return _read_text(file, path.name, selection, warn, max_bytes, reading)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path.name} is a damaged gzip file ({error}); make or fetch it again") from None
    except OSError as error:
        raise unreadable(path, error) from error


def _read_text(
    file: BufferedReader | gzip.GzipFile, name: str, selection: ColumnSelection, warn: Warn, max_bytes: int, reading: Reading
) -> Table:
    """Read a text, and again from its start where its later cells correct what the first ones seemed to say."""
    told: list[str] = []  # by the reading that holds
    try:
        while True:
            blocks: Iterable[bytes] = _blocks_of(file, name, max_bytes)
            head = next(iter(blocks), b"")
            try:
                blocks, chosen, unit = read_table(head, blocks, name, selection, is_whole=len(head) < BLOCK_BYTES)
                parser = RowParser(name, chosen, told.append, reading=reading, may_change=file.seekable(), unit=unit)
                return _read_rows(blocks, parser, max_bytes)
            except MustReadAgain as found:
                reading = found.correct(reading)
                told.clear()
                file.seek(0)
    finally:
        for sentence in told:
            warn(sentence)


def _blocks_of(file: BufferedReader | gzip.GzipFile, name: str, max_bytes: int) -> Iterator[bytes]:
    size = 0
    while block := file.read(BLOCK_BYTES):
        size += len(block)
        _require_room(name, size, max_bytes, "text")
        yield block


def _read_rows(blocks: Iterable[bytes], parser: RowParser, max_bytes: int) -> Table:
    chunks: list[Chunk] = []
    size = 0  # of the rows in bytes: "1\n" takes two as text, and sixteen as a row
    for block in chain(blocks, (None,)):
        chunk = parser.finish() if block is None else parser.feed(block)
        if chunk is None:
            continue
        chunks.append(chunk)
        size += chunk.time.nbytes + chunk.values.nbytes + (0 if chunk.series is None else chunk.series.nbytes)
        _require_room(parser.name, size, max_bytes, "rows")
    parser.require_rows()
    return Table(parser.in_order(Chunk.concatenate(chunks)), parser.columns, parser.timezone, tuple(parser.series))


def _require_room(name: str, size: int, max_bytes: int, kind: str) -> None:
    if size > max_bytes:
        raise InputError(f"{name} holds more than {max_bytes:,} bytes of {kind}; split it into smaller files")
