"""Output: where the batches of a stream are written, each once, whatever is done again after a failure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from autoencoder.fleet import rows
from autoencoder.fleet.notes import gather
from autoencoder.fleet.query import Judged
from autoencoder.reports.wording import number_of

FILES = ("parquet", "csv", "json", "orc", "avro")  # formats whose batches are folders
FILE_ROWS = 1 << 18  # of a file; a task for each bucket would cost more than the rows of a small batch
KINDS = (rows.DETECTIONS, rows.INCIDENTS, rows.REJECTED)


@dataclass(frozen=True)
class Output:
    """Writes detections, incidents and rejected rows, each to a place of its own.

    A batch of files is a folder, which replaces what a failure has left of it; Delta Lake is told the batch's number, so that it takes none
    twice. What else there is, such as a topic of Kafka, may hold some rows twice after a failure.

    Attributes:
        format: Spark's name of it.
        options: of Spark's writer.
        folder: below which each kind has its own; None where the options say it all.
        stream: tells the stream from others.
    """

    format: str
    options: Mapping[str, str]
    folder: str | None
    stream: str

    def write(self, kind: str, frame: DataFrame, number: int | None) -> None:
        """Write the rows of a kind in that batch, or of a whole table."""
        if self.format == "kafka":
            frame = frame.select(F.lit(kind).alias("key"), F.to_json(F.struct("*")).alias("value"))
        writer = frame.write.format(self.format).options(**self.options)
        if self.folder is None:
            writer.mode("append").save()
            return
        path = f"{self.folder}/{kind}"
        if self.format in FILES:
            writer.mode("overwrite").save(path if number is None else f"{path}/batch={number}")
        else:
            each = {} if number is None else {"txnAppId": f"{self.stream}-{kind}", "txnVersion": str(number)}
            writer.options(**each).mode("append").save(path)


@dataclass(frozen=True)
class BatchWriter:
    """Writes what became of a batch, and tells how it went; what ``foreachBatch`` calls.

    Attributes:
        output: where to.
        columns: of the values.
        on_batch: given the figures of each batch.
        before: each given the number of a batch before it is judged.
        rejected: of each batch, by its number, further rejected rows: their reasons and JSON text.
        on_incidents: given the JSON text of its incidents; None where nobody asks.
    """

    output: Output
    columns: tuple[str, ...]
    on_batch: Callable[[dict[str, Any]], None]
    on_incidents: Callable[[Sequence[str]], None] | None = None
    before: Sequence[Callable[[int], None]] = ()
    rejected: Callable[[int], list[tuple[str, str]]] = lambda number: []

    def __call__(self, frame: DataFrame, number: int | None) -> None:
        """The rows of a batch come, or all where there is no number."""
        if number is not None:
            for tell in self.before:
                tell(number)
        began, judged = time.perf_counter(), Judged(frame.persist(), self.columns)
        try:
            reports = [json.loads(text) for (text,) in judged.reports.collect()]  # judges: the others read what it leaves
            done = time.perf_counter()
            further = [] if number is None else self.rejected(number)
            counts = {kind: sum(report[kind] for report in reports) for kind in KINDS}
            counts[rows.REJECTED] += len(further)
            for kind, count in counts.items():
                if count:
                    found = Judged(judged.frame.coalesce(-(-count // FILE_ROWS)), self.columns).of(kind)
                    if kind == rows.REJECTED and further:
                        found = found.unionByName(found.sparkSession.createDataFrame(further, found.schema))
                    self.output.write(kind, found, number)
            if self.on_incidents and any(report[rows.INCIDENTS] for report in reports):
                self.on_incidents([text for (text,) in judged.incidents.select("incident").collect()])
            seconds = {"judging": done - began, "writing": time.perf_counter() - done}
            self.on_batch(summary(reports, number, seconds) | counts)
        finally:
            judged.frame.unpersist()


def summary(reports: Sequence[Mapping[str, Any]], number: int | None, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The figures of a batch from those of its buckets; seconds of workers are added up, those of the driver are on the clock."""
    totals = {key: sum(report[key] for report in reports) for key in KINDS}
    last = {report["bucket"]: report for report in reports}.values()
    newest = max((report["newest"] for report in reports if report["newest"] is not None), default=None)
    parts = {part: sum(report["seconds"].get(part, 0.0) for report in reports) for part in ("load", "judge", "save")}
    return {
        "batch": number,
        **totals,
        "series": sum(report["series"] for report in last),
        "buckets": len(last),
        "reloaded": sum(report.get("reloaded", False) for report in last),
        "state_bytes": sum(report.get("state_bytes", 0) for report in last),
        "lag_seconds": None if newest is None else round(time.time() - newest / 1e6, 3),
        "seconds": {name: round(value, 3) for name, value in {**parts, **seconds}.items()},
        "notes": gather((note, count) for report in reports for note, count in report["notes"].values()),
    }


def sentence(figures: Mapping[str, Any]) -> str:
    """The figures of a batch in a line."""
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in figures["seconds"].items())
    which = "" if figures["batch"] is None else f"batch {figures['batch']:,}: "
    bad = f", {figures[rows.REJECTED]:,} rejected" if figures[rows.REJECTED] else ""
    return (
        f"{which}{number_of(figures[rows.DETECTIONS], 'row')}{bad}, {figures['series']:,} series of "
        f"{number_of(figures['buckets'], 'bucket')}, {number_of(figures[rows.INCIDENTS], 'incident')}, "
        f"{figures['state_bytes']:,} bytes of state; {seconds}"
    )
