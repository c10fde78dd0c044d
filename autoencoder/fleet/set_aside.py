"""Files of a stream of which a column has another type than in the others: set aside, told, and never opened again.

A file that cannot be read for another reason ends the stream: the disk or the network may be well again later.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from autoencoder.fleet import files

LIST = "set_aside.json"  # in the checkpoint
REASON = "a file of another schema"
_FAULT = re.compile(r"\[FAILED_READ_FILE\.PARQUET_COLUMN_DATA_TYPE_MISMATCH\] .*?reading file (\S+)\. (.*?) SQLSTATE")


@dataclass(frozen=True)
class File:
    """A file that was set aside."""

    path: str
    fault: str  # the column, in Spark's words
    batch: int  # to which it belongs


class SetAside:
    """The files of a stream that are set aside; a batch that failed for one of them is done again without it.

    Args:
        spark: session of the stream.
        checkpoint: its folder.
    """

    def __init__(self, spark: SparkSession, checkpoint: str) -> None:
        self._spark, self._place, self._batch = spark, f"{checkpoint}/{LIST}", -1
        self._files = [File(**each) for each in json.loads(files.read(spark, self._place) or b"[]")]

    def without(self, frame: DataFrame) -> DataFrame:
        """What Spark reads, but for the files that are set aside, which it leaves out by their names before it opens any."""
        paths = [each.path.replace(":///", ":/", 1) for each in self._files]  # as Hadoop writes those of no host
        return frame.where(~F.col("_metadata.file_path").isin(paths)) if paths else frame

    def begin(self, number: int) -> None:
        """A batch is to be judged."""
        self._batch = number

    def take(self, error: PySparkException) -> File | None:
        """Set aside the file for which the batch failed; None where it failed for something else."""
        match = _FAULT.search(str(error))
        if not match or self._batch < 0 or any(each.path == match[1] for each in self._files):
            return None
        self._files.append(File(match[1], match[2], self._batch))
        files.write(self._spark, self._place, json.dumps([asdict(each) for each in self._files]).encode())
        return self._files[-1]

    def rejected(self, number: int) -> list[tuple[str, str]]:
        """Reason and JSON text of each file of that batch, as of a rejected row."""
        return [(REASON, json.dumps({"file": each.path, "fault": each.fault})) for each in self._files if each.batch == number]
