"""Parse: lines of text become chunks; one parser for csv files, followed files and pipes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import ColumnType, column_type, first_type, preview
from autoencoder.sources.chunk import Chunk, MonotonicityCheck, Warn, ignore
from autoencoder.sources.layout import Delimited, JsonObjects, Layout, count_title_lines, separator_of
from autoencoder.sources.lines import LineBuffer, Lines
from autoencoder.sources.reading import AS_FOUND, MustReadAgain, Reading
from autoencoder.sources.rows import NumberColumns, RowReader, find_digit_clock, time_texts
from autoencoder.sources.schema import ColumnSelection, Schema, choose_schema, find_series_column, find_uncounted_period
from autoencoder.sources.times import NO_INDEX, time_reader

SAMPLE_ROWS = 1000  # looked at to tell which columns hold numbers


@dataclass(eq=False)
class RowParser:
    """Reads the bytes of one table, in blocks of any size, into chunks.

    The first line settles the format (see ``autoencoder.sources.layout``), the first rows which columns are used (see
    ``autoencoder.sources.schema.choose_schema``) and the form of the times (see ``autoencoder.sources.times.time_reader``), and the
    cells themselves how numbers are written (see ``autoencoder.sources.numbers``). Blank lines and comments are passed over, and so is
    a header that is repeated.

    A tolerant parser, once the first row is understood, warns about a line that cannot be read and keeps it as a row of NaN, with
    its own time and series where they are readable and else those of the row before. It looks at the first row alone.
    """

    name: str  # of the table, for messages
    selection: ColumnSelection  # the columns that are asked for
    warn: Warn = ignore  # told, in a sentence each, of what is odd but no error
    tolerant: bool = False  # rows are read as they arrive, for good
    reading: Reading = AS_FOUND  # how cells with two readings are read
    may_change: bool = (
        False  # the table can be read again, with another ``reading``, where a later cell shows that the first misled
    )
    unit: str = "line"  # what the rows are called in messages; a header is none of those that are not lines

    def __post_init__(self) -> None:
        self._buffer = LineBuffer(self.name, self.tolerant, first=1 if self.unit == "line" else 0)
        self._at_top = True
        self._separator: str | None = None  # as a line at the top names it
        self._layout: Layout | None = None
        self._schema: Schema | None = None
        self.numbers = NumberColumns(self.name, self.reading)
        self._reader = RowReader(self.name, self.unit, self.numbers)
        self._order = MonotonicityCheck(self.name, self.unit, self.warn)
        self._several: str | None = None  # what says that rows of several series are taken for one
        self._newest: Chunk | None = None  # ends with the newest row
        self.columns: tuple[str, ...] = ()  # names of the F value columns, once there is a row
        self.timezone: str | None = None  # of the first time; after ``finish`` the one of all times
        self.series = self._reader.index.names  # so far, in order of first appearance; the list grows in place

    @property
    def counts_rows(self) -> bool:
        """Whether the times are the numbers of the rows, from 0 on."""
        return self._reader.times is None

    @property
    def has_series(self) -> bool:
        """Whether rows say which series they belong to."""
        return self.selection.series is not None

    def require_rows(self) -> None:
        """Refuse a table that ended before its first row. Raises InputError: no row came."""
        if self._schema is None:
            if self._layout is None or self._layout.header is None:
                raise InputError(f"{self.name} is empty; it must hold at least one row with a number")
            header = preview(self._layout.header)
            raise InputError(f"{self.name}: found a header ({header}) and no rows; rows of numbers must follow it")

    def new_file(self) -> None:
        """Forget half a line, and be at line 1 of another file with the same columns, perhaps in another order."""
        self._buffer.clear()
        self._at_top = True
        if self._schema is None:  # nothing is known of the columns yet but perhaps a header, and that file is gone
            self._layout = None

    def in_order(self, rows: Chunk) -> Chunk:
        """All rows of a table, turned round where the newest come first; those of a document, which has no lines, by their time."""
        if self._reader.times is None or not self._order.is_late:
            return rows
        if self._order.is_newest_first:
            return rows[::-1]
        return rows[np.argsort(rows.time, kind="stable")] if self.unit == "record" else rows

    def feed(self, data: bytes) -> Chunk | None:
        """Take the next bytes; give the rows they complete, None where there are none.

        Raises:
            InputError: a line cannot be read (not tolerant only), or the columns cannot be told.
            MustReadAgain: the table is to be read from its start with another reading (``may_change`` only).
        """
        chunk = self._feed_lines(self._buffer.push(data), self.tolerant)
        if self.tolerant:
            self._order.tell_once()
        return chunk

    def finish(self) -> Chunk | None:
        """The row of a last line that has no end; a tolerant parser leaves it out where it is no row as it stands.

        Raises:
            InputError: as ``feed``; also where nothing in the table settled how its dates are to be read.
            MustReadAgain: as ``feed``.
        """
        chunk = None
        try:
            chunk = self._feed_lines(self._buffer.finish(), tolerant=False)
        except InputError as error:
            if not self.tolerant or self._schema is None:
                raise
            self.warn(f"{error}; the line is cut off and left out")
        self._require_settled()
        self._tell()
        self.timezone = self._reader.times.timezone if self._reader.times else None
        return chunk

    def _require_settled(self) -> None:
        try:
            if self._reader.times:
                self._reader.times.require_settled()
        except ValueError as error:
            assert self._schema is not None and self._schema.time is not None, "times are read by a schema"
            raise InputError(f"{self.name}, column {self._schema.names[self._schema.time]!r}: {error}") from None
        if self.may_change:
            self.numbers.settle_by_others()

    def _tell(self) -> None:
        """Say what is odd about the whole table."""
        for sentence in self.numbers.remarks():
            self.warn(f"{self.name}{sentence}")
        if self._order.is_newest_first and not self.tolerant:
            self._order.tell_of_turning()
        elif self.unit == "record" and self._order.is_late and not self.tolerant:
            self.warn(f"{self.name} holds records that are not in the order of their times; they are judged in that order")
        elif self._several and self._order.is_late:
            self.warn(f"{self.name}{self._several}")
        else:
            self._order.tell_once()

    # --- from lines to rows ---

    def _feed_lines(self, lines: Lines, tolerant: bool) -> Chunk | None:
        if self._at_top and lines.texts:
            lines = self._read_top(lines)
        if self._layout is None:
            return None
        if self._layout.header in lines.texts:
            header = self._layout.header
            lines = lines.keep(lambda text: text != header)
        while self._schema is None and self._layout.header and lines.texts and self._layout.takes_as_header(lines.texts[0]):
            lines = lines.part(slice(1, None))
        if not lines.texts:
            return None
        if self.may_change and (self._layout.separator not in ("", ",") or self._layout.has_quotes):
            self.numbers.look_at(lines.texts, self._layout.separator)
        if self._schema is None:
            self._learn_schema(self._layout, lines.part(slice(1 if self.tolerant else SAMPLE_ROWS)))
        return self._read(lines, tolerant)

    def _read_top(self, lines: Lines) -> Lines:
        """Read a file's first line; give the lines without it where it is the header, and without what stands above it."""
        if separator := separator_of(lines.texts[0]):
            self._separator, lines = separator, lines.part(slice(1, None))
        if not self.tolerant and (titles := count_title_lines(lines)):
            told = "line 1 is" if titles == 1 else f"lines {lines.numbers[0]} to {lines.numbers[titles - 1]} are"
            self.warn(f"{self.name}: {told} passed over; the table begins with the header in line {lines.numbers[titles]}")
            lines = lines.part(slice(titles, None))
        if not lines.texts:
            return lines
        self._at_top = False
        top = lines.texts[0]
        if self._layout is None:
            is_json, chosen = top.lstrip().startswith("{"), self.selection
            self._layout = self._reader.convert_lines(
                lines.part(slice(1)),
                lambda _: JsonObjects(top, chosen) if is_json else Delimited(top, chosen, self._separator, self._buffer.comment),
            )
            if self._layout.header and any(column_type(name) is ColumnType.NUMBER for name in self._layout.names):
                self.warn(
                    f"{self._reader.place(lines.numbers[0])}: {preview(top)} is taken for the header; add one if it is a row"
                )
        elif self._schema is not None and isinstance(self._layout, Delimited):
            with suppress(ValueError):  # the columns of a file that follows another one may have moved
                names = [field.strip() for field in self._layout.split((top,))[0]]
                if moved := self._schema.moved_to(names):
                    self.numbers.move(dict(zip(self._schema.values, moved.values, strict=True)))
                    self._schema, self._layout.names, self._layout.header = moved, moved.names, top
        return lines if top != self._layout.header else lines.part(slice(1, None))

    def _learn_schema(self, layout: Layout, sample: Lines) -> None:
        """Choose the columns by the first rows; the schema stays unknown where the very first cannot be read."""
        first, reader = sample.part(slice(1)), self._reader
        layout.widen(reader.convert_lines(first, layout.split)[0])
        reader.split(layout, first)
        rows = [row for row in reader.convert_lines(sample, layout.split) if len(row) == len(layout.names)]
        columns = list(zip(*rows, strict=True))
        types = [first_type(column) for column in columns]
        if digits := find_digit_clock(layout.names, types, columns):
            types[digits.date], types[digits.clock] = ColumnType.TIME, ColumnType.CLOCK
        schema = choose_schema(self.name, layout.names, types, self.selection)
        if digits and schema.clock == digits.clock:
            schema = replace(schema, clock_width=digits.width)
        self.numbers.expect(schema, commas_group=layout.separator in ("", ","), may_change=self.may_change)
        if unread := find_uncounted_period(schema, types, rows[0]):
            self.warn(f"{self.name}{unread}")
        if schema.time is not None:
            schema = self._learn_times(schema, types, rows, first)
        with self.numbers.rewound(always=True):
            reader.read(layout, schema, first)
        self._schema, self.columns = schema, schema.columns
        self.timezone = reader.times.timezone if reader.times else None

    def _learn_times(self, schema: Schema, types: Sequence[ColumnType], rows: Sequence[Sequence[str]], first: Lines) -> Schema:
        """Tell the form of the times by the first rows; gives the schema, without the time of day where the first time has one."""
        assert schema.time is not None, "asked before"
        if ":" in rows[0][schema.time]:
            schema = replace(schema, clock=None)
        reader, texts, name = self._reader, time_texts(schema, rows), schema.names[schema.time or 0]
        order, may_change = self.reading.dates, self.may_change
        reader.times = reader.convert(first, texts[:1], lambda _: time_reader(texts, order, may_change=may_change), name)
        if reader.times is None:
            self.warn(f"{reader.place(first.numbers[0], name)}: found {preview(texts[0])}, {NO_INDEX}")
        elif schema.series is None and not self.tolerant:
            with suppress(ValueError, MustReadAgain):  # which is told when the rows are read
                self._several = find_series_column(schema, types, rows, reader.times.convert(texts))
        return schema

    def _read(self, lines: Lines, tolerant: bool) -> Chunk:
        """The next rows of the stream; where some may be bad, the lines are halved until these stand alone."""
        assert self._layout is not None and self._schema is not None, "the schema is learnt before rows are read"
        count = len(lines.texts)
        try:
            return self._append(lines, self._reader.read(self._layout, self._schema, lines))
        except InputError as error:
            if not tolerant:
                raise
            if count == 1:
                self.warn(f"{error}; the row is kept as missing")
                assert self._newest is not None, "the first row was understood"
                row, is_timed = self._reader.read_missing(self._layout, self._schema, lines, self._newest[-1:])
                return self._append(lines, row, is_timed)
        halves = slice(count // 2), slice(count // 2, None)
        return Chunk.concatenate([self._read(lines.part(half), tolerant) for half in halves])

    def _append(self, lines: Lines, rows: Chunk, is_timed: bool = True) -> Chunk:
        if is_timed and self._reader.times is not None:
            self._order.update(lines.numbers, rows.time, rows.series)
        self._reader.count += len(rows)
        self._newest = rows
        return rows
