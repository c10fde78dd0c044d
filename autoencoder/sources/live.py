"""Live: pipes and growing files, whose points arrive while the program runs."""

from __future__ import annotations

import os
import select
import stat
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import FileIO
from itertools import chain, islice
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO

from autoencoder.core.errors import InputError, SourceError
from autoencoder.core.state import State
from autoencoder.sources.chunk import TICK_SECONDS, Chunk, Source, Warn, ignore, skip_rows, unreadable
from autoencoder.sources.documents import is_line_begun, read_table
from autoencoder.sources.files import BLOCK_BYTES
from autoencoder.sources.parse import RowParser
from autoencoder.sources.reading import AS_FOUND, Reading
from autoencoder.sources.schema import OBVIOUS, ColumnSelection


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
    _columns: tuple[str, ...] = ()  # once the first row has come
    _tick_due = 0.0  # ``monotonic()`` before which no reader is told again that nothing comes

    def __init__(self, name: str, selection: ColumnSelection, warn: Warn, reading: Reading) -> None:
        self.name = name
        self._selection, self._warn, self._reading = replace(selection, label=None), warn, reading
        self._parser = RowParser(name, self._selection, warn, tolerant=True, reading=reading)
        arrivals = self._arrive()
        first = list(islice(arrivals, 1))
        self._parser.require_rows()
        self._columns = self._parser.columns
        self._rows = chain(first, arrivals)  # who asks for chunks again goes on where the one before stopped
        self.columns = self._parser.columns
        self.timezone = self._parser.timezone
        self.series, self.has_series = self._parser.series, self._parser.has_series

    @abstractmethod
    def _blocks(self) -> Iterator[bytes | None]:
        """Yield bytes as they arrive, none of them where none do for a while; None where what follows is another file."""

    def _arrive(self) -> Iterator[Chunk]:
        """Yield rows as they arrive."""
        try:
            for block in self._blocks():
                if block == b"":
                    if self._columns and monotonic() >= self._tick_due:
                        self._tick_due = monotonic() + TICK_SECONDS
                        yield Chunk.nothing(len(self._columns))
                    continue
                chunk = self._parser.finish() if block is None else self._parser.feed(block)
                if block is None:
                    self._parser.new_file()
                if chunk:
                    yield chunk
                    self._tick_due = monotonic() + TICK_SECONDS
        except OSError as error:
            raise SourceError(f"{self._fault} ({error.strerror or error}){self._remedy}") from error
        if chunk := self._parser.finish():
            yield chunk


class StdinSource(LiveSource):
    """Points that arrive on a binary pipe, in chunks of whatever complete lines are there. Interrupts pass through.

    One JSON document, such as an answer of Prometheus, is read to its end first.
    """

    rewindable = False
    _fault, _remedy = "stdin cannot be read", "; pipe lines of numbers into it"

    def __init__(
        self, stream: BinaryIO, selection: ColumnSelection = OBVIOUS, warn: Warn = ignore, reading: Reading = AS_FOUND
    ) -> None:
        self._stream = stream
        self._read_available = getattr(stream, "read1", stream.read)  # an unbuffered stream has no read1 and needs none
        with suppress(OSError):  # a parent may have left the pipe non-blocking, and an empty one would then look closed
            os.set_blocking(stream.fileno(), True)
        super().__init__("stdin", selection, warn, reading)

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield rows as they arrive, until the stream is closed.

        Args:
            start: rows that were given before a restart; the producer leaves them out, and counted rows are counted on from there.

        Raises:
            SourceError: the stream cannot be read.
        """
        for chunk in self._rows:
            yield replace(chunk, time=chunk.time + start) if start and self._parser.counts_rows else chunk

    def memory(self, rows: int) -> State:  # noqa: D102 - as in the base class
        return self._parser.numbers.state()

    def recall(self, memory: State) -> None:  # noqa: D102 - as in the base class
        self._parser.numbers.go_on(memory)

    def _blocks(self) -> Iterator[bytes | None]:
        head = b""
        while data := self._read_available(BLOCK_BYTES):
            head += data
            if is_line_begun(head):
                break
        blocks, chosen, unit = read_table(head, self._rest() if data else (), self.name, self._selection, is_whole=not data)
        if unit == "record":
            self._parser = RowParser(self.name, chosen, self._warn, tolerant=True, reading=self._reading, unit=unit)
        yield from blocks

    def _rest(self) -> Iterator[bytes]:
        while True:
            if not self._has_come():
                yield b""
            elif data := self._read_available(BLOCK_BYTES):
                yield bytes(data)
            else:
                break

    def _has_come(self) -> bool:
        """Whether the stream can be read without a wait, which is over after ``TICK_SECONDS``."""
        try:
            return bool(select.select([self._stream], [], [], TICK_SECONDS)[0])
        except (OSError, ValueError):  # it has no descriptor
            return True


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
    reading: Reading = AS_FOUND  # of cells with two readings

    def __post_init__(self) -> None:
        self._path = Path(self.path)
        self._file = _open_regular(self._path)
        self._is_away = False
        self._fault = f"{self._path} cannot be read any more"
        try:
            super().__init__(self._path.name, self.selection, self.warn, self.reading)
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
            if data := self._file.read(BLOCK_BYTES):
                yield data
            elif not is_named and self._has_reopened():
                yield None
            elif is_named and self._was_cut():
                self._parser.new_file()
            elif self.idle_timeout is not None and monotonic() - quiet_since >= self.idle_timeout:
                break
            else:
                yield b""
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
