"""Small files beside a stream, wherever Spark can read and write."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from autoencoder.core.errors import RunError


def read(spark: SparkSession, path: str) -> bytes | None:
    """The content of a file; None where there is none."""
    system, place = _at(spark, path)
    if not system.exists(place):
        return None
    stream = system.open(place)
    try:
        return bytes(stream.readAllBytes())
    finally:
        stream.close()


def write(spark: SparkSession, path: str, content: bytes) -> None:
    """Write a file, which is there as a whole or not at all."""
    system, place = _at(spark, path)
    draft = place.suffix(".part")
    stream = system.create(draft, True)
    try:
        stream.write(content)
    finally:
        stream.close()
    system.delete(place, False)
    if not system.rename(draft, place):
        raise RunError(f"{path} cannot be written; see that the folder is there and yours")


def names(spark: SparkSession, folder: str) -> list[str]:
    """Names of the whole files in a folder, in order; none where there is no folder."""
    system, place = _at(spark, folder)
    found = [str(each.getPath().getName()) for each in system.listStatus(place)] if system.exists(place) else []
    return sorted(name for name in found if not name.startswith(".") and not name.endswith(".part"))


def _at(spark: SparkSession, path: str) -> tuple[Any, Any]:
    context = spark.sparkContext
    assert context._jvm
    place = context._jvm.org.apache.hadoop.fs.Path(path)
    return place.getFileSystem(context._jsc.hadoopConfiguration()), place
