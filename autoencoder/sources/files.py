"""Files, pipes and growing files: where the text of a table comes from; a file is read and checked as a whole before its first point."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedReader, FileIO
from itertools import chain, islice
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO, TypeAlias

from autoencoder.core.errors import InputError, SourceError
from autoencoder.sources.chunk import Chunk, Source, Warn, ignore, skip_rows, unreadable
from autoencoder.sources.parse import RowParser
from autoencoder.sources.schema import OBVIOUS, ColumnSelection

MAX_BYTES = 4 << 30  # of text, or of values, after decompression
MAX_EXPANSION = 200  # of those to the bytes of the file: 10 MB of gzip can hold 10 GB, but no table of use does
MIN_EXPANDED_BYTES = 64 << 20  # below that the expansion does not matter

_BLOCK_BYTES = 1 << 16  # most text that makes one chunk; the lists that it is parsed through then fit the processor's cache
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


class LiveSource(Source):
    """Points that arrive while the program runs; a bad line does not end them (see ``autoencoder.sources.parse.RowParser``).

    It waits for the first row, which tells the columns; labels are not read. ``warn`` is told, in a sentence each, of bad lines, of
    times that do not ascend and of what happens to a file.

    Raises:
        InputError: nothing came, or the first row cannot be understood.
        SourceError: the stream cannot be read.
    """

    length: int | None = None
    _fault, _remedy = "the stream cannot be read", ""

    def __init__(self, name: str, selection: ColumnSelection, warn: Warn) -> None:
        self.name = name
        self._parser = RowParser(name, replace(selection, label=None), warn, tolerant=True)
        arrivals = self._arrive()
        first = list(islice(arrivals, 1))
        self._parser.require_rows()
        self._rows = chain(first, arrivals)  # who asks for chunks again goes on where the one before stopped
        self.columns = self._parser.columns
        self.timezone = self._parser.timezone
        self.series, self.has_series = self._parser.series, selection.series is not None

    @abstractmethod
    def _blocks(self) -> Iterator[bytes | None]:
        """Yield bytes as they arrive; None where what follows is another file."""

    def _arrive(self) -> Iterator[Chunk]:
        """Yield rows as they arrive."""
        try:
            for block in self._blocks():
                chunk = self._parser.finish() if block is None else self._parser.feed(block)
                if block is None:
                    self._parser.new_file()
                if chunk:
                    yield chunk
        except OSError as error:
            raise SourceError(f"{self._fault} ({error.strerror or error}){self._remedy}") from error
        if chunk := self._parser.finish():
            yield chunk


class StdinSource(LiveSource):
    """Points that arrive on a binary pipe, in chunks of whatever complete lines are there. Interrupts pass through."""

    rewindable = False
    _fault, _remedy = "stdin cannot be read", "; pipe lines of numbers into it"

    def __init__(self, stream: BinaryIO, selection: ColumnSelection = OBVIOUS, warn: Warn = ignore) -> None:
        self._read_available = getattr(stream, "read1", stream.read)  # an unbuffered stream has no read1 and needs none
        with suppress(OSError):  # a parent may have left the pipe non-blocking, and an empty one would then look closed
            os.set_blocking(stream.fileno(), True)
        super().__init__("stdin", selection, warn)

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield rows as they arrive, until the stream is closed.

        Args:
            start: rows that were given before a restart; the producer leaves them out, and counted rows are counted on from there.

        Raises:
            SourceError: the stream cannot be read.
        """
        for chunk in self._rows:
            yield replace(chunk, time=chunk.time + start) if start and self._parser.counts_rows else chunk

    def _blocks(self) -> Iterator[bytes | None]:
        while data := self._read_available(_BLOCK_BYTES):
            yield bytes(data)


@dataclass(eq=False)
class FollowSource(LiveSource):
    """Points of a file that grows, like ``tail -F``: what is there first, then what is appended.

    The file may be rotated (the old one is read to its end, then the new one from its start, whose header may have the columns in
    another order), cut short (it is read from its start again) and away for a while. As with ``tail``, what is written and cut
    away between two polls is missed. Half a line waits for its end.
    """

    path: str | Path  # a regular file that exists; it may be empty
    selection: ColumnSelection = OBVIOUS
    poll_seconds: float = 0.5  # wait between two polls of a file that has nothing new
    warn: Warn = ignore
    idle_timeout: float | None = None  # seconds without anything new after which the stream ends; None: never

    def __post_init__(self) -> None:
        self._path = Path(self.path)
        self._file = _open_regular(self._path)
        self._is_away = False
        self._fault = f"{self._path} cannot be read any more"
        try:
            super().__init__(self._path.name, self.selection, self.warn)
        except BaseException:
            self.close()
            raise

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield rows from row ``start`` of the file on, as they are written; ends after ``idle_timeout`` only.

        Raises:
            SourceError: the file cannot be read any more.
        """
        yield from skip_rows(self._rows, start)
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _blocks(self) -> Iterator[bytes | None]:
        quiet_since = monotonic()
        while True:
            is_named = self._is_named()  # asked before reading: what was written before the file was replaced is read first
            if data := self._file.read(_BLOCK_BYTES):
                yield data
            elif not is_named and self._has_reopened():
                yield None
            elif is_named and self._was_cut():
                self._parser.new_file()
            elif self.idle_timeout is not None and monotonic() - quiet_since >= self.idle_timeout:
                break
            else:
                sleep(self.poll_seconds)
                continue
            quiet_since = monotonic()

    def _is_named(self) -> bool:
        """Whether the open file still is the one that the path names."""
        try:
            is_named = os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False
        self._is_away = self._is_away and not is_named
        return is_named

    def _has_reopened(self) -> bool:
        """Take the file that the path names now; where there is none, warn the first time."""
        try:
            new_file = _open_regular(self._path)
        except InputError:
            if not self._is_away:
                self.warn(f"{self._path} is gone or may not be read; waiting for it to come back")
            self._is_away = True
            return False
        self._file.close()
        self._file = new_file
        return True

    def _was_cut(self) -> bool:
        """Go back to the start of a file that is shorter than what was read of it."""
        size, position = os.fstat(self._file.fileno()).st_size, self._file.tell()
        if size < position:
            self.warn(f"{self._path.name} was cut from {position:,} to {size:,} bytes; it is read from its start again")
            self._file.seek(0)
        return size < position


def _open_regular(path: Path) -> FileIO:
    try:
        mode = path.stat().st_mode  # asked first: opening a pipe would wait for its writer
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # a folder is told apart by the attempt to open it
            return FileIO(path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise unreadable(path, error) from error
    raise InputError(f"{path} is no regular file and cannot be followed; pipe it into --source stdin instead")
