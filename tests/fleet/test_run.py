"""The command fleet on what goes wrong, and what it tells of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import Local, fleet
from helpers.fleet import lines_of
from helpers.webhook_server import VARIABLE, WebhookServer, isolate

from autoencoder.core.errors import InputError, OutputError, RunError
from autoencoder.models import SavedModel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def put(folder: Path, number: int, table: pa.Table, name: str = "") -> None:
    """A file that Spark reads as that one."""
    folder.mkdir(exist_ok=True)
    path = folder / (name or f"{number}.parquet")
    pq.write_table(table, path)
    os.utime(path, (number, number))


def test_a_stream_goes_on_whatever_its_files_bring(spark: Any, quick: Local, tmp_path: Path) -> None:
    table = pq.read_table(quick.folder / "rows.parquet").slice(0, 240)
    part = [table.slice(24 * number, 24) for number in range(10)]
    put(tmp_path / "in", 1, part[0])
    put(tmp_path / "in", 2, part[1].rename_columns(["series", "time", "amount"]))
    put(tmp_path / "in", 3, part[2].rename_columns(["host", "time", "value"]))
    put(tmp_path / "in", 4, part[3].set_column(2, "value", part[3]["value"].cast(pa.string())), "4th, 100 %.parquet")
    put(tmp_path / "in", 5, part[4])
    (tmp_path / "in" / "6.parquet").write_bytes(b"no parquet")
    source = ("--format", "parquet", "--option", f"path={tmp_path / 'in'}", "--option", "maxFilesPerTrigger=1")
    places = ("--model", quick.folder / "model", "--out", tmp_path / "out", "--checkpoint", tmp_path / "state")
    schema = ("--schema", "series string, time timestamp, value double", "--trigger", "available-now")
    with pytest.raises(RunError, match=r"6\.parquet.*the same command goes on without it once it is taken away"):
        fleet(spark, *source, *places, *schema)
    (tmp_path / "in" / "6.parquet").unlink()
    fleet(spark, *source, *places, *schema)
    batches = [json.loads(path.read_text()) for path in sorted((tmp_path / "out" / "batches").glob("*.json"))]
    assert [(each["detections"], each["rejected"]) for each in batches] == [(24, 0), (24, 0), (0, 24), (0, 1), (24, 0), (0, 0)]
    assert [bool(each["notes"]) for each in batches] == [False, True, False, False, False, False]
    assert "most have no value: was a column renamed?" in batches[1]["notes"][0]
    rejected = pa.concat_tables([pq.read_table(path) for path in (tmp_path / "out" / "rejected").glob("*/*.parquet")])
    of = {reason: json.loads(row) for reason, row in zip(*rejected.to_pydict().values(), strict=True)}
    assert of.keys() == {"no series", "a file of another schema"} and of["no series"]["value"]
    file = of["a file of another schema"]
    assert file["file"].endswith("/in/4th,%20100%20%25.parquet") and "column [value]" in file["fault"]


def test_files_of_another_schema_cost_no_row_of_the_others(spark: Any, quick: Local, tmp_path: Path) -> None:
    table = pq.read_table(quick.folder / "rows.parquet").slice(0, 240)
    for number in range(10):
        part = table.slice(24 * number, 24)
        put(tmp_path / "in", number, part.set_column(2, "value", part["value"].cast(pa.string())) if number in (4, 7) else part)
    source = ("--format", "parquet", "--option", f"path={tmp_path / 'in'}", "--option", "maxFilesPerTrigger=5")
    places = ("--model", quick.folder / "model", "--out", tmp_path / "out", "--checkpoint", tmp_path / "state")
    told = fleet(spark, *source, *places, "--schema", "series string, time timestamp, value double", "--trigger", "available-now")
    assert "4.parquet is set aside, with batch 0: " in told and "7.parquet is set aside, with batch 1: " in told
    batches = [json.loads(path.read_text()) for path in sorted((tmp_path / "out" / "batches").glob("*.json"))]
    assert [(each["detections"], each["rejected"]) for each in batches] == [(96, 1), (96, 1)]
    assert not (tmp_path / "state" / "schema.json").exists()
    put(tmp_path / "in", 11, table.slice(96, 24))  # rows of the first that was set aside, which are too late now
    fleet(spark, *source, *places, "--schema", "series string, time timestamp, value double", "--trigger", "available-now")
    assert (tmp_path / "out" / "rejected" / "batch=2").exists()


def test_the_first_files_say_which_schema_is_usual(spark: Any, quick: Local, tmp_path: Path) -> None:
    table = pq.read_table(quick.folder / "rows.parquet").slice(0, 96)
    source = ("--format", "parquet", "--option", f"path={tmp_path / 'in'}", "--trigger", "available-now")
    places = ("--model", quick.folder / "model", "--out", tmp_path / "out", "--checkpoint", tmp_path / "state")
    put(tmp_path / "in", 5, table.slice(0, 24).rename_columns(["host", "moment", "value"]))
    with pytest.raises(InputError, match="the rows have no column"):  # of a stream that did not begin
        fleet(spark, *source, *places)
    put(tmp_path / "in", 5, table.slice(0, 24))
    fleet(spark, *source, *places)
    put(tmp_path / "in", 1, table.slice(24, 24).set_column(2, "value", table["value"].slice(24, 24).cast(pa.string())))
    put(tmp_path / "in", 6, table.slice(48, 24))
    assert "1.parquet is set aside, with batch 1: " in fleet(spark, *source, *places)
    batches = [json.loads(path.read_text()) for path in sorted((tmp_path / "out" / "batches").glob("*.json"))]
    assert [(each["detections"], each["rejected"]) for each in batches] == [(24, 0), (24, 1)]


def test_a_cell_that_is_no_number_is_rejected_and_not_a_gap(spark: Any, quick: Local, tmp_path: Path) -> None:
    lines = [
        '{"series": "s1", "time": "2024-03-01T05:00:00Z", "value": 1.5}',
        '{"series": "s1", "time": "2024-03-01T05:01:00Z", "value": "x"}',
    ]
    (tmp_path / "rows.json").write_text("\n".join([*lines, "{"]))
    source = ("--format", "json", "--option", f"path={tmp_path / 'rows.json'}", "--backfill", "--sink", "json")
    fleet(spark, *source, "--model", quick.folder / "model", "--out", tmp_path / "out")
    texts = [text for path in (tmp_path / "out" / "rejected").glob("*.json") for text in path.read_text().splitlines()]
    assert sorted(json.loads(text)["reason"] for text in texts) == ["no number in column value", "no series"]


def test_many_notes_of_a_kind_are_told_in_one_line(spark: Any, quick: Local, tmp_path: Path) -> None:
    source = ("--format", "parquet", "--option", f"path={quick.folder / 'training.parquet'}", "--backfill")
    told = fleet(spark, *source, "--model", quick.folder / "model", "--out", tmp_path / "out").splitlines()
    notes = [line for line in told if "the window fills anew" in line]
    assert len(notes) == 1 and notes[0].endswith("the window fills anew (and 10 more like it)")


def test_alerts_of_incidents_are_delivered_once(
    spark: Any, quick: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(monkeypatch, tmp_path)
    table = pq.read_table(quick.folder / "rows.parquet")
    put(tmp_path / "in", 1, table.slice(0, 1500))
    put(tmp_path / "in", 2, table.slice(1500))
    source = (
        "--format",
        "parquet",
        "--option",
        f"path={tmp_path / 'in'}",
        "--option",
        "maxFilesPerTrigger=1",
        "--trigger",
        "available-now",
    )
    places = (
        "--model",
        quick.folder / "model",
        "--out",
        tmp_path / "out",
        "--checkpoint",
        tmp_path / "state",
        "--alerts",
        tmp_path / "alerts",
    )
    with WebhookServer() as server:
        monkeypatch.setenv(VARIABLE, server.url())
        fleet(spark, *source, *places, "--set", "alerts.webhook.enabled=true")
        (tmp_path / "state" / "commits" / "1").unlink()  # as a kill would have left it
        (tmp_path / "state" / "commits" / ".1.crc").unlink()
        fleet(spark, *source, *places, "--set", "alerts.webhook.enabled=true")
        delivered = server.delivered
    opened = {
        (each.body["incident"]["series"], each.body["incident"]["start"]) for each in delivered if each.body["event"] == "opened"
    }
    assert opened == {(each[0], each[1]) for each in quick.incidents if each[-1]}
    assert len({each.key for each in delivered}) == len(delivered)
    found = [pq.read_table(path) for path in sorted((tmp_path / "out" / "detections").glob("*/*.parquet"))]
    assert lines_of(pa.concat_tables(found)) == quick.lines


def test_a_model_that_is_trained_again_takes_the_place_of_the_other(spark: Any, quick: Local, tmp_path: Path) -> None:
    folder, table = tmp_path / "model", pq.read_table(quick.folder / "training.parquet")
    for number, rows in enumerate((table, table, table.slice(0, 2000))):
        put(tmp_path / f"in{number}", 1, rows)
        source = ("--format", "parquet", "--option", f"path={tmp_path / f'in{number}'}", "--set", "detector=windowed_gaussian")
        told = fleet(spark, "train", *source, "--model", folder)
        words = ("use it with --model", "the model is the same as before", "the model took the place of the one before")[number]
        assert words in told and f"--model {folder}" in told
    lineage = json.loads((folder / "lineage.json").read_text())
    assert len(set(lineage)) == 2 and lineage[-1] == SavedModel.read(folder, "windowed_gaussian").digest
    assert [path.name for path in tmp_path.iterdir() if "model" in path.name] == ["model"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match="is not empty"):
        fleet(spark, "train", *source, "--model", tmp_path / "mine")
