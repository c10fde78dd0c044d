"""Live sources: lines that arrive on stdin, and a file that something else goes on writing.

A bad line must not end a service. Once the first row is understood, a line that cannot be read is warned about and kept as a row
of NaN, with its own time where that is readable and else that of the row before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO

from data.series import Chunk, DataError, InputError
from data.text.layout import Request
from data.text.lines import LineBuffer
from data.text.rows import RowParser, Warn, ignore
from data.text.tail import News, Tail

_BLOCK = 1 << 16  # bytes: one chunk is made of no more


class _LiveRows:
    """Bytes become rows, and bad lines become warnings."""

    def __init__(self, name: str, request: Request, warn: Warn) -> None:
        self.parser = RowParser(name, request, warn)
        self._lines = LineBuffer(name, tolerant=True)
        self._warn = warn
        self._told_order = False

    def push(self, data: bytes) -> Chunk | None:
        """The rows that the next bytes complete."""
        chunk = self.parser.feed(self._lines.push(data), tolerant=True)
        if not self._told_order and (sentence := self.parser.order_warning()):
            self._warn(sentence)
            self._told_order = True
        return chunk

    def skip(self, data: bytes) -> None:
        """Pass over bytes unread."""
        self.parser.skip(len(self._lines.push(data)))

    def finish(self) -> Chunk | None:
        """The row of a last line that has no end, where it is a row as it stands."""
        try:
            return self.parser.feed(self._lines.finish())
        except InputError as error:
            if not self.parser.started:
                raise
            self._warn(f"{error}; the line is cut off and left out")
            return None

    def new_file(self) -> None:
        """Forget half a line, and be at the top of another file with the same columns."""
        self._lines.clear()
        self.parser.new_file()


class StdinSource:
    """Points that arrive on a pipe, in chunks of whatever complete lines are there.

    A line is a number, a time and a number, a row under a header, or a JSON object; the first line tells which. Interrupts pass
    through.

    Attributes:
        name: "stdin".
        columns: names of the F value columns.
        points: None, for nobody knows how many will come.
        timezone: zone of the first time; None where times carry none or rows are counted.
    """

    def __init__(
        self,
        stream: BinaryIO,
        columns: Sequence[str] = (),
        time_column: str | None = None,
        warn: Warn | None = None,
    ) -> None:
        """Wait for the first row, which tells the columns.

        Args:
            stream: binary, such as ``sys.stdin.buffer``.
            columns: names of the value columns; empty: the obvious one.
            time_column: name of the time column; None: the obvious one, or rows are counted.
            warn: told, in a sentence each, of lines that cannot be read and of times that do not ascend.

        Raises:
            InputError: nothing came, or the first row cannot be understood.
            DataError: the stream cannot be read.
        """
        self.name = "stdin"
        self.points: int | None = None
        self._read_what_is_there = getattr(stream, "read1", stream.read)  # an unbuffered stream has no read1 and needs none
        with suppress(OSError):  # a parent may have left the pipe non-blocking, and an empty one would then look closed
            os.set_blocking(stream.fileno(), True)
        self._rows = _LiveRows(self.name, Request(tuple(columns), time_column), warn or ignore)
        self._arrivals = self._arrive()
        self._first = next(self._arrivals, None)
        self._rows.parser.require_rows()
        self.columns = self._rows.parser.columns
        self.timezone = self._rows.parser.first_timezone

    def chunks(self) -> Iterator[Chunk]:
        """Yield rows as they arrive, until the stream is closed; a second call goes on where the first one stopped.

        Raises:
            DataError: the stream cannot be read.
        """
        first, self._first = self._first, None
        if first is not None:
            yield first
        yield from self._arrivals

    def _arrive(self) -> Iterator[Chunk]:
        while data := self._read():
            if chunk := self._rows.push(data):
                yield chunk
        if chunk := self._rows.finish():
            yield chunk

    def _read(self) -> bytes:
        try:
            return bytes(self._read_what_is_there(_BLOCK))
        except OSError as error:
            raise DataError(f"stdin cannot be read ({error.strerror or error}); pipe lines of numbers into it") from error


class FollowSource:
    """Points of a file that grows, like ``tail -F``: what is there first, then what is appended.

    The file may be rotated (the old one is read to its end, then the new one from its start, whose header may have the columns in
    another order), cut short (it is read from its start again) and away for a while. As with ``tail``, what is written and cut
    away between two looks is missed. Half a line waits for its end.

    Attributes:
        name: the file's name without its folder.
        columns: names of the F value columns.
        points: None, for nobody knows how many will come.
        timezone: zone of the first time; None where times carry none or rows are counted.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] = (),
        time_column: str | None = None,
        poll: float = 0.5,
        from_start: bool = True,
        warn: Warn | None = None,
        idle_timeout: float | None = None,
    ) -> None:
        """Open the file and wait for its first row, which tells the columns.

        Args:
            path: a regular file that exists; it may be empty.
            columns: names of the value columns; empty: the obvious one.
            time_column: name of the time column; None: the obvious one, or rows are counted.
            poll: seconds between two looks at a file that has nothing new.
            from_start: give the rows that are there already; otherwise they only tell the columns.
            warn: told, in a sentence each, of bad lines, of times that do not ascend, and of what happens to the file.
            idle_timeout: seconds without news after which the stream ends; None: never.

        Raises:
            InputError: the file cannot be opened, no row came in time, or the first row cannot be understood.
        """
        path = Path(path)
        self.name = path.name
        self.points: int | None = None
        self._poll = poll
        self._idle_timeout = idle_timeout
        self._rows = _LiveRows(self.name, Request(tuple(columns), time_column), warn or ignore)
        self._tail = Tail(path, warn or ignore)
        self._arrivals = self._arrive()
        self._first: Chunk | None = None
        try:
            self._wait_for_first_row(from_start)
        except BaseException:
            self.close()
            raise
        self.columns = self._rows.parser.columns
        self.timezone = self._rows.parser.first_timezone

    def chunks(self) -> Iterator[Chunk]:
        """Yield rows as they are written; ends after ``idle_timeout`` only. A second call goes on where the first one stopped.

        Raises:
            DataError: the file cannot be read any more.
        """
        first, self._first = self._first, None
        if first is not None:
            yield first
        yield from self._arrivals
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._tail.close()

    def _wait_for_first_row(self, from_start: bool) -> None:
        if not from_start:
            self._pass_over_what_is_there()
        if not self._rows.parser.started:
            self._first = next(self._arrivals, None)
        self._rows.parser.require_rows()

    def _pass_over_what_is_there(self) -> None:
        while (look := self._tail.look())[0] is not News.NOTHING:
            news, data = look
            if news is News.BYTES and self._rows.parser.started:
                self._rows.skip(data)
            else:
                self._take(news, data)
        self._rows.skip(b"")  # rows are counted from here on

    def _arrive(self) -> Iterator[Chunk]:
        quiet_since = monotonic()
        while True:
            news, data = self._tail.look()
            if news is News.NOTHING:
                if self._idle_timeout is not None and monotonic() - quiet_since >= self._idle_timeout:
                    break
                sleep(self._poll)
                continue
            if chunk := self._take(news, data):
                yield chunk
            quiet_since = monotonic()
        if chunk := self._rows.finish():
            yield chunk

    def _take(self, news: News, data: bytes) -> Chunk | None:
        if news is News.BYTES:
            return self._rows.push(data)
        last = self._rows.finish() if news is News.NEW_FILE else None
        self._rows.new_file()
        return last
