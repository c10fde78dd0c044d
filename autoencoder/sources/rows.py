"""Rows: lines become chunks by a layout and a schema; columns of numbers settle together what a cell alone leaves open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Time
from autoencoder.sources import cells
from autoencoder.sources.cells import ColumnType, Result
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.layout import Layout
from autoencoder.sources.lines import MAX_LINE_BYTES, OVERLONG, Lines
from autoencoder.sources.numbers import NumberColumn, clear_decimals
from autoencoder.sources.reading import Decimal, MustReadAgain, Reading
from autoencoder.sources.schema import CLOCK_NAMES, Schema, SeriesIndex, plain_name
from autoencoder.sources.times import TimeReader, is_time

MAX_WORDS = 3  # that are named of those that stand for missing values
DATE_NAMES = ("date", "datum", "fecha", "tradedate", "tradingdate", "tradingday")
HOURS_AND_MINUTES, WITH_SECONDS = 4, 6  # digits


@dataclass(eq=False)
class RowReader:
    """Reads the rows of one table once its layout is known."""

    name: str  # of the table, for messages
    unit: str  # what its rows are called there
    numbers: NumberColumns  # its columns of numbers

    def __post_init__(self) -> None:
        self.index = SeriesIndex()
        self.times: TimeReader | None = None  # None: rows are counted
        self.count = 0  # of rows so far

    def place(self, number: int, column: str | None = None) -> str:
        """Where a line stands, or its cell in a column."""
        return f"{self.name}, {self.unit} {number}" + ("" if column is None else f", column {column!r}")

    def read(self, layout: Layout, schema: Schema, lines: Lines) -> Chunk:
        """Lines (N,) -> N rows; changes nothing but what was learnt of cells, zones and series. Raises InputError: a line is bad."""
        rows = self.split(layout, lines)

        def column(position: int, convert: Callable[[Sequence[str]], Result]) -> Result:
            return self.convert(lines, [row[position] for row in rows], convert, schema.names[position])

        with self.numbers.rewound():
            columns = [column(position, self.numbers[position].convert) for position in schema.values]
            values = columns[0][:, None] if len(columns) == 1 else np.column_stack(columns)  # (N, F)
            labels = None if schema.label is None else column(schema.label, cells.to_labels)
            series = None if schema.series is None else column(schema.series, self.index.positions)
            if schema.time is None or self.times is None:
                return Chunk(self._counted(len(rows)), values, labels, series)
            time = self.convert(lines, time_texts(schema, rows), self.times.convert, schema.names[schema.time])
        return Chunk(time, values, labels, series)

    def read_missing(self, layout: Layout, schema: Schema, line: Lines, before: Chunk) -> tuple[Chunk, bool]:
        """One row of NaN for one line that cannot be read, and whether its time is its own.

        Its time and series, where they are readable, hold; else those of the row ``before``.
        """
        time, series, is_timed = before.time, before.series, False
        with suppress(InputError, ValueError):
            rows = self.split(layout, line)
            if schema.series is not None:
                with suppress(ValueError):
                    series = self.index.positions((rows[0][schema.series],))
            if schema.time is not None and self.times is not None:
                time, is_timed = self.times.convert(time_texts(schema, rows)), True
        return Chunk(
            self._counted(1) if self.times is None else time, np.full_like(before.values, np.nan), None, series
        ), is_timed

    def split(self, layout: Layout, lines: Lines) -> list[list[str]]:
        """Rows of fields, as many in each as the layout has names. Raises InputError: a line is no row, or of another width."""
        rows, width = self.convert_lines(lines, layout.split), len(layout.names)
        if not set(map(len, rows)) <= {width}:
            number, found = next((number, len(row)) for number, row in zip(lines.numbers, rows, strict=True) if len(row) != width)
            remedy = f"every row must have as many as the first line, {width}"
            raise InputError(f"{self.place(number)}: found {found} field{'' if found == 1 else 's'}; {remedy}")
        return rows

    def convert_lines(self, lines: Lines, convert: Callable[[Sequence[str]], Result]) -> Result:
        """Convert whole lines; an error names the line."""
        if OVERLONG in lines.texts:
            place = self.place(lines.numbers[lines.texts.index(OVERLONG)])
            raise InputError(f"{place}: found no end of the line within {MAX_LINE_BYTES:,} bytes; one row must be one line")
        return self.convert(lines, lines.texts, convert)

    def convert(
        self, lines: Lines, texts: Sequence[str], convert: Callable[[Sequence[str]], Result], column: str | None = None
    ) -> Result:
        """Convert texts (N,), one a line; an error names the line, and the column."""
        return cells.convert_column(convert, texts, lambda position: self.place(lines.numbers[position], column))

    def _counted(self, rows: int) -> Time:
        return np.arange(self.count, self.count + rows)


def time_texts(schema: Schema, rows: Sequence[Sequence[str]]) -> list[str]:
    """The time of each row; a date and a time of day in two columns are one."""
    assert schema.time is not None, "rows without a time are counted"
    if schema.clock is None:
        return [row[schema.time] for row in rows]
    return [f"{row[schema.time].strip()} {clock_text(row[schema.clock], schema.clock_width)}" for row in rows]


class NumberColumns:
    """The columns of numbers of one table, by their positions."""

    def __init__(self, table: str, reading: Reading) -> None:
        self._table, self._reading = table, reading
        self._columns: dict[int, NumberColumn] = {}
        self._seen: set[Decimal] = set()  # decimal signs that any cell of the table showed

    def __getitem__(self, position: int) -> NumberColumn:
        return self._columns[position]

    def expect(self, schema: Schema, *, commas_group: bool, may_change: bool) -> None:
        """Begin the columns of a table."""
        self._columns = {
            position: NumberColumn(
                schema.names[position],
                self._reading.decimal or self._reading.decimals.get(schema.names[position]),
                commas_group=commas_group,
                may_change=may_change,
            )
            for position in schema.values
        }

    def move(self, places: Mapping[int, int]) -> None:
        """The same columns have other positions from here on."""
        self._columns = {places[position]: column for position, column in self._columns.items()}

    @contextmanager
    def rewound(self, *, always: bool = False) -> Iterator[None]:
        """What is done inside leaves no trace where it fails, or at all."""
        before = [(column, column.memory()) for column in self._columns.values()]
        try:
            yield
        except Exception:
            always = True
            raise
        finally:
            if always:
                for column, memory in before:
                    column.recall(memory)

    def state(self) -> State:
        """How the columns are read, in their order."""
        return {
            str(place): {"decimal": column.decimal, "unit": column.unit} for place, column in enumerate(self._columns.values())
        }

    def go_on(self, state: State) -> None:
        """Read on as ``state`` says. Raises InputError: the first rows were read in another way; ModelFileError: damaged."""
        for place, column in enumerate(self._columns.values()):
            saved = Reader(state, "the source")
            if saved.has(str(place)):
                one = saved.state(str(place))
                decimal, unit = one.get("decimal"), one.get("unit")
                if decimal not in (None, "point", "comma") or not isinstance(unit, str | None):
                    raise saved.fault(str(place), "is no way to read a column")
                try:
                    column.go_on(decimal, unit)  # type: ignore[arg-type]  # the lines above say what it is
                except ValueError as error:
                    raise InputError(f"{self._table}: {error}") from None

    def look_at(self, texts: Sequence[str], separator: str) -> None:
        """Look for the decimal sign in all cells of some lines, used or not."""
        if len(self._seen) < 2:
            self._seen |= clear_decimals("\n".join(texts), separator)

    def settle_by_others(self) -> None:
        """At the end of a table: read a column again whose sign is open, as the other columns show it. Raises MustReadAgain."""
        if len(self._seen) != 1:
            return
        (decimal,) = self._seen
        found = {column.name: decimal for column in self._columns.values() if column.unsettled and column.decimal != decimal}
        if found:
            raise MustReadAgain(decimals=found)

    def remarks(self) -> Iterator[str]:
        """Ends of sentences about the whole table; what was said is not said again."""
        for column in self._columns.values():
            text, decimal = column.unsettled, column.decimal
            if text and ("," in text or column.has_hundreds) and not self._seen & {decimal}:
                thousands, fraction = re.sub("[.,]", "", text), text.replace(",", ".")
                sign = "comma" if decimal == "point" else "point"
                is_fraction = ("," in text) == (decimal == "comma")
                taken, other = (fraction, thousands) if is_fraction else (thousands, fraction)
                yield f", column {column.name!r}: {text!r} is read as {taken}; if it is {other}, give --set input.decimal={sign}"
        words: Counter[str] = sum((column.words for column in self._columns.values()), Counter())
        if words:
            listed = ", ".join(f"{word!r} {count:,}" for word, count in words.most_common(MAX_WORDS))
            rest = len(words) - MAX_WORDS
            others = f" and {rest} more" if rest > 0 else ""
            count = words.total()
            yield f": {count:,} value{'' if count == 1 else 's'} taken as missing ({listed}{others})"
        for column in self._columns.values():
            column.words = Counter()


# --- times of day in digits ---


class DigitClock(NamedTuple):
    """A column of times of day in digits (930 and 1200, or 000000 and 153000), and the column of their dates."""

    date: int  # positions
    clock: int
    width: int  # digits of a time, with the zeros in front that may be left out


def find_digit_clock(names: Sequence[str], types: Sequence[ColumnType], columns: Sequence[Sequence[str]]) -> DigitClock | None:
    """The columns of dates and of times of day in digits among the first rows; None where there are none.

    Numbers below 100 in all rows may be hours, minutes or anything else, and count for none.
    """
    named = [plain_name(name) for name in names]
    dates = [
        place
        for place, name in enumerate(named)
        if name in DATE_NAMES and all(":" not in each and is_time(each) for each in columns[place] if each.strip())
    ]
    for place, name in enumerate(named):
        if dates and name in CLOCK_NAMES and types[place] is ColumnType.NUMBER and (width := _width(columns[place])):
            return DigitClock(dates[0], place, width)
    return None


def clock_text(text: str, width: int | None) -> str:
    """A time of day with its colons, where it is written in so many digits; None: as it stands.

    >>> clock_text("930", 4), clock_text("000500", 6), clock_text(" 9:30 ", None)
    ('09:30', '00:05:00', '9:30')
    """
    text = text.strip()
    if width is None or not text.isdecimal():
        return text
    digits = text.zfill(width)
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))


def _width(texts: Sequence[str]) -> int | None:
    digits = [text.strip() for text in texts if text.strip()]
    longest = max(map(len, digits), default=0)
    if not 3 <= longest <= WITH_SECONDS or not all(text.isdecimal() for text in digits):
        return None
    width = HOURS_AND_MINUTES if longest <= HOURS_AND_MINUTES else WITH_SECONDS
    return width if all(is_time(f"2000-01-01 {clock_text(text, width)}") for text in digits) else None
