"""Query: a DataFrame of series, time and values, of a stream or a table -> detections, incidents and rejected rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from autoencoder.core.errors import InputError
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import Bucket, Kit
from autoencoder.fleet.processor import FleetProcessor, SharedKit, to_output

SLICE_ROWS = 1 << 18  # rows of a bucket that are judged at a time where all are at hand
BUCKET_SERIES = 5_000  # of a bucket: its pieces are one value of Spark's state store, which Java bounds at 2 GB
CHANCE = 5.0  # standard deviations by which a bucket may have more series than others
MAX_NAME = 1000  # characters of a series' name
STATE_STORE = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
SETTINGS = {  # of a session
    "spark.sql.streaming.stateStore.providerClass": STATE_STORE,
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(rows.MAX_PACKED_ROWS),
}


@dataclass(frozen=True)
class Judged:
    """What became of the rows of a DataFrame, as other DataFrames; each is a query of its own unless ``frame`` is persisted."""

    frame: DataFrame
    columns: tuple[str, ...]

    @property
    def detections(self) -> DataFrame:
        """A row a point, as in scores.csv."""
        return self.of(rows.DETECTIONS)

    @property
    def incidents(self) -> DataFrame:
        """Series, first row, status and JSON text of each incident that ended or goes on."""
        return self.of(rows.INCIDENTS)

    @property
    def rejected(self) -> DataFrame:
        """JSON text of each row that cannot be judged, and the reason."""
        return self.of(rows.REJECTED)

    @property
    def reports(self) -> DataFrame:
        """JSON text of what is told of each bucket."""
        return self.frame.where(F.col(rows.KIND) == rows.REPORT).select(F.col(rows.ROWS).cast("string"))

    def of(self, kind: str) -> DataFrame:
        """The rows of that kind."""
        schema = from_arrow_schema(rows.schema_of(kind, self.columns))
        packed = self.frame.where(F.col(rows.KIND) == kind).select(rows.ROWS)
        return packed.mapInArrow(rows.unpacker(kind, self.columns), schema)


def judge(frame: DataFrame, kit: Kit, *, series: str = "series", time: str = "time", buckets: int = 0) -> Judged:
    """Judge the points of many series, of a stream or of a table.

    Args:
        frame: has columns of these names, and those of ``kit.columns``.
        kit: what series are judged with.
        series: column that names a row's series.
        time: column of times.
        buckets: in which series are kept together, a task each; 0: see ``usual_buckets``. A stream keeps them.

    Raises:
        InputError: a column is missing, or holds no times.
    """
    spark = frame.sparkSession
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    buckets = buckets or usual_buckets(spark, streams=frame.isStreaming)
    spark.conf.set("spark.sql.shuffle.partitions", str(buckets))
    packed = normalise(frame, kit.columns, series, time, _numbers(spark, buckets)).mapInArrow(rows.pack, rows.PACKED)
    own, shared = packed.groupBy(rows.BUCKET), SharedKit.of(kit, spark)
    if frame.isStreaming:
        return Judged(own.transformWithState(FleetProcessor(shared), rows.JUDGED, "Append", "None"), kit.columns)
    return Judged(own.applyInArrow(_of_whole(shared), rows.JUDGED), kit.columns)


def usual_buckets(spark: SparkSession, *, streams: bool, series: int = 0) -> int:
    """A bucket for each core, as each costs processor time in every batch of a stream, or four of a table; enough for so many series."""
    cores: int = spark.sparkContext.defaultParallelism
    return max(cores if streams else 4 * cores, -(-series // BUCKET_SERIES))


def room(series: int, buckets: int) -> int:
    """Series of a bucket, where there are so many in all: more than its share, as chance divides them."""
    share = series / buckets
    return math.ceil(share + CHANCE * math.sqrt(share))


def normalise(frame: DataFrame, columns: tuple[str, ...], series: str, time: str, numbers: list[int]) -> DataFrame:
    """Rows as a bucket takes them: its number, the series, microseconds and values; or why a row cannot be judged, and its JSON text."""
    kinds = dict(frame.dtypes)
    for name in (series, time, *columns):
        if name not in kinds:
            raise InputError(f"the rows have no column {name!r}, but {', '.join(map(repr, kinds))}; choose one of these")
    if not kinds[time].startswith(("timestamp", "date", "string")):
        raise InputError(f"column {time!r} is of type {kinds[time]}; give a timestamp, a date, or text that is one")
    name, moment = _column(series).cast("string"), _column(time).try_cast("timestamp")
    values = [_column(column).try_cast("double") for column in columns]
    fault = F.when(name.isNull() | (name == ""), "no series").when(
        F.length(name) > MAX_NAME, "the name of the series is too long"
    )
    fault = fault.when(moment.isNull(), "no time")
    for column, value in zip(columns, values, strict=True):
        is_none = (_column(column).isNotNull() & value.isNull()) | (F.abs(value) == float("inf"))
        fault = fault.when(is_none, f"no number in column {column}")
    text = F.to_json(F.struct(*map(_column, (series, time, *columns))))
    named = [value.alias(field) for value, field in zip(values, rows.value_fields(len(columns)), strict=True)]
    plain = frame.select(
        name.alias("series"), F.unix_micros(moment).alias("time"), *named, fault.alias("reason"), text.alias("row")
    )
    place = F.pmod(F.xxhash64(F.when(F.col("reason").isNull(), F.col("series")).otherwise(F.col("row"))), F.lit(len(numbers)))
    bucket = F.element_at(F.array(*map(F.lit, numbers)), place.cast("int") + 1).alias(rows.BUCKET)
    kept = F.when(F.col("reason").isNotNull(), F.col("row")).alias("row")
    return plain.select(bucket, "series", "time", *rows.value_fields(len(columns)), "reason", kept)


def _column(name: str) -> Any:
    escaped = name.replace("`", "``")
    return F.col(f"`{escaped}`")


def _numbers(spark: SparkSession, buckets: int) -> list[int]:
    """A number for each bucket, which Spark's hash sends to a partition of its own."""
    candidates = spark.range(buckets * 64).select(F.col("id").cast("int").alias("id"))
    each = candidates.groupBy(F.pmod(F.hash("id"), F.lit(buckets))).agg(F.min("id")).collect()
    return sorted(number for _, number in each)


def _of_whole(shared: SharedKit) -> Callable[[pa.Table], pa.Table]:
    """What judges all rows of a bucket, which are at hand."""

    def judge_whole(packed: pa.Table) -> pa.Table:
        kit = shared.kit
        number, bucket = packed[rows.BUCKET][0].as_py(), Bucket(kit)
        table = pa.concat_tables([rows.from_bytes(content.as_py()) for content in packed[rows.ROWS]])
        table = table.sort_by([(name, "ascending") for name in ("time", *rows.value_fields(len(kit.columns)))])
        found: list[dict[str, Any]] = []
        for start in range(0, len(table), SLICE_ROWS):
            began = perf_counter()
            each, report = bucket.process(table.slice(start, SLICE_ROWS))
            report["seconds"] = {"judge": perf_counter() - began}
            found += [row.asDict() for row in to_output(number, rows.packed(each), report)]
        return pa.Table.from_pylist(found, pa.schema({rows.BUCKET: pa.int32(), rows.KIND: pa.string(), rows.ROWS: pa.binary()}))

    return judge_whole
