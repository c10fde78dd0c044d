"""Parquet: the columns of a parquet file become one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.series import Chunk, InputError
from data.text.cells import BAD_LABEL, BAD_NUMBER, NO_INDEX, TIME_OUT_OF_RANGE, Time, locate, shorten, time_reader
from data.text.layout import Kind, Request, choose_layout
from data.text.names import SeriesNames
from data.text.order import OrderWatch
from data.text.rows import Table, Warn

Mask = npt.NDArray[np.bool_]


def read_parquet(file: BinaryIO, name: str, request: Request, warn: Warn, max_bytes: int) -> Table:
    """Read a whole parquet file.

    Args:
        file: the file, opened.
        name: what errors and warnings call it.
        request: the columns that were asked for.
        warn: told of times that do not ascend.
        max_bytes: most bytes of values to read, 8 for each.

    Raises:
        InputError: not a parquet file, or its columns cannot be used.
    """
    try:
        parquet = pq.ParquetFile(file)
        return _read(parquet, name, request, warn, max_bytes)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a damaged column name
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{name} is not a sound parquet file ({reason}); make or fetch it again") from None


def _read(parquet: Any, name: str, request: Request, warn: Warn, max_bytes: int) -> Table:
    schema = parquet.schema_arrow
    layout = choose_layout(name, schema.names, [_kind(field.type) for field in schema], request)
    rows = parquet.metadata.num_rows
    if rows == 0:
        raise InputError(f"{name} has columns ({', '.join(schema.names)}) and no rows; it must hold at least one row")
    if rows * len(layout.used) * 8 > max_bytes:
        raise InputError(f"{name} holds more than {max_bytes:,} bytes of values; split it into smaller files")
    table = parquet.read(columns=[layout.names[position] for position in layout.used])
    columns = {column: _Column(name, column, table[column]) for column in table.column_names}

    values = np.column_stack([columns[column].floats() for column in layout.columns])  # (N, F)
    labels = None if layout.label is None else columns[layout.names[layout.label]].labels()
    names = SeriesNames()
    series = None if layout.series is None else columns[layout.names[layout.series]].series(names)
    if layout.time is None:
        return Table(Chunk(np.arange(rows), values, labels, series), layout.columns, None, names.names)
    time, timezone = columns[layout.names[layout.time]].times(warn)
    order = OrderWatch("row")
    order.see(range(1, rows + 1), time, series)
    if sentence := order.warning(name):
        warn(sentence)
    return Table(Chunk(time, values, labels, series), layout.columns, timezone, names.names)


def _kind(dtype: Any) -> Kind:
    types = pa.types
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        return Kind.NUMBER
    if types.is_timestamp(dtype) or types.is_date(dtype):
        return Kind.TIME
    return Kind.MISSING if types.is_null(dtype) else Kind.OTHER


class _Column:
    """One column of N cells; its methods give it as an array, or say which row is bad."""

    def __init__(self, file: str, name: str, cells: Any) -> None:
        self._file = file
        self._name = name
        self._cells = cells

    def floats(self) -> npt.NDArray[np.float64]:
        """Numbers (N,), NaN where null."""
        if _kind(self._cells.type) not in (Kind.NUMBER, Kind.MISSING):
            raise self._error(f"holds {self._cells.type}; choose a column of numbers with --column NAME")
        values = self._as_floats()
        self._refuse(np.isinf(values), BAD_NUMBER)
        return values

    def labels(self) -> Mask:
        """Labels (N,)."""
        if _kind(self._cells.type) is not Kind.NUMBER and not pa.types.is_boolean(self._cells.type):
            raise self._error(f"holds {self._cells.type}; {BAD_LABEL}")
        values = self._as_floats()
        self._refuse(~np.isin(values, (0.0, 1.0)), BAD_LABEL)
        return np.equal(values, 1.0)

    def series(self, names: SeriesNames) -> npt.NDArray[np.int64]:
        """Indices (N,) of the series that the cells name; null is an empty name."""
        encoded = self._encoded()
        codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False).astype(np.int64)  # (N,)
        texts = ["" if cell is None else str(cell) for cell in (*encoded.dictionary.to_pylist(), None)]
        used, first = np.unique(codes, return_index=True)
        used = used[np.argsort(first)]  # in order of first appearance
        indices = np.zeros(len(texts), np.int64)  # code -> series
        indices[used] = locate(
            names.indices, [texts[code] for code in used], lambda position: self._place(int(np.argmax(codes == used[position])))
        )
        return np.asarray(indices[codes], dtype=np.int64)

    def _encoded(self) -> Any:
        """The cells as one dictionary of distinct cells, and an index into it for each."""
        is_encoded = pa.types.is_dictionary(self._cells.type)
        kind = self._cells.type.value_type if is_encoded else self._cells.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise self._error(f"holds {kind}, not names; choose another --series-column")
        encoded = self._cells.unify_dictionaries() if is_encoded else self._cells.dictionary_encode()
        return encoded.combine_chunks() if encoded.num_chunks != 1 else encoded.chunk(0)

    def times(self, warn: Warn) -> tuple[Time, str | None]:
        """Times (N,) and their zone."""
        self._refuse(self._cells.is_null().to_numpy(), "every row must have a time")
        kind = _kind(self._cells.type)
        if kind is Kind.TIME:
            return self._timestamps(), _zone_name(getattr(self._cells.type, "tz", None))
        if kind is Kind.NUMBER or pa.types.is_string(self._cells.type) or pa.types.is_large_string(self._cells.type):
            return self._read_texts([str(cell) for cell in self._cells.to_pylist()], warn)
        raise self._error(f"holds {self._cells.type}, not times; choose another one with --time-column NAME")

    def _timestamps(self) -> Time:
        try:
            times = self._cells.cast(pa.timestamp("ns"))
        except pa.ArrowInvalid:
            raise self._error(f"holds a time that is out of range; {TIME_OUT_OF_RANGE}") from None
        return np.asarray(times.to_numpy(), dtype="datetime64[ns]")

    def _read_texts(self, texts: Sequence[str], warn: Warn) -> tuple[Time, str | None]:
        """Times that are written as text or as numbers."""
        reader = locate(lambda first: time_reader(first[0]), texts[:1], self._place)
        if reader is None:
            warn(f"{self._place(0)}: found {shorten(texts[0])}, {NO_INDEX}")
            return np.arange(len(texts)), None
        return locate(reader.convert, texts, self._place), reader.timezone

    def _as_floats(self) -> npt.NDArray[np.float64]:
        return np.asarray(self._cells.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)

    def _refuse(self, bad: Mask, reason: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"{self._place(row)}: found {shorten(str(self._cells[row]))}; {reason}")

    def _error(self, sentence: str) -> InputError:
        return InputError(f"{self._file}: column {self._name!r} {sentence}")

    def _place(self, row: int) -> str:
        return f"{self._file}, row {row + 1}, column {self._name!r}"


def _zone_name(zone: str | None) -> str | None:
    return "UTC" if zone in ("+00:00", "Z") else zone
