"""Rows: tables of Arrow that travel as bytes, points in and detections, incidents and rejected rows out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoencoder.core.types import Array, Bools, Detections, Integers
from autoencoder.reports.incidents import Incident
from autoencoder.reports.scores_csv import header

BUCKET, KIND, ROWS = "bucket", "kind", "rows"  # columns of packed rows: whose they are, what they are, and the rows as bytes
PACKED = f"{BUCKET} int, {ROWS} binary"
JUDGED = f"{BUCKET} int, {KIND} string, {ROWS} binary"
DETECTIONS, INCIDENTS, REJECTED = "detections", "incidents", "rejected"  # kinds
REPORT = "report"  # kind of what is told of a bucket, whose rows are JSON text
MAX_PACKED_ROWS = 1 << 18  # of a partition that are collected before they are packed

_TIME = pa.timestamp("us", "UTC")
_INCIDENTS = {"series": pa.string(), "first_row": pa.int64(), "status": pa.string(), "incident": pa.string()}
_REJECTED = {"reason": pa.string(), "row": pa.string()}


def value_fields(count: int) -> list[str]:
    """Names of so many columns of values; those of a user could be anything."""
    return [f"value_{place}" for place in range(count)]


def schema_of(kind: str, columns: Sequence[str]) -> pa.Schema:
    """Columns of the rows of that kind, where points have these columns of values."""
    if kind == DETECTIONS:
        types = {"time": _TIME, "anomaly": pa.bool_(), "series": pa.string()}
        return pa.schema([(name, types.get(name, pa.float64())) for name in header(tuple(columns), of_many=True)])
    return pa.schema({INCIDENTS: _INCIDENTS, REJECTED: _REJECTED}[kind])


class Points(NamedTuple):
    """Points of several series, ordered by series and time."""

    names: list[str]  # of the series
    series: Integers  # (N,) positions in ``names``
    time: Integers  # (N,) microseconds
    values: Array  # (N, F)

    @staticmethod
    def of(table: pa.Table, columns: int) -> Points:
        """The rows of a table; what ties them, the values do."""
        names = pc.unique(table["series"]).sort()
        series = pc.index_in(table["series"], names).to_numpy().astype(np.int64)
        time = table["time"].to_numpy()
        values = np.stack([table[name].to_numpy().astype(np.float64) for name in value_fields(columns)], axis=1)
        order = np.lexsort((*values.T[::-1], time, series))
        return Points(names.to_pylist(), series[order], time[order], values[order])

    def where(self, kept: Bools) -> Points:
        """Those at which ``kept`` (N,) is true."""
        return Points(self.names, self.series[kept], self.time[kept], self.values[kept])

    def table(self) -> pa.Table:
        """The rows of a table."""
        series = pa.array(self.names, pa.string()).take(self.series)
        values = dict(zip(value_fields(self.values.shape[1]), self.values.T, strict=True))
        return pa.table({"series": series, "time": self.time, **values})


def to_bytes(table: pa.Table, compression: str | None = None) -> bytes:
    """A table as bytes, compressed in that way."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def from_bytes(content: bytes) -> pa.Table:
    """The table that ``to_bytes`` was given."""
    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        return reader.read_all()


def packed(tables: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """Tables by kind as bytes, without those that are empty."""
    return {kind: to_bytes(table) for kind, table in tables.items() if len(table)}


def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows with a column of buckets -> one row for each bucket with its rows as bytes."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= MAX_PACKED_ROWS:
            yield _packed(waiting)
            waiting = []
    if waiting:
        yield _packed(waiting)


def _packed(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches).combine_chunks()
    buckets = table[BUCKET].to_numpy()
    order = np.argsort(buckets, kind="stable")
    table, buckets = table.drop([BUCKET]).take(order).combine_chunks(), buckets[order]
    first = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1)) if len(buckets) else np.empty(0, np.int64)
    ends = [*first[1:].tolist(), len(buckets)]
    parts = [to_bytes(table.slice(start, end - start)) for start, end in zip(first.tolist(), ends, strict=False)]
    arrays = [pa.array(buckets[first], pa.int32()), pa.array(parts, pa.binary())]
    return pa.RecordBatch.from_arrays(arrays, [BUCKET, ROWS])


def unpacker(kind: str, columns: Sequence[str]) -> partial[Iterator[pa.RecordBatch]]:
    """What turns packed rows of that kind into these rows, see ``unpack``."""
    return partial(unpack, schema_of(kind, columns))


def unpack(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows as bytes -> the rows."""
    for batch in batches:
        for content in batch.column(ROWS):
            yield from from_bytes(content.as_py()).cast(schema).to_batches()


def detections_table(detections: Detections, series: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Detections (N,) of points of series (N,), unknown numbers as nulls."""
    arrays = [
        pa.array(detections.time.astype("datetime64[us]").astype(np.int64)).cast(_TIME),
        *(pa.array(column, from_pandas=True) for column in detections.numbers),
        pa.array(detections.anomalies),
        pa.array(series, pa.string()),
    ]
    return pa.Table.from_arrays(arrays, schema=schema_of(DETECTIONS, columns))


def incidents_table(closed: Sequence[Incident], is_open: Sequence[Incident]) -> pa.Table:
    """Incidents that ended and that go on; series and first row tell one from all others, whatever else it is numbered."""
    each = [(one, "closed") for one in closed] + [(one, "open") for one in is_open]
    records = [
        {"series": one.series, "first_row": one.first_row, "status": status, "incident": one.to_json(status)}
        for one, status in each
    ]
    return pa.Table.from_pylist(records, pa.schema(_INCIDENTS))


def rejected_table(reasons: Sequence[str], rows: Sequence[str]) -> pa.Table:
    """Rows as JSON text, and why each is not judged."""
    return pa.Table.from_arrays([pa.array(reasons, pa.string()), pa.array(rows, pa.string())], schema=pa.schema(_REJECTED))
