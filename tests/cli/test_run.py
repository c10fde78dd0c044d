"""What a run says and leaves, where it may leave it, and the same detections from every source."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import FOREST, GAUSSIAN, QUIET, ROOT, Program, Run, wave, write_csv
from helpers.yahoo_server import YahooServer

from autoencoder.core.errors import OutputError
from autoencoder.reports.run_folder import RESULTS, RunFolder

COLUMNS = ["time", "value", "prediction", "error", "threshold", "score", "anomaly"]
MACHINE_TALK = re.compile(
    r"tensorflow|absl|oneDNN|cuda|WARNING|INFO|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |Traceback", re.MULTILINE
)


def test_a_run_writes_its_files(lstm_run: Run) -> None:
    folder, outcome = lstm_run
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert not MACHINE_TALK.search(outcome.err), outcome.err
    assert {path.name for path in folder.iterdir()} == set(RESULTS) - {"adaptations.jsonl", "columns.png"}
    first, *_, last = outcome.err.splitlines()
    assert first == "synthetic: 3,000 points, 1,500 of them trained on, 1,500 judged"
    assert last.startswith("run: scores.csv, ")
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    found = cli.metrics(folder)
    assert found["status"] == "done"
    assert found["counts"]["points"] == 3000
    assert found["quality"]["known_anomalies"] > 0
    assert {"start", "import", "training", "scoring", "picture", "total"} <= set(found["seconds"])
    assert found["training"]["validation_loss"] > 0


def test_scores_hold_a_row_for_every_point(program: Program, table: Path) -> None:
    assert program("--source", "csv", "--path", table, "--out", "o", *FOREST).code == 0
    scored = cli.rows(Path("o"))
    given = [line.split(",") for line in table.read_text().splitlines()[1:]]
    assert list(scored[0]) == COLUMNS
    assert [[row["time"], float(row["value"])] for row in scored] == [[time, float(value)] for time, value in given]
    for row in scored[:100]:  # a quarter of a bounded source trains
        assert [row[name] for name in COLUMNS[2:]] == ["", "", "", "", "0"]
    for row in scored[100:]:
        assert all(row.values())
        assert 0 <= float(row["score"]) <= 1 and not row["score"].startswith("-")
        assert row["anomaly"] == str(int(float(row["error"]) > float(row["threshold"])))


def test_incidents_cover_the_flagged_rows(program: Program) -> None:
    program("--out", "o", *FOREST, "--set", "threshold.budget=0.01")
    flagged = [row for row, scores in enumerate(cli.rows(Path("o"))) if scores["anomaly"] == "1"]
    found = cli.incidents(Path("o"))
    assert flagged and found
    assert [incident["id"] for incident in found] == list(range(1, len(found) + 1))
    covered = [row for incident in found for row in flagged if incident["first_row"] <= row <= incident["last_row"]]
    assert covered == flagged
    assert sum(incident["n_points"] for incident in found) == len(flagged)
    assert cli.metrics(Path("o"))["counts"]["incidents"] == len(found)


def test_missing_values_are_rows_without_a_detection(program: Program) -> None:
    whole = wave(400)
    gaps = [120, 121, 250, 251, 252, 399]
    gappy: list[object] = [*whole]
    for place, text in zip(gaps, ["", "nan", "NA", "null", "-", "None"], strict=True):
        gappy[place] = text
    write_csv(Path("gaps.csv"), range(400), gappy, header="time,value")
    write_csv(Path("whole.csv"), range(400), whole, header="time,value")
    for name in ("gaps", "whole"):
        outcome = program("--source", "csv", "--path", f"{name}.csv", "--out", name, *FOREST, "--set", "training.points=150")
        assert outcome.code == 0
        assert ("6 missing" in outcome.err) == (name == "gaps")
    scored = cli.rows(Path("gaps"))
    assert len(scored) == 400
    for place in gaps:
        assert [*scored[place].values()] == [str(place), "", "", "", "", "", "0"]
    pairs = [pair for place, pair in enumerate(zip(scored, cli.rows(Path("whole")), strict=True)) if place not in gaps]
    assert all((row["value"], row["score"] == "") == (other["value"], other["score"] == "") for row, other in pairs)
    assert sum(row["anomaly"] != other["anomaly"] for row, other in pairs) <= 4


@pytest.mark.parametrize("detector", ["isolation_forest", "isolation_forest_sliding"])
def test_parquet_and_odd_paths_are_read(program: Program, tmp_path: Path, detector: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "sp ace, ünï ☃.parquet"
    pq.write_table(pa.table({"timestamp": np.arange(400).astype("datetime64[D]"), "value": wave(400)}), path)
    outcome = program("--source", "csv", "--path", path, "--out", "öut ☃/o o", *FOREST, "--detector", detector)
    assert outcome.code == 0
    assert outcome.err.startswith("sp ace, ünï ☃.parquet: 400 points")
    assert cli.rows(Path("öut ☃/o o"))[1]["time"] == "1970-01-02T00:00:00"


def test_the_default_folder_has_time_and_source(program: Program) -> None:
    points = ("--set", "synthetic.points=500")
    assert program(*FOREST, *points).code == program(*FOREST, *points).code == 0
    names = sorted(path.name for path in Path("runs").iterdir())
    assert len(names) == 2
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-synthetic(-2)?", name) for name in names)


def test_seed_and_settings_decide_the_detections(program: Program) -> None:
    settings = ("--set", "threshold.budget=0.02", "--set", "synthetic.points=2000")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        program("--out", name, *FOREST, *settings, "--seed", seed)
    assert program("--config", "a/config.yaml", "--out", "d").code == 0  # a saved one repeats the run
    a, b, c, d = (Path(name, "scores.csv").read_bytes() for name in "abcd")
    assert a == b == d != c


def test_known_labels_are_measured(program: Program, tmp_path: Path) -> None:
    values = wave(400)
    values[300] += 60
    labels = [int(index == 300) for index in range(400)]
    table = write_csv(tmp_path / "labelled.csv", values, labels, header="value,broken")
    arguments = ("--column", "value", "--label-column", "broken", "--out", "o", *QUIET)
    outcome = program("--source", "csv", "--path", table, *arguments, "--detector", "windowed_gaussian")
    assert outcome.code == 0
    assert "1 of 1 known anomaly found" in outcome.err
    assert cli.metrics(Path("o"))["quality"]["event_recall"] == 1


def test_a_run_without_anomalies_reads_well(program: Program) -> None:
    outcome = program("--out", "o", *FOREST, "--set", "threshold.budget=1e-9", "--set", "synthetic.points=2000")
    assert outcome.code == 0
    assert "nan" not in outcome.err
    assert "0 incidents: 0 a week (you asked for at most 3.4e-07 false alarms a week)" in outcome.err
    assert "0 points flagged so far" in outcome.err and "the budget for normal points is 1.5e-06, " in outcome.err
    assert "%" not in outcome.err


def test_yahoo_prices_score_as_the_file(program: Program, tmp_path: Path) -> None:
    sample = ROOT / "data/samples/aapl.csv"
    judged = ("--set", "input.transform=prices", "--out", "file", *GAUSSIAN)
    assert program("--source", "csv", "--path", sample, "--column", "close", *judged).code == 0
    prices = ("--start", "2000-03-01", "--end", "2013-03-02", "--set", "yfinance.adjusted=false", "--set", "yfinance.cache=cache")
    with YahooServer() as server:
        arguments = ("--source", "yfinance", "--ticker", "AAPL", *prices, "--out", "o", *GAUSSIAN)
        outcome = cli.finish(cli.start(*arguments, folder=tmp_path, env={**os.environ, **server.environment()}))
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert not MACHINE_TALK.search(outcome.err)
    assert outcome.err.startswith("AAPL: 3,270 points")
    assert (tmp_path / "o/scores.csv").read_bytes() == Path("file/scores.csv").read_bytes()
    assert (tmp_path / "cache").is_dir()


def test_a_failing_yahoo_exits_1(tmp_path: Path) -> None:
    with YahooServer(mode="no_tunnel") as server:
        arguments = ("--source", "yfinance", "--ticker", "AAPL", "--set", "yfinance.cache=cache", "--out", "o", *GAUSSIAN)
        outcome = cli.finish(cli.start(*arguments, folder=tmp_path, env={**os.environ, **server.environment()}))
    assert outcome.code == 1
    assert all(word in outcome.error for word in ("AAPL", "no network", "--source csv")), outcome.error
    assert not (tmp_path / "o").exists()


# --- the run folder ---


def test_an_unusable_out_folder_is_untouched(program: Program) -> None:
    Path("file").write_text("mine")
    Path("full").mkdir()
    Path("full/note.txt").write_text("mine")
    for out, words in {
        "file": ["--out file is a file", "give a folder"],
        "file/below": ["--out file/below cannot be written", "give another folder"],
        "full": ["--out full is not empty", "--resume"],
        "x" * 300: ["cannot be written", "give another folder"],
    }.items():
        outcome = program("--out", out, *FOREST)
        assert outcome.code == 2
        assert all(word in outcome.error for word in words), outcome.error
    assert Path("file").read_text() == Path("full/note.txt").read_text() == "mine"
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["file", "full"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="has no owners of files")
def test_a_write_protected_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    before = os.geteuid()
    if before == 0:  # root may write everywhere, so it gives that right away for a while
        os.seteuid(65534)
    try:
        for out in (tmp_path / "locked/o", tmp_path / "locked/o/p"):
            with pytest.raises(OutputError, match=f"--out {out} cannot be written .Permission denied.; give another folder"):
                RunFolder(out)
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("command", ["run", "train"])
def test_an_early_failure_leaves_no_folder_of_its_own(program: Program, command: str) -> None:
    Path("mine").mkdir()
    for out in ((), ("--out", "mine")):
        assert program(command, *out, *FOREST, "--set", "training.points=3").code == 2
    assert list(Path("runs").iterdir()) == list(Path("mine").iterdir()) == []
