"""Parquet: the columns of a parquet file become one table."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoencoder.core.errors import InputError
from autoencoder.core.types import Array, Bools, Integers, Time
from autoencoder.sources import cells
from autoencoder.sources.cells import ColumnType, convert_column, preview
from autoencoder.sources.chunk import Chunk, MonotonicityCheck, Warn
from autoencoder.sources.files import Table
from autoencoder.sources.numbers import BAD_NUMBER
from autoencoder.sources.schema import ColumnSelection, SeriesIndex, choose_schema
from autoencoder.sources.times import NO_INDEX, TIME_OUT_OF_RANGE, time_reader


def read_parquet(file: BinaryIO, name: str, selection: ColumnSelection, warn: Warn, max_bytes: int) -> Table:
    """Read a whole parquet file of at most ``max_bytes`` bytes of values, 8 for each.

    Raises:
        InputError: not a parquet file, or its columns cannot be used.
    """
    try:
        return _read(pq.ParquetFile(file), name, selection, warn, max_bytes)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a damaged column name
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{name} is not a sound parquet file ({reason}); make or fetch it again") from None


def _read(parquet: Any, name: str, selection: ColumnSelection, warn: Warn, max_bytes: int) -> Table:
    fields, rows = parquet.schema_arrow, parquet.metadata.num_rows
    schema = choose_schema(name, fields.names, [_type(field.type) for field in fields], selection)
    if rows == 0:
        raise InputError(f"{name} has columns ({', '.join(fields.names)}) and no rows; it must hold at least one row")
    if rows * len(schema.used) * 8 > max_bytes:
        raise InputError(f"{name} holds more than {max_bytes:,} bytes of values; split it into smaller files")
    table = parquet.read(columns=[schema.names[position] for position in schema.used])
    columns = {position: _Column(name, schema.names[position], table[schema.names[position]]) for position in schema.used}
    index = SeriesIndex()
    values = np.column_stack([columns[position].floats() for position in schema.values])  # (N, F)
    labels = None if schema.label is None else columns[schema.label].labels()
    series = None if schema.series is None else columns[schema.series].series(index)
    time, timezone = (None, None) if schema.time is None else columns[schema.time].times(warn)
    order = MonotonicityCheck(name, "row", warn)
    if time is not None:
        order.update(range(1, rows + 1), time, series)
    whole = Chunk(np.arange(rows) if time is None else time, values, labels, series)
    if order.is_newest_first:
        order.tell_of_turning()
        whole = whole[::-1]
    else:
        order.tell_once()
    return Table(whole, schema.columns, timezone, tuple(index.names))


def _type(dtype: Any) -> ColumnType:
    types = pa.types
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        return ColumnType.NUMBER
    if types.is_timestamp(dtype) or types.is_date(dtype):
        return ColumnType.TIME
    return ColumnType.MISSING if types.is_null(dtype) else ColumnType.OTHER


class _Column:
    """One column of N cells; its methods give it as an array, or say which row is bad."""

    def __init__(self, file: str, name: str, column: Any) -> None:
        self._file = file
        self._name = name
        self._cells = column
        self._type = _type(column.type)

    def floats(self) -> Array:
        self._require(self._type in (ColumnType.NUMBER, ColumnType.MISSING), "; choose a column of numbers with --column NAME")
        values = self._as_floats()
        self._refuse(np.isinf(values), BAD_NUMBER)
        return values

    def labels(self) -> Bools:
        self._require(self._type is ColumnType.NUMBER or pa.types.is_boolean(self._cells.type), f"; {cells.BAD_LABEL}")
        values = self._as_floats()
        self._refuse(~np.isin(values, (0.0, 1.0)), cells.BAD_LABEL)
        return np.equal(values, 1.0)

    def series(self, index: SeriesIndex) -> Integers:
        found, types = self._cells, pa.types
        if types.is_dictionary(found.type):  # its entries may come in any order, or twice
            found = found.cast(found.type.value_type)
        is_odd = types.is_nested(found.type) or types.is_binary(found.type) or types.is_large_binary(found.type)
        self._require(not is_odd, ", not names; choose another --series-column")
        encoded = pc.dictionary_encode(found, null_encoding="encode").combine_chunks()  # entries by first appearance
        codes = encoded.indices.to_numpy()  # (N,)
        names = ["" if cell is None else str(cell) for cell in encoded.dictionary.to_pylist()]
        positions = convert_column(index.positions, names, lambda code: self._place(int(np.argmax(codes == code))))
        return np.asarray(positions[codes], dtype=np.int64)

    def times(self, warn: Warn) -> tuple[Time | None, str | None]:
        """Times (N,), None where rows have to be counted, and their zone."""
        self._refuse(self._cells.is_null().to_numpy(), "every row must have a time")
        if self._type is ColumnType.TIME:
            zone = getattr(self._cells.type, "tz", None)
            return self._timestamps(), "UTC" if zone in ("+00:00", "Z") else zone
        is_text = pa.types.is_string(self._cells.type) or pa.types.is_large_string(self._cells.type)
        self._require(self._type is ColumnType.NUMBER or is_text, ", not times; choose another one with --time-column NAME")
        texts = [str(cell) for cell in self._cells.to_pylist()]
        reader = convert_column(time_reader, texts[:1], self._place)
        if reader is None:
            warn(f"{self._place(0)}: found {preview(texts[0])}, {NO_INDEX}")
            return None, None
        return convert_column(reader.convert, texts, self._place), reader.timezone

    def _timestamps(self) -> Time:
        try:
            times = self._cells.cast(pa.timestamp("ns"))
        except pa.ArrowInvalid:
            raise InputError(
                f"{self._file}: column {self._name!r} holds a time that is out of range; {TIME_OUT_OF_RANGE}"
            ) from None
        return np.array(times.to_numpy(), dtype="datetime64[ns]")  # a copy: Arrow's own memory may not be written to

    def _as_floats(self) -> Array:
        return np.asarray(self._cells.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)

    def _require(self, is_usable: bool, remedy: str) -> None:
        if not is_usable:
            raise InputError(f"{self._file}: column {self._name!r} holds {self._cells.type}{remedy}")

    def _refuse(self, bad: Bools, reason: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"{self._place(row)}: found {preview(str(self._cells[row]))}; {reason}")

    def _place(self, row: int) -> str:
        return f"{self._file}, row {row + 1}, column {self._name!r}"
