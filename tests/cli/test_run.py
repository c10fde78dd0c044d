"""What a run says and leaves: scores, incidents, metrics, the plot, and the same detections from every source."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import (
    FOREST,
    GAUSSIAN,
    QUIET,
    ROOT,
    Program,
    Run,
    finish,
    incidents,
    metrics,
    rows,
    start,
    wave,
    write_csv,
)
from helpers.yahoo_server import YahooServer

from autoencoder.reports.run_folder import RESULTS

COLUMNS = ["time", "value", "prediction", "error", "threshold", "score", "anomaly"]
MACHINE_TALK = re.compile(
    r"tensorflow|absl|oneDNN|cuda|WARNING|INFO|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |Traceback", re.MULTILINE
)


def test_a_run_writes_its_files(lstm_run: Run) -> None:
    folder, outcome = lstm_run
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert not MACHINE_TALK.search(outcome.err), outcome.err
    assert {path.name for path in folder.iterdir()} == set(RESULTS) - {"adaptations.jsonl"}
    first, *_, last = outcome.err.splitlines()
    assert first == "synthetic: 3,000 points, 1,500 of them trained on, 1,500 judged"
    assert last.startswith("run: scores.csv, ")
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    found = metrics(folder)
    assert found["status"] == "done"
    assert found["counts"]["points"] == 3000
    assert found["quality"]["known_anomalies"] > 0
    assert {"start", "import", "training", "scoring", "picture", "total"} <= set(found["seconds"])
    assert found["training"]["validation_loss"] > 0


def test_scores_hold_a_row_for_every_point(program: Program, table: Path) -> None:
    assert program("--source", "csv", "--path", table, "--out", "o", *FOREST).code == 0
    scored = rows(Path("o"))
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
    flagged = [row for row, scores in enumerate(rows(Path("o"))) if scores["anomaly"] == "1"]
    found = incidents(Path("o"))
    assert flagged and found
    assert [incident["id"] for incident in found] == list(range(1, len(found) + 1))
    covered = [row for incident in found for row in flagged if incident["first_row"] <= row <= incident["last_row"]]
    assert covered == flagged
    assert sum(incident["n_points"] for incident in found) == len(flagged)
    assert metrics(Path("o"))["counts"]["incidents"] == len(found)


def test_columns_are_told_apart_by_name(program: Program, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "two.csv", range(400), wave(400), wave(400)[::-1], header="time,cpu,mem")
    assert program("--source", "csv", "--path", table, "--column", "mem", "--column", "cpu", "--out", "o", *FOREST).code == 0
    scored = rows(Path("o"))
    assert list(scored[0]) == ["time", "value_mem", "value_cpu", "prediction_mem", "prediction_cpu", *COLUMNS[3:]]
    assert [float(row["value_cpu"]) for row in scored] == wave(400)
    assert [row["time"] for row in scored] == [str(index) for index in range(400)]


@pytest.mark.parametrize("detector", ["isolation_forest", "isolation_forest_sliding"])
def test_parquet_and_odd_paths_are_read(program: Program, tmp_path: Path, detector: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "sp ace, ünï ☃.parquet"
    pq.write_table(pa.table({"timestamp": np.arange(400).astype("datetime64[D]"), "value": wave(400)}), path)
    outcome = program("--source", "csv", "--path", path, "--out", "öut ☃/o o", *FOREST, "--detector", detector)
    assert outcome.code == 0
    assert outcome.err.startswith("sp ace, ünï ☃.parquet: 400 points")
    assert rows(Path("öut ☃/o o"))[1]["time"] == "1970-01-02T00:00:00"


def test_the_default_folder_has_time_and_source(program: Program) -> None:
    points = ("--set", "synthetic.points=500")
    assert program(*FOREST, *points).code == program(*FOREST, *points).code == 0
    names = sorted(path.name for path in Path("runs").iterdir())
    assert len(names) == 2
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-synthetic(-2)?", name) for name in names)


def test_the_seed_decides_the_detections(program: Program) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        program("--out", name, *FOREST, "--seed", seed)
    a, b, c = (Path(name, "scores.csv").read_bytes() for name in "abc")
    assert a == b != c


def test_a_saved_config_repeats_the_run(program: Program) -> None:
    program("--out", "a", *FOREST, "--set", "threshold.budget=0.02", "--set", "synthetic.points=2000")
    assert program("--config", "a/config.yaml", "--out", "b").code == 0
    assert Path("a/scores.csv").read_bytes() == Path("b/scores.csv").read_bytes()


def test_known_labels_are_measured(program: Program, tmp_path: Path) -> None:
    values = wave(400)
    values[300] += 60
    labels = [int(index == 300) for index in range(400)]
    table = write_csv(tmp_path / "labelled.csv", values, labels, header="value,broken")
    arguments = ("--column", "value", "--label-column", "broken", "--out", "o", *QUIET)
    outcome = program("--source", "csv", "--path", table, *arguments, "--detector", "windowed_gaussian")
    assert outcome.code == 0
    assert "known anomalies: 100% of 1 found" in outcome.err
    assert metrics(Path("o"))["quality"]["event_recall"] == 1


def test_a_run_without_anomalies_reads_well(program: Program) -> None:
    outcome = program("--out", "o", *FOREST, "--set", "threshold.budget=1e-9", "--set", "synthetic.points=2000")
    assert outcome.code == 0
    assert "nan" not in outcome.err
    assert "budget for normal points is 1e-07%" in outcome.err


@pytest.fixture(scope="session")
def scores_by_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a run says of the sample that comes with the program."""
    folder = tmp_path_factory.mktemp("sample")
    sample = ROOT / "data/samples/aapl.csv"
    arguments = ("--source", "csv", "--path", sample, "--column", "close", "--out", "o", *GAUSSIAN)
    assert finish(start(*arguments, folder=folder)).code == 0
    return (folder / "o/scores.csv").read_bytes()


def test_yahoo_prices_score_as_the_file(scores_by_file: bytes, tmp_path: Path) -> None:
    with YahooServer() as server:
        environment = {**os.environ, **server.environment()}
        arguments = ("--source", "yfinance", "--ticker", "AAPL", *PRICES, "--out", "o", *GAUSSIAN)
        outcome = finish(start(*arguments, folder=tmp_path, env=environment))
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert not MACHINE_TALK.search(outcome.err)
    assert outcome.err.startswith("AAPL: 3,270 points")
    assert (tmp_path / "o/scores.csv").read_bytes() == scores_by_file
    assert (tmp_path / "cache").is_dir()


def test_prices_through_a_session_score_alike(program: Program, scores_by_file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import autoencoder.sources.yahoo

    with YahooServer() as server:
        redirected = functools.partial(autoencoder.sources.yahoo.YahooSource, session=server.session())
        monkeypatch.setattr(autoencoder.sources.yahoo, "YahooSource", redirected)
        assert program("--source", "yfinance", "--ticker", "AAPL", *PRICES, "--out", "o", *GAUSSIAN).code == 0
        scored = Path("o/scores.csv").read_bytes()
        assert scored == scores_by_file
        columns = program(
            "--source", "yfinance", "--ticker", "AAPL", *PRICES, "--column", "Open", "--column", "Close", "--out", "p", *GAUSSIAN
        )
    assert columns.code == 0
    assert list(rows(Path("p"))[0])[1:3] == ["value_Open", "value_Close"]


PRICES = ("--start", "2000-03-01", "--end", "2013-03-02", "--set", "yfinance.adjusted=false", "--set", "yfinance.cache=cache")
