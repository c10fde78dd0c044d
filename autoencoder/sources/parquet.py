"""Parquet: the columns of a parquet file become one table."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import BAD_LABEL, BAD_NUMBER, NO_INDEX, TIME_OUT_OF_RANGE, convert_column, preview, time_reader
from autoencoder.sources.chunk import Chunk, MonotonicityCheck, Table, Time, Warn
from autoencoder.sources.schema import ColumnSelection, ColumnType, SeriesIndex, choose_schema


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
    fields = parquet.schema_arrow
    schema = choose_schema(name, fields.names, [_type(field.type) for field in fields], selection)
    rows = parquet.metadata.num_rows
    if rows == 0:
        raise InputError(f"{name} has columns ({', '.join(fields.names)}) and no rows; it must hold at least one row")
    if rows * len(schema.used) * 8 > max_bytes:
        raise InputError(f"{name} holds more than {max_bytes:,} bytes of values; split it into smaller files")
    table = parquet.read(columns=[schema.names[position] for position in schema.used])

    def column(position: int) -> _Column:
        return _Column(name, schema.names[position], table[schema.names[position]])

    values = np.column_stack([column(position).floats() for position in schema.values])  # (N, F)
    labels = None if schema.label is None else column(schema.label).labels()
    index = SeriesIndex()
    series = None if schema.series is None else column(schema.series).series(index)
    if schema.time is None:
        return Table(Chunk(np.arange(rows), values, labels, series), schema.columns, None, tuple(index.names))
    time, timezone = column(schema.time).times(warn)
    order = MonotonicityCheck("row")
    order.update(range(1, rows + 1), time, series)
    if sentence := order.warning(name):
        warn(sentence)
    return Table(Chunk(time, values, labels, series), schema.columns, timezone, tuple(index.names))


def _type(dtype: Any) -> ColumnType:
    types = pa.types
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        return ColumnType.NUMBER
    if types.is_timestamp(dtype) or types.is_date(dtype):
        return ColumnType.TIME
    return ColumnType.MISSING if types.is_null(dtype) else ColumnType.OTHER


class _Column:
    """One column of N cells; its methods give it as an array, or say which row is bad."""

    def __init__(self, file: str, name: str, cells: Any) -> None:
        self._file = file
        self._name = name
        self._cells = cells
        self._type = _type(cells.type)

    def floats(self) -> npt.NDArray[np.float64]:
        """Numbers (N,), NaN where null."""
        if self._type not in (ColumnType.NUMBER, ColumnType.MISSING):
            raise self._error(f"holds {self._cells.type}; choose a column of numbers with --column NAME")
        values = self._as_floats()
        self._refuse(np.isinf(values), BAD_NUMBER)
        return values

    def labels(self) -> npt.NDArray[np.bool_]:
        """Labels (N,)."""
        if self._type is not ColumnType.NUMBER and not pa.types.is_boolean(self._cells.type):
            raise self._error(f"holds {self._cells.type}; {BAD_LABEL}")
        values = self._as_floats()
        self._refuse(~np.isin(values, (0.0, 1.0)), BAD_LABEL)
        return np.equal(values, 1.0)

    def series(self, index: SeriesIndex) -> npt.NDArray[np.int64]:
        """Positions (N,) of the series that the cells name; null is an empty name."""
        cells = self._cells
        if pa.types.is_dictionary(cells.type):  # its entries may come in any order, or twice
            cells = cells.cast(cells.type.value_type)
        if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
            raise self._error(f"holds {cells.type}, not names; choose another --series-column")
        encoded = pc.dictionary_encode(cells, null_encoding="encode").combine_chunks()  # entries by first appearance
        codes = encoded.indices.to_numpy()  # (N,)
        names = ["" if cell is None else str(cell) for cell in encoded.dictionary.to_pylist()]
        positions = convert_column(index.positions, names, lambda code: self._place(int(np.argmax(codes == code))))
        return np.asarray(positions[codes], dtype=np.int64)

    def times(self, warn: Warn) -> tuple[Time, str | None]:
        """Times (N,) and their zone."""
        self._refuse(self._cells.is_null().to_numpy(), "every row must have a time")
        if self._type is ColumnType.TIME:
            zone = getattr(self._cells.type, "tz", None)
            return self._timestamps(), "UTC" if zone in ("+00:00", "Z") else zone
        is_text = pa.types.is_string(self._cells.type) or pa.types.is_large_string(self._cells.type)
        if self._type is not ColumnType.NUMBER and not is_text:
            raise self._error(f"holds {self._cells.type}, not times; choose another one with --time-column NAME")
        texts = [str(cell) for cell in self._cells.to_pylist()]
        reader = convert_column(lambda first: time_reader(first[0]), texts[:1], self._place)
        if reader is None:
            warn(f"{self._place(0)}: found {preview(texts[0])}, {NO_INDEX}")
            return np.arange(len(texts)), None
        return convert_column(reader.convert, texts, self._place), reader.timezone

    def _timestamps(self) -> Time:
        try:
            times = self._cells.cast(pa.timestamp("ns"))
        except pa.ArrowInvalid:
            raise self._error(f"holds a time that is out of range; {TIME_OUT_OF_RANGE}") from None
        return np.array(times.to_numpy(), dtype="datetime64[ns]")  # a copy: Arrow's own memory may not be written to

    def _as_floats(self) -> npt.NDArray[np.float64]:
        return np.asarray(self._cells.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)

    def _refuse(self, bad: npt.NDArray[np.bool_], reason: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"{self._place(row)}: found {preview(str(self._cells[row]))}; {reason}")

    def _error(self, sentence: str) -> InputError:
        return InputError(f"{self._file}: column {self._name!r} {sentence}")

    def _place(self, row: int) -> str:
        return f"{self._file}, row {row + 1}, column {self._name!r}"
