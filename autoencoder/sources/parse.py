"""Parse: lines of text become chunks; one parser for csv files, followed files and pipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import NO_INDEX, Result, TimeReader, convert_column, preview, time_reader, to_floats, to_labels
from autoencoder.sources.chunk import Chunk, MonotonicityCheck, Warn, ignore
from autoencoder.sources.lines import MAX_LINE_BYTES, OVERLONG, Delimited, JsonObjects, LineBuffer, default_names, is_header
from autoencoder.sources.schema import ColumnSelection, ColumnType, Schema, SeriesIndex, choose_schema, column_type, column_types

SAMPLE_ROWS = 1000  # looked at to tell which columns hold numbers

_Numbers: TypeAlias = Sequence[int]  # of lines, from 1 on
_Rows: TypeAlias = Sequence[list[str]]  # of fields


class RowParser:
    """Reads the bytes of one table, in blocks of any size, into chunks.

    A first line of nothing but numbers and times is a row already; any other without a time is the header. Without a header one
    column is called "value", two "time" and "value", more "column_1", "column_2", ... Blank lines are passed over. The first row
    settles the form of the times (see ``autoencoder.sources.cells.time_reader``), the first rows settle which columns are used (see
    ``autoencoder.sources.schema.choose_schema``).

    A tolerant parser, once the first row is understood, warns about a line that cannot be read and keeps it as a row of NaN, with
    its own time and series where they are readable and else those of the row before; it passes over a repeated header.

    Attributes:
        first_timezone: zone of the first time, whatever others follow.
        series: names of the series so far, in order of first appearance; the list grows in place.
    """

    def __init__(self, name: str, selection: ColumnSelection, warn: Warn = ignore, tolerant: bool = False) -> None:
        self._name = name
        self._selection = selection
        self._warn = warn
        self._tolerant = tolerant
        self._buffer = LineBuffer(name, tolerant)
        self._format: Delimited | JsonObjects | None = None
        self._names: tuple[str, ...] = ()
        self._header: str | None = None  # the header's line as it stands in the file
        self._schema: Schema | None = None
        self._times: TimeReader | None = None  # None: rows are counted
        self._order = MonotonicityCheck()
        self._told_order = False
        self._index = SeriesIndex()
        self._line = 0
        self._rows = 0
        self._newest: Chunk | None = None  # ends with the newest row
        self._at_top = True
        self.first_timezone: str | None = None
        self.series = self._index.names

    @property
    def started(self) -> bool:
        """Whether a row has been understood, so that columns and time zone are known."""
        return self._schema is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the F value columns; empty before the first row."""
        return self._schema.columns if self._schema else ()

    @property
    def timezone(self) -> str | None:
        """Zone of the times so far."""
        return self._times.timezone if self._times else None

    @property
    def counts_rows(self) -> bool:
        """Whether the times are the numbers of the rows, from 0 on."""
        return self._times is None

    def require_rows(self) -> None:
        """Refuse a table that ended before its first row.

        Raises:
            InputError: no row came.
        """
        if self.started:
            return
        if self._header is None:
            raise InputError(f"{self._name} is empty; it must hold at least one row with a number")
        raise InputError(f"{self._name}: found a header ({preview(self._header)}) and no rows; rows of numbers must follow it")

    def new_file(self) -> None:
        """Forget half a line, and be at line 1 of another file with the same columns, perhaps in another order."""
        self._buffer.clear()
        self._line = 0
        self._at_top = True
        if not self.started:  # nothing is known of the columns yet but perhaps a header, and that file is gone
            self._format, self._header = None, None

    def feed(self, data: bytes) -> Chunk | None:
        """Take the next bytes; give the rows they complete, None where there are none.

        Raises:
            InputError: a line cannot be read (not tolerant only), or the columns cannot be told.
        """
        chunk = self._feed_lines(self._buffer.push(data), self._tolerant)
        if self._tolerant:
            self._warn_of_order()
        return chunk

    def finish(self) -> Chunk | None:
        """The row of a last line that has no end; a tolerant parser leaves it out where it is no row as it stands.

        Raises:
            InputError: as ``feed``.
        """
        try:
            chunk = self._feed_lines(self._buffer.finish(), tolerant=False)
        except InputError as error:
            if not (self._tolerant and self.started):
                raise
            self._warn(f"{error}; the line is cut off and left out")
            return None
        self._warn_of_order()
        return chunk

    def _warn_of_order(self) -> None:
        if not self._told_order and (sentence := self._order.warning(self._name)):
            self._warn(sentence)
            self._told_order = True

    # --- from lines to rows ---

    def _feed_lines(self, lines: Sequence[str], tolerant: bool) -> Chunk | None:
        numbers, lines = self._number(lines)
        if self._at_top and lines:
            taken = self._read_top(numbers[0], lines[0])
            numbers, lines = numbers[taken:], lines[taken:]
        if tolerant and self._header in lines:
            numbers, lines = _keep(numbers, lines, lambda line: line != self._header)
        if lines and not self.started:
            self._learn_schema(numbers, lines[:1] if tolerant else lines[:SAMPLE_ROWS])
        if not lines:
            return None
        return self._read_tolerantly(numbers, lines) if tolerant else self._read_next(numbers, lines)

    def _number(self, lines: Sequence[str]) -> tuple[_Numbers, Sequence[str]]:
        """Number the lines and leave out the blank ones."""
        numbers = range(self._line + 1, self._line + len(lines) + 1)
        self._line += len(lines)
        return (numbers, lines) if all(map(str.strip, lines)) else _keep(numbers, lines, lambda line: bool(line.strip()))

    def _read_top(self, number: int, line: str) -> int:
        """Read a file's first line; how many lines (0 or 1) are no rows."""
        self._at_top = False
        if self._format is not None:
            return self._read_top_again(line)
        if line.lstrip().startswith("{"):
            objects = self._convert((number,), (line,), lambda texts: JsonObjects(texts[0], self._selection))
            self._format, self._names = objects, objects.names
            return 0
        self._format = Delimited(line)
        fields = self._split((number,), (line,))[0]
        if not is_header(fields, self._selection):
            self._names = default_names(fields)
            return 0
        if any(column_type(field) is ColumnType.NUMBER for field in fields):
            self._warn(f"{self._name}, line {number}: {preview(line)} is taken for the header; add one if it is a row")
        self._header, self._names = line, tuple(field.strip() for field in fields)
        return 1

    def _read_top_again(self, line: str) -> int:
        """Read the first line of a file that follows another one: its header may have moved the columns."""
        if self._schema is None or not isinstance(self._format, Delimited):
            return 0
        try:
            names = [field.strip() for field in self._format.split((line,))[0]]
        except ValueError:
            return 0
        moved = self._schema.moved_to(names)
        if moved is None:
            return 0
        self._schema, self._names, self._header = moved, moved.names, line
        return 1

    def _learn_schema(self, numbers: _Numbers, lines: Sequence[str]) -> None:
        """Choose the columns by the first rows; the schema stays unknown where the very first cannot be read."""
        self._split_evenly(numbers[:1], lines[:1])
        rows = self._split(numbers, lines)
        schema = choose_schema(self._name, self._names, column_types(rows, len(self._names)), self._selection)
        if schema.time is not None:
            first, name = rows[0][schema.time], self._names[schema.time]
            self._times = self._convert(numbers[:1], (first,), lambda texts: time_reader(texts[0]), name)
            if self._times is None:
                self._warn(f"{self._name}, line {numbers[0]}, column {name!r}: found {preview(first)}, {NO_INDEX}")
        self._read(schema, numbers[:1], lines[:1])
        self._schema = schema
        self.first_timezone = self.timezone

    def _read_tolerantly(self, numbers: _Numbers, lines: Sequence[str]) -> Chunk:
        """Rows of which some may be bad: halve the lines until the bad ones stand alone."""
        try:
            return self._read_next(numbers, lines)
        except InputError as error:
            if len(lines) == 1:
                self._warn(f"{error}; the row is kept as missing")
                return self._read_missing(numbers, lines)
        middle = len(lines) // 2
        halves = slice(middle), slice(middle, None)
        return Chunk.concatenate([self._read_tolerantly(numbers[half], lines[half]) for half in halves])

    def _read_next(self, numbers: _Numbers, lines: Sequence[str]) -> Chunk:
        """The next rows of the stream."""
        assert self._schema is not None, "the schema is learnt before rows are read"
        chunk = self._read(self._schema, numbers, lines)
        if self._times is not None:
            self._order.update(numbers, chunk.time, chunk.series)
        self._rows += len(chunk)
        self._newest = chunk
        return chunk

    def _read_missing(self, numbers: _Numbers, lines: Sequence[str]) -> Chunk:
        """One row of NaN for one line that cannot be read; its time and series, where they are readable, hold."""
        schema, times = self._schema, self._times
        assert schema is not None and self._newest is not None, "the first row was understood"
        before = self._newest[-1:]
        time, series = before.time, before.series
        with suppress(InputError, ValueError):
            (fields,) = self._split_evenly(numbers, lines)
            if schema.series is not None:
                with suppress(ValueError):
                    series = self._index.positions((fields[schema.series],))
            if schema.time is not None and times is not None:
                time = times.convert((fields[schema.time],))
        if times is None:
            time = np.arange(self._rows, self._rows + 1)
        elif time is not before.time:
            self._order.update(numbers, time, series)
        self._rows += 1
        self._newest = Chunk(time, np.full((1, len(self.columns)), np.nan), None, series)
        return self._newest

    def _read(self, schema: Schema, numbers: _Numbers, lines: Sequence[str]) -> Chunk:
        """Lines (N,) -> N rows; changes nothing but the zones and series that were met."""
        rows = self._split_evenly(numbers, lines)

        def column(position: int, convert: Callable[[Sequence[str]], Result]) -> Result:
            return self._convert(numbers, [row[position] for row in rows], convert, schema.names[position])

        columns = [column(position, to_floats) for position in schema.values]
        values = columns[0][:, None] if len(columns) == 1 else np.column_stack(columns)  # (N, F)
        labels = None if schema.label is None else column(schema.label, to_labels)
        series = None if schema.series is None else column(schema.series, self._index.positions)
        if schema.time is None or self._times is None:
            return Chunk(np.arange(self._rows, self._rows + len(rows)), values, labels, series)
        return Chunk(column(schema.time, self._times.convert), values, labels, series)

    def _split_evenly(self, numbers: _Numbers, lines: Sequence[str]) -> _Rows:
        """Rows of fields, as many in each as there are columns."""
        rows, width = self._split(numbers, lines), len(self._names)
        if set(map(len, rows)) <= {width}:
            return rows
        number, found = next((number, len(row)) for number, row in zip(numbers, rows, strict=True) if len(row) != width)
        remedy = f"every row must have as many as the first line, {width}"
        raise InputError(f"{self._name}, line {number}: found {found} field{'' if found == 1 else 's'}; {remedy}")

    def _split(self, numbers: _Numbers, lines: Sequence[str]) -> _Rows:
        assert self._format is not None, "the format is known from the first line on"
        if OVERLONG in lines:
            place = f"{self._name}, line {numbers[lines.index(OVERLONG)]}"
            raise InputError(f"{place}: found no end of the line within {MAX_LINE_BYTES:,} bytes; one row must be one line")
        return self._convert(numbers, lines, self._format.split)

    def _convert(
        self, numbers: _Numbers, texts: Sequence[str], convert: Callable[[Sequence[str]], Result], column: str | None = None
    ) -> Result:
        """Convert texts (N,); an error names the line, and the column."""

        def place(position: int) -> str:
            return f"{self._name}, line {numbers[position]}" + ("" if column is None else f", column {column!r}")

        return convert_column(convert, texts, place)


def _keep(numbers: _Numbers, lines: Sequence[str], wanted: Callable[[str], bool]) -> tuple[_Numbers, Sequence[str]]:
    kept = [(number, line) for number, line in zip(numbers, lines, strict=True) if wanted(line)]
    return [number for number, _ in kept], [line for _, line in kept]
