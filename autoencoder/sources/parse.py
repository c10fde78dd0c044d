"""Parse: lines of text become chunks; one parser for csv files, followed files and pipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.sources import cells
from autoencoder.sources.cells import ColumnType, Result, column_type, preview
from autoencoder.sources.chunk import Chunk, MonotonicityCheck, Time, Warn, ignore
from autoencoder.sources.lines import MAX_LINE_BYTES, OVERLONG, Delimited, JsonObjects, LineBuffer, Lines
from autoencoder.sources.schema import ColumnSelection, Schema, SeriesIndex, choose_schema

SAMPLE_ROWS = 1000  # looked at to tell which columns hold numbers


class RowParser:
    """Reads the bytes of one table, in blocks of any size, into chunks.

    The first line settles the format (see ``autoencoder.sources.lines``), the first row the form of the times (see
    ``autoencoder.sources.cells.time_reader``), and the first rows which columns are used (see
    ``autoencoder.sources.schema.choose_schema``). Blank lines are passed over.

    A tolerant parser, once the first row is understood, warns about a line that cannot be read and keeps it as a row of NaN, with
    its own time and series where they are readable and else those of the row before; it passes over a repeated header.
    """

    def __init__(self, name: str, selection: ColumnSelection, warn: Warn = ignore, tolerant: bool = False) -> None:
        self._name = name
        self._selection = selection
        self._warn = warn
        self._tolerant = tolerant
        self._buffer = LineBuffer(name, tolerant)
        self._at_top = True
        self._format: Delimited | JsonObjects | None = None
        self._schema: Schema | None = None
        self._times: cells.TimeReader | None = None  # None: rows are counted
        self._order = MonotonicityCheck(name, "line", warn)
        self._index = SeriesIndex()
        self._rows = 0
        self._newest: Chunk | None = None  # ends with the newest row
        self.columns: tuple[str, ...] = ()  # names of the F value columns, once there is a row
        self.timezone: str | None = None  # of the first time; after ``finish`` the one of all times
        self.series = self._index.names  # so far, in order of first appearance; the list grows in place

    @property
    def counts_rows(self) -> bool:
        """Whether the times are the numbers of the rows, from 0 on."""
        return self._times is None

    def require_rows(self) -> None:
        """Refuse a table that ended before its first row. Raises InputError: no row came."""
        if self._schema is None:
            if self._format is None or self._format.header is None:
                raise InputError(f"{self._name} is empty; it must hold at least one row with a number")
            header = preview(self._format.header)
            raise InputError(f"{self._name}: found a header ({header}) and no rows; rows of numbers must follow it")

    def new_file(self) -> None:
        """Forget half a line, and be at line 1 of another file with the same columns, perhaps in another order."""
        self._buffer.clear()
        self._at_top = True
        if self._schema is None:  # nothing is known of the columns yet but perhaps a header, and that file is gone
            self._format = None

    def feed(self, data: bytes) -> Chunk | None:
        """Take the next bytes; give the rows they complete, None where there are none.

        Raises:
            InputError: a line cannot be read (not tolerant only), or the columns cannot be told.
        """
        chunk = self._feed_lines(self._buffer.push(data), self._tolerant)
        if self._tolerant:
            self._order.tell_once()
        return chunk

    def finish(self) -> Chunk | None:
        """The row of a last line that has no end; a tolerant parser leaves it out where it is no row as it stands.

        Raises:
            InputError: as ``feed``.
        """
        chunk = None
        try:
            chunk = self._feed_lines(self._buffer.finish(), tolerant=False)
        except InputError as error:
            if not self._tolerant or self._schema is None:
                raise
            self._warn(f"{error}; the line is cut off and left out")
        self._order.tell_once()
        self.timezone = self._times.timezone if self._times else None
        return chunk

    # --- from lines to rows ---

    def _feed_lines(self, lines: Lines, tolerant: bool) -> Chunk | None:
        if self._at_top and lines.texts:
            lines = self._read_top(lines)
        if self._format is None:
            return None
        if tolerant and self._format.header in lines.texts:
            header = self._format.header
            lines = lines.keep(lambda text: text != header)
        if not lines.texts:
            return None
        if self._schema is None:
            self._learn_schema(self._format, lines.part(slice(1 if tolerant else SAMPLE_ROWS)))
        return self._read_tolerantly(lines) if tolerant else self._read_next(lines)

    def _read_top(self, lines: Lines) -> Lines:
        """Read a file's first line; give the lines without it where it is the header."""
        self._at_top = False
        top = lines.texts[0]
        if self._format is None:
            form = JsonObjects if top.lstrip().startswith("{") else Delimited
            self._format = self._convert_lines(lines.part(slice(1)), lambda texts: form(texts[0], self._selection))
            if self._format.header and any(column_type(name) is ColumnType.NUMBER for name in self._format.names):
                place = f"{self._name}, line {lines.numbers[0]}"
                self._warn(f"{place}: {preview(top)} is taken for the header; add one if it is a row")
        elif self._schema is not None and isinstance(self._format, Delimited):
            with suppress(ValueError):  # the columns of a file that follows another one may have moved
                names = [field.strip() for field in self._format.split((top,))[0]]
                if moved := self._schema.moved_to(names):
                    self._schema, self._format.header = moved, top
        return lines if top != self._format.header else lines.part(slice(1, None))

    def _learn_schema(self, form: Delimited | JsonObjects, sample: Lines) -> None:
        """Choose the columns by the first rows; the schema stays unknown where the very first cannot be read."""
        first, width = sample.part(slice(1)), len(form.names)
        self._split(first, width)
        rows = [row for row in self._convert_lines(sample, form.split) if len(row) == width]
        types = [_first_type(column) for column in zip(*rows, strict=True)]
        schema = choose_schema(self._name, form.names, types, self._selection)
        if schema.time is not None:
            text, name = rows[0][schema.time], form.names[schema.time]
            self._times = self._convert(first, (text,), lambda texts: cells.time_reader(texts[0]), name)
            if self._times is None:
                self._warn(f"{self._name}, line {first.numbers[0]}, column {name!r}: found {preview(text)}, {cells.NO_INDEX}")
        self._read(schema, first)
        self._schema, self.columns = schema, schema.columns
        self.timezone = self._times.timezone if self._times else None

    def _read_tolerantly(self, lines: Lines) -> Chunk:
        """Rows of which some may be bad: halve the lines until the bad ones stand alone."""
        count = len(lines.texts)
        try:
            return self._read_next(lines)
        except InputError as error:
            if count == 1:
                self._warn(f"{error}; the row is kept as missing")
                return self._read_missing(lines)
        halves = slice(count // 2), slice(count // 2, None)
        return Chunk.concatenate([self._read_tolerantly(lines.part(half)) for half in halves])

    def _read_next(self, lines: Lines) -> Chunk:
        """The next rows of the stream."""
        assert self._schema is not None, "the schema is learnt before rows are read"
        return self._append(lines, self._read(self._schema, lines))

    def _read_missing(self, line: Lines) -> Chunk:
        """One row of NaN for one line that cannot be read; its time and series, where they are readable, hold."""
        schema, times = self._schema, self._times
        assert schema is not None and self._newest is not None, "the first row was understood"
        before = self._newest[-1:]
        time, series = before.time, before.series
        with suppress(InputError, ValueError):
            (fields,) = self._split(line, len(schema.names))
            if schema.series is not None:
                with suppress(ValueError):
                    series = self._index.positions((fields[schema.series],))
            if schema.time is not None and times is not None:
                time = times.convert((fields[schema.time],))
        row = Chunk(self._count(1) if times is None else time, np.full_like(before.values, np.nan), None, series)
        return self._append(line, row, is_timed=time is not before.time)

    def _append(self, lines: Lines, rows: Chunk, is_timed: bool = True) -> Chunk:
        if is_timed and self._times is not None:
            self._order.update(lines.numbers, rows.time, rows.series)
        self._rows += len(rows)
        self._newest = rows
        return rows

    def _read(self, schema: Schema, lines: Lines) -> Chunk:
        """Lines (N,) -> N rows; changes nothing but the zones and series that were met."""
        rows = self._split(lines, len(schema.names))

        def column(position: int, convert: Callable[[Sequence[str]], Result]) -> Result:
            return self._convert(lines, [row[position] for row in rows], convert, schema.names[position])

        columns = [column(position, cells.to_floats) for position in schema.values]
        values = columns[0][:, None] if len(columns) == 1 else np.column_stack(columns)  # (N, F)
        labels = None if schema.label is None else column(schema.label, cells.to_labels)
        series = None if schema.series is None else column(schema.series, self._index.positions)
        if schema.time is None or self._times is None:
            return Chunk(self._count(len(rows)), values, labels, series)
        return Chunk(column(schema.time, self._times.convert), values, labels, series)

    def _count(self, rows: int) -> Time:
        return np.arange(self._rows, self._rows + rows)

    def _split(self, lines: Lines, width: int) -> list[list[str]]:
        """Rows of fields, ``width`` in each."""
        assert self._format is not None, "the format is known from the first line on"
        rows = self._convert_lines(lines, self._format.split)
        if not set(map(len, rows)) <= {width}:
            number, found = next((number, len(row)) for number, row in zip(lines.numbers, rows, strict=True) if len(row) != width)
            remedy = f"every row must have as many as the first line, {width}"
            raise InputError(f"{self._name}, line {number}: found {found} field{'' if found == 1 else 's'}; {remedy}")
        return rows

    def _convert_lines(self, lines: Lines, convert: Callable[[Sequence[str]], Result]) -> Result:
        if OVERLONG in lines.texts:
            place = f"{self._name}, line {lines.numbers[lines.texts.index(OVERLONG)]}"
            raise InputError(f"{place}: found no end of the line within {MAX_LINE_BYTES:,} bytes; one row must be one line")
        return self._convert(lines, lines.texts, convert)

    def _convert(
        self, lines: Lines, texts: Sequence[str], convert: Callable[[Sequence[str]], Result], column: str | None = None
    ) -> Result:
        """Convert texts (N,), one a line; an error names the line, and the column."""
        where = "" if column is None else f", column {column!r}"
        return cells.convert_column(convert, texts, lambda position: f"{self._name}, line {lines.numbers[position]}{where}")


def _first_type(texts: Sequence[str]) -> ColumnType:
    """What a column looks like by its first text that is not missing."""
    return next((found for text in texts if (found := column_type(text)) is not ColumnType.MISSING), ColumnType.MISSING)
