"""Source: what Spark reads, as rows with columns of series, times and values."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from autoencoder.core.errors import ConfigError
from autoencoder.fleet import files
from autoencoder.fleet.output import FILES

SCHEMA = "schema.json"  # in the checkpoint: of the files, where none is given


def read(spark: SparkSession, arguments: argparse.Namespace, *, streams: bool) -> DataFrame:
    """The rows that are asked for, with the columns of series, times and values."""
    options = {"ignoreMissingFiles": "true"} | pairs(arguments.option)  # one that cannot be read may be taken away
    if arguments.format == "csv":
        options = {"header": "true", "enforceSchema": "false"} | options  # a file with other columns is no table of these
    reader = (spark.readStream if streams else spark.read).format(arguments.format).options(**options)
    names = (arguments.series_column, arguments.time_column, *arguments.column)
    if arguments.schema:
        reader = reader.schema(arguments.schema)
    elif arguments.format == "json":  # cells are read as those of csv files: one that is no number does not become a gap
        reader = reader.schema(_texts(names))
    elif arguments.format in FILES and streams:
        reader = reader.schema(_schema(spark, arguments, options))
    return shaped(reader.load(), arguments.format, names)


def _schema(spark: SparkSession, arguments: argparse.Namespace, options: Mapping[str, str]) -> StructType:
    """The schema of the files that were there when the first batch began: one that differs comes later, whatever its name."""
    place = f"{arguments.checkpoint}/{SCHEMA}"
    text = files.read(spark, place)
    if text is not None and files.names(spark, f"{arguments.checkpoint}/offsets"):  # else the command may have been wrong
        return StructType.fromJson(json.loads(text))
    schema = spark.read.format(arguments.format).options(**options).load().schema
    files.write(spark, place, schema.json().encode())
    return schema


def shaped(frame: DataFrame, format_: str, names: Sequence[str]) -> DataFrame:
    """What Spark reads in that format as rows with columns of these names."""
    if format_ == "kafka":  # JSON objects, whose cells are read as those of csv files
        return frame.select(F.from_json(F.col("value").cast("string"), _texts(names)).alias("row")).select("row.*")
    if format_ == "rate":  # Spark's own source for tries: ten series that count
        series = F.concat(F.lit("series-"), F.pmod("value", F.lit(10)))
        return frame.select(series.alias("series"), F.col("timestamp").alias("time"), "value")
    return frame


def _texts(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}` string" for name in names)


def pairs(texts: list[str]) -> dict[str, str]:
    """Options as they are typed; ConfigError where one is no KEY=VALUE."""
    pairs = [text.partition("=") for text in texts]
    if wrong := next((key for key, is_pair, _ in pairs if not is_pair or not key), None):
        raise ConfigError(f"--option {wrong!r} is no KEY=VALUE; give e.g. --option path=DIR")
    return {key: value for key, _, value in pairs}
