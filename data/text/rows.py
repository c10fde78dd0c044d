"""Rows: lines of text become chunks; one parser for csv files, followed files and stdin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.series import Chunk, InputError
from data.text.cells import NO_INDEX, Result, Time, TimeReader, locate, shorten, time_reader, to_floats, to_labels
from data.text.formats import Delimited, Format, JsonObjects, is_header, positional_names
from data.text.layout import Kind, Layout, Request, choose_layout, kind_of, kinds_of
from data.text.lines import OVERLONG
from data.text.names import SeriesNames
from data.text.order import OrderWatch

Warn = Callable[[str], None]

_SAMPLE = 1000  # rows that are looked at to tell which columns hold numbers


def ignore(sentence: str) -> None:
    """Hear a warning and do nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """A whole file: its N rows, the names of its F value columns, the zone of its times, and the names of its series."""

    rows: Chunk
    columns: tuple[str, ...]
    timezone: str | None
    series: tuple[str, ...] = ()


class RowParser:
    """Reads the lines of one table, in blocks of any size, into chunks.

    A first line of nothing but numbers and times is a row already; any other without a time is the header. Without a header one
    column is called "value", two "time" and "value", more "column_1", "column_2", ... Blank lines are passed over. The first row
    settles the form of the times (see ``data.text.cells.time_reader``), the first rows settle which columns are used (see
    ``data.text.layout.choose_layout``).
    """

    def __init__(self, name: str, request: Request, warn: Warn = ignore) -> None:
        """Start at line 1.

        Args:
            name: what errors and warnings call the table.
            request: the columns that were asked for.
            warn: told, in a sentence, of what is odd but no error.
        """
        self._name = name
        self._request = request
        self._warn = warn
        self._format: Format | None = None
        self._names: tuple[str, ...] = ()
        self._header: str | None = None  # the header's line as it stands in the file
        self._layout: Layout | None = None
        self._times: TimeReader | None = None  # None: rows are counted
        self._order = OrderWatch()
        self._series = SeriesNames()
        self._line = 0
        self._rows = 0
        self._at_top = True
        self.first_timezone: str | None = None  # zone of the first time, which stays however many others follow

    @property
    def started(self) -> bool:
        """Whether a row has been understood, so that columns and time zone are known."""
        return self._layout is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the F value columns; empty before the first row."""
        return self._layout.columns if self._layout else ()

    @property
    def timezone(self) -> str | None:
        """Zone of the times so far."""
        return self._times.timezone if self._times else None

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the series so far, in order of first appearance; empty where no column of them was asked for."""
        return self._series.names

    def order_warning(self) -> str | None:
        """One sentence about times that do not ascend; None where all do."""
        return self._order.warning(self._name)

    def require_rows(self) -> None:
        """Refuse a table that ended before its first row.

        Raises:
            InputError: no row came.
        """
        if self.started:
            return
        if self._header is None:
            raise InputError(f"{self._name} is empty; it must hold at least one row with a number")
        raise InputError(f"{self._name}: found a header ({shorten(self._header)}) and no rows; rows of numbers must follow it")

    def new_file(self) -> None:
        """Be at line 1 of another file with the same columns; its header may have them in another order."""
        self._line = 0
        self._at_top = True
        if not self.started:  # nothing is known of the columns yet but perhaps a header, and that file is gone
            self._format, self._header = None, None

    def skip(self, lines: int) -> None:
        """Pass over lines unread; rows without times are counted from 0 again."""
        self._line += lines
        self._rows = 0

    def feed(self, lines: Sequence[str], tolerant: bool = False) -> Chunk | None:
        """Take the next lines; give their rows, None where there are none.

        Args:
            lines: complete lines, without their ends.
            tolerant: a line that cannot be read is warned about and kept as a row of NaN, with its time or else that of the row
                before, and a repeated header is passed over. The first row must be understood all the same.

        Raises:
            InputError: a line cannot be read, or the columns cannot be told.
        """
        numbers, lines = self._number(lines)
        if self._at_top and lines:
            taken = self._read_top(numbers[0], lines[0])
            numbers, lines = numbers[taken:], lines[taken:]
        if tolerant and self._header in lines:
            numbers, lines = _keep(numbers, lines, lambda line: line != self._header)
        if lines and not self.started:
            self._learn_layout(numbers, lines[:1] if tolerant else lines[:_SAMPLE])
        if not lines:
            return None
        return self._read_tolerantly(numbers, lines) if tolerant else self._read_next(numbers, lines)

    def _number(self, lines: Sequence[str]) -> tuple[Sequence[int], Sequence[str]]:
        """Number the lines and leave out the blank ones."""
        numbers = range(self._line + 1, self._line + len(lines) + 1)
        self._line += len(lines)
        return (numbers, lines) if all(map(str.strip, lines)) else _keep(numbers, lines, lambda line: bool(line.strip()))

    def _read_top(self, number: int, line: str) -> int:
        """Read a file's first line; how many lines (0 or 1) are no rows."""
        self._at_top = False
        if self._format is not None:
            return self._read_top_again(line)
        if line == OVERLONG:
            raise InputError(f"{self._name}, line {number}: found {OVERLONG}; one row must be one line")
        if line.lstrip().startswith("{"):
            json_objects = self._locate((number,), (line,), lambda texts: JsonObjects(texts[0], self._request))
            self._format, self._names = json_objects, json_objects.names
            return 0
        self._format = Delimited(line)
        fields = self._split((number,), (line,))[0]
        if not is_header(fields, self._request):
            self._names = positional_names(fields)
            return 0
        if any(kind_of(field) is Kind.NUMBER for field in fields):
            self._warn(f"{self._name}, line {number}: {shorten(line)} is taken for the header; add one if it is a row")
        self._header, self._names = line, tuple(field.strip() for field in fields)
        return 1

    def _read_top_again(self, line: str) -> int:
        """Read the first line of a file that follows another one: its header may have moved the columns."""
        if self._layout is None or not isinstance(self._format, Delimited):
            return 0
        try:
            names = [field.strip() for field in self._format.split((line,))[0]]
        except ValueError:
            return 0
        moved = self._layout.moved_to(names)
        if moved is None:
            return 0
        self._layout, self._header = moved, line
        return 1

    def _learn_layout(self, numbers: Sequence[int], lines: Sequence[str]) -> None:
        """Choose the columns by the first rows; the layout stays unknown where the very first cannot be read."""
        rows = self._split(numbers, lines)
        self._check_width(numbers[:1], rows[:1], len(self._names))
        layout = choose_layout(self._name, self._names, kinds_of(rows, len(self._names)), self._request)
        if layout.time is not None:
            first_time = rows[0][layout.time]
            place = self._names[layout.time]
            self._times = self._locate(numbers[:1], (first_time,), lambda texts: time_reader(texts[0]), place)
            if self._times is None:
                self._warn(f"{self._name}, line {numbers[0]}, column {place!r}: found {shorten(first_time)}, {NO_INDEX}")
        self._read(layout, numbers[:1], lines[:1])
        self._layout = layout
        self.first_timezone = self.timezone

    def _read_tolerantly(self, numbers: Sequence[int], lines: Sequence[str]) -> Chunk:
        """Rows of which some may be bad: halve the lines until the bad ones stand alone."""
        try:
            return self._read_next(numbers, lines)
        except InputError as error:
            if len(lines) == 1:
                self._warn(f"{error}; the row is kept as missing")
                return self._read_missing(numbers, lines)
        middle = len(lines) // 2
        first = self._read_tolerantly(numbers[:middle], lines[:middle])
        second = self._read_tolerantly(numbers[middle:], lines[middle:])
        return Chunk(np.concatenate([first.time, second.time]), np.concatenate([first.values, second.values]))

    def _read_next(self, numbers: Sequence[int], lines: Sequence[str]) -> Chunk:
        """The next rows of the stream."""
        assert self._layout is not None, "the layout is learnt before rows are read"
        chunk = self._read(self._layout, numbers, lines)
        self._rows += len(chunk)
        if self._times is not None:
            self._order.see(numbers, chunk.time, chunk.series)
        return chunk

    def _read_missing(self, numbers: Sequence[int], lines: Sequence[str]) -> Chunk:
        """One row of NaN for one line that cannot be read; its time, where that is readable, holds."""
        time = np.arange(self._rows, self._rows + 1) if self._times is None else self._read_time_only(self._times, numbers, lines)
        self._rows += 1
        return Chunk(time, np.full((1, len(self.columns)), np.nan))

    def _read_time_only(self, times: TimeReader, numbers: Sequence[int], lines: Sequence[str]) -> Time:
        """The time (1,) of one line, or that of the row before where it cannot be read."""
        layout, before = self._layout, self._order.last
        assert layout is not None and layout.time is not None and before is not None, "the first row was understood"
        try:
            rows = self._split(numbers, lines)
            self._check_width(numbers, rows, len(layout.names))
            time = times.convert((rows[0][layout.time],))
        except (InputError, ValueError):
            return before
        self._order.see(numbers, time)
        return time

    def _read(self, layout: Layout, numbers: Sequence[int], lines: Sequence[str]) -> Chunk:
        """Lines (N,) -> N rows; changes nothing but the zones that were met."""
        rows = self._split(numbers, lines)
        self._check_width(numbers, rows, len(layout.names))

        def column(position: int, convert: Callable[[Sequence[str]], Result]) -> Result:
            return self._locate(numbers, [row[position] for row in rows], convert, layout.names[position])

        columns = [column(position, to_floats) for position in layout.values]
        values = columns[0][:, None] if len(columns) == 1 else np.column_stack(columns)  # (N, F)
        labels = None if layout.label is None else column(layout.label, to_labels)
        series = None if layout.series is None else column(layout.series, self._series.indices)
        if layout.time is None or self._times is None:
            return Chunk(np.arange(self._rows, self._rows + len(rows)), values, labels, series)
        return Chunk(column(layout.time, self._times.convert), values, labels, series)

    def _split(self, numbers: Sequence[int], lines: Sequence[str]) -> list[list[str]]:
        assert self._format is not None, "the format is known from the first line on"
        return self._locate(numbers, lines, self._format.split)

    def _check_width(self, numbers: Sequence[int], rows: Sequence[Sequence[str]], width: int) -> None:
        if set(map(len, rows)) <= {width}:
            return
        number, found = next((number, len(row)) for number, row in zip(numbers, rows, strict=True) if len(row) != width)
        remedy = f"every row must have as many as the first line, {width}"
        raise InputError(f"{self._name}, line {number}: found {found} field{'' if found == 1 else 's'}; {remedy}")

    def _locate(
        self, numbers: Sequence[int], texts: Sequence[str], convert: Callable[[Sequence[str]], Result], column: str | None = None
    ) -> Result:
        """Convert texts (N,); an error names the line, and the column."""

        def place(position: int) -> str:
            return f"{self._name}, line {numbers[position]}" + ("" if column is None else f", column {column!r}")

        return locate(convert, texts, place)


def _keep(numbers: Sequence[int], lines: Sequence[str], wanted: Callable[[str], bool]) -> tuple[Sequence[int], Sequence[str]]:
    kept = [(number, line) for number, line in zip(numbers, lines, strict=True) if wanted(line)]
    return [number for number, _ in kept], [line for _, line in kept]
