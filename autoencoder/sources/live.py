"""Live sources: lines that arrive on stdin, and a file that something else goes on writing."""

from __future__ import annotations

import os
import stat
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO

from autoencoder.core.errors import InputError, SourceError
from autoencoder.sources.chunk import Chunk, Source, Warn, ignore, skip_rows, unreadable
from autoencoder.sources.parse import RowParser
from autoencoder.sources.schema import ColumnSelection

_BLOCK_BYTES = 1 << 16  # one chunk is made of no more


class LiveSource(Source):
    """Points that arrive while the program runs; a bad line does not end them (see ``autoencoder.sources.parse.RowParser``).

    Both kinds take ``columns`` (the value columns; empty: the obvious one), ``time_column`` (None: the obvious one, or rows are
    counted), ``series_column`` (says which series a row belongs to; None: all are of one) and ``warn`` (told, in a sentence each,
    of bad lines, of times that do not ascend and of what happens to a file). They wait for the first row, which tells the rest.
    """

    length: int | None = None

    def __init__(self, name: str, selection: ColumnSelection, warn: Warn) -> None:
        """Wait for the first row.

        Raises:
            InputError: nothing came, or the first row cannot be understood.
            SourceError: the stream cannot be read.
        """
        self.name = name
        self._parser = RowParser(name, selection, warn, tolerant=True)
        self._arrivals = self._arrive()
        self._first = next(self._arrivals, None)
        self._parser.require_rows()
        self.columns = self._parser.columns
        self.timezone = self._parser.first_timezone
        self.series, self.has_series = self._parser.series, selection.series is not None

    @abstractmethod
    def _arrive(self) -> Iterator[Chunk]:
        """Yield rows as they arrive."""

    def _rest(self) -> Iterator[Chunk]:
        """The first row that was waited for, and all that come after it; a second call goes on where the first one stopped."""
        first, self._first = self._first, None
        if first is not None:
            yield first
        yield from self._arrivals


class StdinSource(LiveSource):
    """Points that arrive on a binary pipe, in chunks of whatever complete lines are there. Interrupts pass through."""

    rewindable = False

    def __init__(
        self,
        stream: BinaryIO,
        columns: Sequence[str] = (),
        time_column: str | None = None,
        warn: Warn = ignore,
        series_column: str | None = None,
    ) -> None:
        self._read_available = getattr(stream, "read1", stream.read)  # an unbuffered stream has no read1 and needs none
        with suppress(OSError):  # a parent may have left the pipe non-blocking, and an empty one would then look closed
            os.set_blocking(stream.fileno(), True)
        super().__init__("stdin", ColumnSelection(tuple(columns), time_column, series=series_column), warn)

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield rows as they arrive, until the stream is closed.

        Args:
            start: rows that were given before a restart; the producer leaves them out, and counted rows are counted on from there.

        Raises:
            SourceError: the stream cannot be read.
        """
        for chunk in self._rest():
            yield replace(chunk, time=chunk.time + start) if start and self._parser.counts_rows else chunk

    def _arrive(self) -> Iterator[Chunk]:
        while data := self._read():
            if chunk := self._parser.feed(data):
                yield chunk
        if chunk := self._parser.finish():
            yield chunk

    def _read(self) -> bytes:
        try:
            return bytes(self._read_available(_BLOCK_BYTES))
        except OSError as error:
            raise SourceError(f"stdin cannot be read ({error.strerror or error}); pipe lines of numbers into it") from error


class FollowSource(LiveSource):
    """Points of a file that grows, like ``tail -F``: what is there first, then what is appended.

    The file may be rotated (the old one is read to its end, then the new one from its start, whose header may have the columns in
    another order), cut short (it is read from its start again) and away for a while. As with ``tail``, what is written and cut
    away between two polls is missed. Half a line waits for its end.

    Args:
        path: a regular file that exists; it may be empty.
        poll_seconds: wait between two polls of a file that has nothing new.
        idle_timeout: seconds without anything new after which the stream ends; None: never.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] = (),
        time_column: str | None = None,
        poll_seconds: float = 0.5,
        warn: Warn = ignore,
        idle_timeout: float | None = None,
        series_column: str | None = None,
    ) -> None:
        self._path = Path(path)
        self._poll_seconds = poll_seconds
        self._idle_timeout = idle_timeout
        self._warn = warn
        self._file = _open_regular(self._path)
        self._is_away = False
        try:
            super().__init__(self._path.name, ColumnSelection(tuple(columns), time_column, series=series_column), warn)
        except BaseException:
            self.close()
            raise

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield rows from row ``start`` of the file on, as they are written; ends after ``idle_timeout`` only.

        Raises:
            SourceError: the file cannot be read any more.
        """
        yield from skip_rows(self._rest(), start)
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _arrive(self) -> Iterator[Chunk]:
        quiet_since = monotonic()
        while True:
            is_new, chunk = self._poll()
            if chunk:
                yield chunk
            if is_new:
                quiet_since = monotonic()
            elif self._idle_timeout is not None and monotonic() - quiet_since >= self._idle_timeout:
                break
            else:
                sleep(self._poll_seconds)
        if chunk := self._parser.finish():
            yield chunk

    def _poll(self) -> tuple[bool, Chunk | None]:
        """Read on, without waiting: whether there was anything new, and the rows that it completes."""
        if data := self._read():
            return True, self._parser.feed(data)
        new_file: FileIO | None = None
        try:
            named, opened = self._path.stat(), os.fstat(self._file.fileno())
            if not os.path.samestat(named, opened):
                data = self._read()  # it may have come between the last read and the replacement
                new_file = None if data else _open_regular(self._path)
        except (OSError, InputError):
            if not self._is_away:
                self._warn(f"{self._path} is gone or may not be read; waiting for it to come back")
            self._is_away = True
            return False, None
        self._is_away = False
        if data:
            return True, self._parser.feed(data)
        if new_file:
            self._file.close()
            self._file = new_file
            chunk = self._parser.finish()
        elif opened.st_size < (position := self._file.tell()):
            cut = f"{self._path.name} was cut from {position:,} to {opened.st_size:,} bytes"
            self._warn(f"{cut}; it is read from its start again")
            self._file.seek(0)
            chunk = None
        else:
            return False, None
        self._parser.new_file()
        return True, chunk

    def _read(self) -> bytes:
        try:
            return self._file.read(_BLOCK_BYTES) or b""
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read any more ({error.strerror or error})") from error


def _open_regular(path: Path) -> FileIO:
    try:
        mode = path.stat().st_mode  # asked first: opening a pipe would wait for its writer
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # a folder is told apart by the attempt to open it
            return FileIO(path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise unreadable(path, error) from error
    raise InputError(f"{path} is no regular file and cannot be followed; pipe it into --source stdin instead")
