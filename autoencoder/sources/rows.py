"""Rows: lines become chunks by a layout and a schema, and a line that cannot be read is named with its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.sources import cells
from autoencoder.sources.cells import Result
from autoencoder.sources.chunk import Chunk, Time
from autoencoder.sources.clocks import clock_text
from autoencoder.sources.layout import Layout
from autoencoder.sources.lines import MAX_LINE_BYTES, OVERLONG, Lines
from autoencoder.sources.number_columns import NumberColumns
from autoencoder.sources.schema import Schema, SeriesIndex
from autoencoder.sources.times import TimeReader


class RowReader:
    """Reads the rows of one table once its layout is known.

    Args:
        name: of the table, for messages.
        unit: what its rows are called there.
        numbers: its columns of numbers.
    """

    def __init__(self, name: str, unit: str, numbers: NumberColumns) -> None:
        self._name = name
        self._unit = unit
        self._numbers = numbers
        self.index = SeriesIndex()
        self.times: TimeReader | None = None  # None: rows are counted
        self.count = 0  # of rows so far

    def place(self, number: int, column: str | None = None) -> str:
        """Where a line stands, or its cell in a column."""
        return f"{self._name}, {self._unit} {number}" + ("" if column is None else f", column {column!r}")

    def read(self, layout: Layout, schema: Schema, lines: Lines) -> Chunk:
        """Lines (N,) -> N rows; changes nothing but what was learnt of cells, zones and series. Raises InputError: a line is bad."""
        rows = self.split(layout, lines)

        def column(position: int, convert: Callable[[Sequence[str]], Result]) -> Result:
            return self.convert(lines, [row[position] for row in rows], convert, schema.names[position])

        with self._numbers.rewound():
            columns = [column(position, self._numbers[position].convert) for position in schema.values]
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
