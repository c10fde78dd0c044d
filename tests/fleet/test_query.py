"""On Spark many series are judged as on one machine, whatever the batches and the partitions; and as a table, too."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import Local, known
from helpers.fleet import lines_of, write_files

from autoencoder.core.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Figures = list[dict[str, Any]]


def follow(
    spark: Any,
    local: Local,
    source: Path,
    place: Path,
    *,
    buckets: int,
    files: int = 1000,
    told: list[str] | None = None,
    versions: Any = None,
    after: Callable[[int], object] = lambda batch: None,
) -> Figures:
    """Judge the files of a folder that are there, so many in a batch, and write below a place; the figures of the batches."""
    from autoencoder.fleet.output import BatchWriter, Output
    from autoencoder.fleet.query import judge

    schema = spark.read.parquet(str(source)).schema
    frame = spark.readStream.schema(schema).option("maxFilesPerTrigger", files).parquet(str(source))
    figures: Figures = []

    def tell(incidents: Sequence[str]) -> None:
        (told if told is not None else []).extend(incidents)

    def on_batch(each: dict[str, Any]) -> None:
        figures.append(each)
        after(each["batch"])

    kit, *before = (versions.begin(local.model()), versions.choose) if versions else (local.kit(),)
    writer = BatchWriter(Output("parquet", {}, str(place / "out"), "test"), ("value",), on_batch, tell, before)
    stream = judge(frame, kit, buckets=buckets).frame.writeStream.foreachBatch(writer)
    query = stream.option("checkpointLocation", str(place / "checkpoint")).trigger(availableNow=True).start()
    query.awaitTermination()
    return figures


def found(place: Path) -> pa.Table:
    """The detections that were written."""
    return pa.concat_tables([pq.read_table(path) for path in sorted((place / "out" / "detections").glob("*/*.parquet"))])


TRIGGERS, BUCKETS = [(1, 1), (2, 1), (5, 2), (5, 1), (8, 1)], (1, 2, 5)  # files, and how many of them make a batch
ALL = [(*trigger, buckets) for trigger in TRIGGERS for buckets in BUCKETS]


@pytest.mark.parametrize(("count", "files", "buckets"), ALL if "FLEET_LONG" in os.environ else ALL[::7])
def test_a_stream_is_judged_as_on_one_machine(
    spark: Any, local: Local, tmp_path: Path, count: int, files: int, buckets: int
) -> None:
    write_files(tmp_path / "in", pq.read_table(local.folder / "rows.parquet"), count)
    told: list[str] = []
    figures = follow(spark, local, tmp_path / "in", tmp_path, buckets=buckets, files=files, told=told)
    assert lines_of(found(tmp_path)) == local.lines
    assert len(figures) == -(-count // files)
    assert figures[-1]["series"] == 12 and figures[-1]["buckets"] == buckets
    newest = {(each["series"], each["first_row"]): each for each in map(json.loads, told)}
    assert {known(each) for each in newest.values()} == local.incidents


def test_a_stream_goes_on_where_it_stood(spark: Any, local: Local, tmp_path: Path) -> None:
    table = pq.read_table(local.folder / "rows.parquet")
    write_files(tmp_path / "in", table.slice(0, 1000), 1)
    follow(spark, local, tmp_path / "in", tmp_path, buckets=2)
    pq.write_table(table.slice(1000), tmp_path / "in" / "later.parquet")
    (figures,) = follow(spark, local, tmp_path / "in", tmp_path, buckets=2)
    assert figures["reloaded"] == 2
    assert lines_of(found(tmp_path)) == local.lines


def test_a_table_is_judged_as_on_one_machine(spark: Any, local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoencoder.fleet import query

    monkeypatch.setattr(query, "SLICE_ROWS", 500)
    judged = query.judge(spark.read.parquet(str(local.folder / "rows.parquet")), local.kit(), buckets=3)
    assert lines_of(judged.detections.toArrow()) == local.lines
    incidents = map(json.loads, judged.incidents.toArrow()["incident"].to_pylist())
    newest = {(each["series"], each["first_row"]): each for each in incidents}
    assert {known(each) for each in newest.values()} == local.incidents


def test_bad_rows_are_told_apart(spark: Any, quick: Local) -> None:
    from autoencoder.fleet.query import judge

    cells = [
        ("s1", "2024-03-01T05:00:00Z", "1.5"),
        ("s1", "2024-03-01T05:01:00Z", None),  # a value that is missing is one
        (None, "2024-03-01T05:00:00Z", "1.5"),
        ("", "2024-03-01T05:00:00Z", "1.5"),
        ("s" * 2000, "2024-03-01T05:00:00Z", "1.5"),
        ("s2", None, "1.5"),
        ("s2", "yesterday noon", "1.5"),
        ("s2", "2024-03-01T05:00:00Z", "much"),
        ("s2", "2024-03-01T05:00:00Z", "Infinity"),
    ]
    frame = spark.createDataFrame(cells, "series string, time string, value string")
    judged = judge(frame, quick.kit(), buckets=2)
    assert sorted(row["series"] for row in judged.detections.toArrow().to_pylist()) == ["s1", "s1"]
    reasons = sorted(row["reason"] for row in judged.rejected.toArrow().to_pylist())
    many = ["no number in column value"] * 2 + ["no series"] * 2 + ["no time"] * 2
    assert reasons == [*many, "the name of the series is too long"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [("series string, time timestamp, amount double", "no column 'value'"), ("series string, time long, value double", "bigint")],
)
def test_columns_that_do_not_fit_are_refused(spark: Any, quick: Local, schema: str, words: str) -> None:
    from autoencoder.fleet.query import judge

    with pytest.raises(InputError, match=words):
        judge(spark.createDataFrame([], schema), quick.kit())


def test_messages_of_kafka_are_json_objects(spark: Any, quick: Local) -> None:
    from autoencoder.fleet.query import judge
    from autoencoder.fleet.source import shaped

    texts = ['{"series": "s1", "time": "2024-03-01T05:00:00Z", "value": 9.5, "more": 1}', '{"series": "s2", "time"', "[]"]
    messages = spark.createDataFrame([(None, text.encode()) for text in texts], "key binary, value binary")
    judged = judge(shaped(messages, "kafka", ("series", "time", "value")), quick.kit(), buckets=2)
    assert judged.detections.toArrow()["series"].to_pylist() == ["s1"]
    assert [row["reason"] for row in judged.rejected.toArrow().to_pylist()] == ["no series", "no series"]


def test_a_checkpoint_of_another_version_or_other_settings_is_refused(spark: Any, quick: Local, tmp_path: Path) -> None:
    from argparse import Namespace

    from autoencoder.core.errors import ResumeError
    from autoencoder.fleet import files
    from autoencoder.fleet.command import _note

    asked = Namespace(checkpoint=str(tmp_path), buckets=2, column=["value"], model="model")
    ours = quick.kit().config
    note = _note(spark, asked, ours)
    assert _note(spark, Namespace(**{**vars(asked), "buckets": 5}), ours) == note  # keeps its buckets
    with pytest.raises(ResumeError, match="was begun with --column value"):
        _note(spark, Namespace(**{**vars(asked), "column": ["other"]}), ours)
    changed = ours.model_copy(update={"threshold": ours.threshold.model_copy(update={"budget": 0.5})})
    with pytest.raises(ResumeError, match=r"threshold\.budget"):
        _note(spark, asked, changed)
    files.write(spark, f"{tmp_path}/fleet.json", json.dumps({**note, "format": 99}).encode())
    with pytest.raises(ResumeError, match="has format 99, this program reads"):
        _note(spark, asked, ours)


@pytest.mark.slow
def test_there_are_buckets_for_the_cores_and_for_the_series(spark: Any) -> None:
    from autoencoder.fleet.query import room, usual_buckets

    assert [usual_buckets(spark, streams=streams) for streams in (True, False)] == [2, 8]
    assert usual_buckets(spark, streams=True, series=100_000) == 20
    shares = np.bincount(np.random.default_rng(0).integers(0, 20, 100_000))  # as a hash divides them
    assert max(shares) < room(100_000, 20) < 1.1 * np.mean(shares)
