"""The command ``fleet``: a model of many series is trained, or judges the rows that Spark reads."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from autoencoder.commands.train import RunOptions, train
from autoencoder.config import Config, dump, load
from autoencoder.config.schema import COLD_START
from autoencoder.console import Console
from autoencoder.core.errors import AutoencoderError, ConfigError, ResumeError, RunError
from autoencoder.core.extras import environment
from autoencoder.core.types import Detections
from autoencoder.factory.runs import make_alerts
from autoencoder.fleet import files, rows
from autoencoder.fleet.bucket import FORMAT, READABLE, Kit
from autoencoder.fleet.notes import sentences
from autoencoder.fleet.output import BatchWriter, Output, sentence
from autoencoder.fleet.query import BUCKET_SERIES, SETTINGS, judge, normalise, room, usual_buckets
from autoencoder.fleet.set_aside import SetAside
from autoencoder.fleet.source import pairs, read
from autoencoder.fleet.versions import Versions, take_place
from autoencoder.interrupts import SignalGuard, Terminated
from autoencoder.models import SavedModel
from autoencoder.pipeline import require_same
from autoencoder.reports.incidents import Incident
from autoencoder.reports.run_folder import CONFIG, RunFolder, has, read_metrics, require_inside
from autoencoder.reports.sinks import Batch

NOTE = "fleet.json"  # in the checkpoint: what it was begun with
NOW = "available-now"
WAIT_SECONDS = 0.5  # between two looks at a stream
LIGHT_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # where batches are small, to optimise costs more than it saves


def fleet(arguments: argparse.Namespace, console: Console) -> int:
    """Train, or judge until the rows are over or the stream is stopped; returns the exit code.

    Raises:
        AutoencoderError: what was asked for cannot be done, or the stream failed.
    """
    with SignalGuard():
        streams = not (arguments.backfill or arguments.what)
        spark = session(arguments.master, quiet=not arguments.verbose, streams=streams)
        try:
            if arguments.what == "train":
                return _train(spark, arguments, console)
            return _run(spark, arguments, console)
        except Terminated as stop:
            console.print(f"{stop or 'told to stop'}; the same command goes on with it")
            return 0
        except PySparkException as error:
            raise _told(error) from error
        finally:
            spark.stop()


def session(master: str | None = None, *, quiet: bool = True, streams: bool = True) -> SparkSession:
    """Spark's session: that of spark-submit, or one in this process that does a task that fails again."""
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise ConfigError("fleet needs Java 17 or 21, and there is no java; install it, e.g. apt install openjdk-17-jre-headless")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.update(environment(OPENBLAS_NUM_THREADS="1"))  # of the workers; see ``__main__``
    builder = SparkSession.builder.appName("autoencoder fleet")
    if "SPARK_ENV_LOADED" not in os.environ and "MASTER" not in os.environ:
        builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
        builder = builder.master(master or f"local[{len(os.sched_getaffinity(0))},4]")
        builder = builder.config("spark.driver.extraJavaOptions", LIGHT_JVM if streams else "")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    builder = builder.config("spark.python.authenticate.socketTimeout", "2m")  # a worker may start late where much goes on
    spark: SparkSession = builder.config("spark.executorEnv.OPENBLAS_NUM_THREADS", "1").getOrCreate()
    if quiet:
        spark.sparkContext.setLogLevel("OFF")
    return spark


# --- judge ---


def _run(spark: SparkSession, arguments: argparse.Namespace, console: Console) -> int:
    config, model = _settings(arguments)
    streams = not arguments.backfill
    arguments.buckets = arguments.buckets or usual_buckets(spark, streams=streams, series=arguments.max_series or 0)
    note = _note(spark, arguments, config) if streams else {"key": os.urandom(16).hex(), "buckets": arguments.buckets}
    max_series = room(arguments.max_series or BUCKET_SERIES * note["buckets"], note["buckets"])

    def kit_of(model: SavedModel) -> Kit:
        return Kit(config, tuple(arguments.column), model, max_series, note["key"])

    def model_at_hand() -> SavedModel:
        changed, found = _settings(arguments)
        require_same(note["settings"], dump(changed))
        return found

    def judged(frame: DataFrame, kit: Kit) -> DataFrame:
        return judge(frame, kit, series=arguments.series_column, time=arguments.time_column, buckets=note["buckets"]).frame

    output = Output(arguments.sink, pairs(arguments.sink_option), arguments.out, note["key"])

    told: set[str] = set()  # kinds of notes

    def tell(figures: dict[str, Any]) -> None:
        console.print(sentence(figures))
        notes = figures.pop("notes")
        figures["notes"] = sentences(notes)
        for each in sentences({kind: note for kind, note in notes.items() if kind not in told}):
            console.print(each)
        told.update(notes)
        if arguments.out:
            name = "backfill" if figures["batch"] is None else f"{figures['batch']:09}"
            files.write(spark, f"{arguments.out}/batches/{name}.json", (json.dumps(figures) + "\n").encode())

    with _alerting(config, arguments, console) as on_incidents:
        writer = BatchWriter(output, tuple(arguments.column), tell, on_incidents)
        if not streams:
            writer(judged(read(spark, arguments, streams=False), kit_of(model)), None)
            return 0
        aside, source = SetAside(spark, arguments.checkpoint), read(spark, arguments, streams=True)
        while True:
            versions = Versions(spark, arguments.checkpoint, model_at_hand, arguments.model, kit_of, console.print)
            frame = judged(aside.without(source), versions.begin(model))
            try:
                return _wait(
                    _start(frame, replace(writer, before=(versions.choose, aside.begin), rejected=aside.rejected), arguments)
                )
            except StreamingQueryException as error:
                if not (file := aside.take(error)):
                    raise
                console.print(f"{file.path} is set aside, with batch {file.batch:,}: {file.fault}")


@contextmanager
def _alerting(
    config: Config, arguments: argparse.Namespace, console: Console
) -> Iterator[Callable[[Sequence[str]], None] | None]:
    """What takes the incidents of a batch as JSON text and sends alerts of them; None where every channel is switched off."""
    alerts = make_alerts(config, console.print)
    if not alerts:
        yield None
        return
    if not arguments.alerts:
        raise ConfigError("alerts wait in a folder of this machine until they are delivered; give --alerts DIR")
    with closing(RunFolder(arguments.alerts, resume=True)) as folder:
        alerts.start(folder, "the fleet", arguments.column)

        def on_incidents(texts: Sequence[str]) -> None:
            records = [json.loads(text) for text in texts]
            of = {
                status: [Incident.from_record(each) for each in records if each["status"] == status]
                for status in ("closed", "open")
            }
            nothing = Detections.unknown(np.empty(0, "datetime64[ns]"), np.empty((0, len(arguments.column))))
            alerts.write(Batch(nothing, of["closed"], of["open"]))
            alerts.flush()  # before Spark takes the batch for done

        try:
            yield on_incidents
        finally:
            alerts.stop()
            for line in alerts.closing_lines():
                console.print(line)


def _start(frame: DataFrame, writer: BatchWriter, arguments: argparse.Namespace) -> StreamingQuery:
    how = {"availableNow": True} if arguments.trigger == NOW else {"processingTime": arguments.trigger}
    return frame.writeStream.foreachBatch(writer).option("checkpointLocation", arguments.checkpoint).trigger(**how).start()


def _wait(query: StreamingQuery) -> int:
    """Wait until a stream is over, or is told to stop: a batch that is cut off is done again by the next start."""
    try:
        while not query.awaitTermination(WAIT_SECONDS):
            pass
    except KeyboardInterrupt:
        query.stop()
        raise
    return 0


def _settings(arguments: argparse.Namespace) -> tuple[Config, SavedModel]:
    """The settings of the model, with those that were given, for workers that have one core each; and the model."""
    file = require_inside(arguments.model, CONFIG) if has(arguments.model, CONFIG) else None
    changes = {"network.threads": 1, "columns.joint": True, "training.newcomers": "own"}
    # as in the checkpoints of streams that began before ``auto``
    changes |= {"adaptation.enabled": False, "adaptation.cold_start_points": COLD_START}
    config = load(arguments.config, changes, arguments.set, saved=file)
    for key, value, usual in (
        ("adaptation.enabled", config.adaptation.enabled, (False, "auto")),
        ("input.transform", config.input.transform, ("auto", "none")),
    ):
        if value not in usual:
            raise ConfigError(f"{key}={value} means nothing to fleet; leave it out")
    model = SavedModel.read(arguments.model, config.detector)
    model.require_columns("the fleet", tuple(arguments.column))
    return config, model


def _note(spark: SparkSession, arguments: argparse.Namespace, config: Config) -> dict[str, Any]:
    """What the checkpoint was begun with; ResumeError where that was something else than is asked for now."""
    path = f"{arguments.checkpoint}/{NOTE}"
    text = files.read(spark, path)
    if text is None:
        note = {"format": FORMAT, "key": os.urandom(16).hex(), "buckets": arguments.buckets}
        note |= {"columns": arguments.column, "settings": dump(config)}
        files.write(spark, path, json.dumps(note).encode())
        return note
    note, anew = json.loads(text), "or begin anew with another --checkpoint"
    if note["format"] not in READABLE:
        raise ResumeError(f"{path} has format {note['format']}, this program reads {FORMAT}; go back to its version, {anew}")
    if note["columns"] != arguments.column:
        raise ResumeError(f"{path} was begun with --column {', '.join(note['columns'])}; give the same, {anew}")
    require_same(note["settings"], dump(config))
    return dict(note)


def _told(error: PySparkException) -> AutoencoderError:
    """What a user is told of an error of Spark: the words of this program, where it was one of its own, or the first line."""
    text = str(error)
    for line in text.splitlines():
        name, found, words = line.partition("Error: ")
        if found and name.startswith("autoencoder.core.errors."):
            return RunError(words)
    if match := re.search(r"\[FAILED_READ_FILE[^]]*\] (.*)", text):
        again = "the same command goes on without it once it is taken away"
        return RunError(f"{match[1].partition(' SQLSTATE')[0]} This file is not like the others; {again}")
    message = " ".join(text.strip().split("\n")[0].split())
    return RunError(f"Spark: {message}; --verbose shows more")


# --- train ---


def _train(spark: SparkSession, arguments: argparse.Namespace, console: Console) -> int:
    """Train one network on the newest points of some of the series, chosen by the hash of their names.

    A model that lies in the folder already is replaced by the new one, which streams that use it take up.
    """
    columns, frame = tuple(arguments.column), read(spark, arguments, streams=False)
    points = normalise(frame, columns, arguments.series_column, arguments.time_column, [0]).where(F.col("reason").isNull())
    some = points.select("series").distinct().orderBy(F.xxhash64("series"), "series").limit(arguments.sample_series)
    age = F.row_number().over(Window.partitionBy("series").orderBy(F.col("time").desc()))
    newest = points.join(F.broadcast(some), "series").withColumn("age", age).where(F.col("age") <= arguments.sample_points)
    named = [F.col(field).alias(name) for field, name in zip(rows.value_fields(len(columns)), columns, strict=True)]
    table = newest.orderBy("time", "series").select("series", F.timestamp_micros("time").alias("time"), *named).toArrow()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.parquet"
        pq.write_table(table, path)
        source = {"source": "csv", "csv.path": str(path), "csv.series_column": "series", "csv.time_column": "time"}
        config = load(arguments.config, {**source, "csv.columns": list(columns), "columns.joint": True}, arguments.set)
        model: Path = arguments.model
        if read_metrics(model).get("status") != "trained":
            return train(config, RunOptions(model), console)
        draft = model.with_name(f".{model.name}.{os.getpid()}")
        train(config, RunOptions(draft, name=model), console)
        is_new = take_place(model, draft, config.detector)
        told = "took the place of the one before; streams that use it take it up with their next batch"
        console.print(f"{model}: the model {told if is_new else 'is the same as before'}")
        return 0
