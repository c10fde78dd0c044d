"""What a run of one series can, one of many can: pipes, followed files, resuming, models, adaptation."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from helpers import cli
from helpers.cli import GAUSSIAN, QUIET, SERIES, Program, wave

from cli.series import LSTM, file_of, interleaved, rows_of, spiked, to_detections

RESUMABLE = (*GAUSSIAN, "--set", "training.points=70", "--set", "checkpoint.every=40", "--set", "threshold.budget=0.02")
PIPED = ("--series-column", "host", *RESUMABLE)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A file of three series in turn."""
    series = [rows_of(name, spiked(300, 120 + 40 * place, 250)) for place, name in enumerate("abc")]
    return file_of(tmp_path / "three.csv", interleaved(*series))


@pytest.mark.parametrize("detector", [RESUMABLE, (*RESUMABLE, "--set", "adaptation.enabled=true")], ids=["plain", "adaptive"])
def test_a_killed_run_goes_on(detector: tuple[str, ...], program: Program, three: Path, tmp_path: Path) -> None:
    detector, out = (*detector, "--set", "adaptation.synchronous=true"), tmp_path / "o"
    process = cli.start(*SERIES, "--follow", "--path", three, "--out", "o", *detector, folder=tmp_path)
    cli.wait_until((out / "checkpoint.npz").exists, process)
    cli.wait_for_rows(out, 900, process)
    cli.stop(process, signal.SIGKILL)
    with three.open("a") as file:
        file.write(",".join(map(str, rows_of("a", wave(301))[-1])) + "\n")
    again = cli.start("--resume", "--out", "o", folder=tmp_path)
    cli.wait_for_rows(out, 901, again)
    assert cli.stop(again, signal.SIGTERM).code == 0
    assert program(*SERIES, "--path", three, "--out", "whole", *detector).code == 0
    assert (out / "scores.csv").read_bytes() == Path("whole/scores.csv").read_bytes()
    assert len(cli.incidents(out)) == len(cli.incidents(Path("whole")))


def test_a_pipe_that_was_cut_off_goes_on(program: Program, three: Path, tmp_path: Path) -> None:
    assert program(*SERIES, "--path", three, "--out", "whole", *RESUMABLE).code == 0
    process = cli.open_pipe(tmp_path, *PIPED)
    header, *lines = three.read_text().splitlines(keepends=True)
    cli.feed(process, header + "".join(lines[:500]))
    cli.wait_for_rows(tmp_path / "o", 500, process)
    assert cli.stop(process, signal.SIGTERM).code == 0
    again = cli.open_pipe(tmp_path, *PIPED, "--resume")
    assert cli.finish(again, text=header + "".join(lines[500:])).code == 0
    cli.assert_same_results(tmp_path / "o", Path("whole"))


def test_a_model_serves_each_series_its_own(program: Program, three: Path, tmp_path: Path) -> None:
    assert program("train", *SERIES, "--path", three, "--out", "model", *RESUMABLE).code == 0
    use = ("--model", "model", *QUIET)
    assert program(*SERIES, "--path", three, "--out", "many", *use).code == 0
    single = file_of(tmp_path / "b.csv", rows_of("b", spiked(300, 160, 250)))
    assert program(*SERIES, "--path", single, "--out", "b", *use).code == 0
    assert to_detections(Path("many"))["b"] == to_detections(Path("b"))["b"]
    other = file_of(tmp_path / "other.csv", rows_of("other", wave(100)))
    assert program(*SERIES, "--path", other, "--out", "other", *use).code == 0
    assert cli.metrics(Path("other"))["series"]["judged"] == 1


@pytest.mark.slow
def test_series_of_a_pipe_share_a_network(program: Program, three: Path, tmp_path: Path) -> None:
    arguments = ("--series-column", "host", "--set", "training.points=120", *LSTM)
    done = cli.finish(cli.open_pipe(tmp_path, *arguments), text=three.read_text())
    assert done.code == 0, done.err
    assert {row["series"] for row in cli.rows(tmp_path / "o") if row["score"]} == {"a", "b", "c"}
    assert cli.metrics(tmp_path / "o")["training"]["steps"] > 0
    assert (tmp_path / "o/model.onnx").exists()


@pytest.mark.slow
def test_series_whose_networks_are_their_own_go_on(program: Program, tmp_path: Path) -> None:
    hosts = [rows_of(host, wave(700 + place)[place:]) for place, host in enumerate("ab")]
    day = file_of(tmp_path / "day.csv", interleaved(*(rows[:500] for rows in hosts)))
    own = ("--set", "adaptation.enabled=true", "--set", "adaptation.cold_start_points=null", "--set", "training.points=300")
    assert program(*SERIES, "--path", day, "--out", "model", *own, *LSTM).code == 0
    rest = file_of(tmp_path / "rest.csv", interleaved(*(rows[500:] for rows in hosts)))
    use = ("--series-column", "host", "--model", "model", "--set", "checkpoint.every=50", *QUIET)
    assert program(*SERIES, "--path", rest, "--out", "whole", *use[2:]).code == 0
    process = cli.open_pipe(tmp_path, *use)
    header, *lines = rest.read_text().splitlines(keepends=True)
    cli.feed(process, header + "".join(lines[:200]))
    cli.wait_for_rows(tmp_path / "o", 200, process)
    assert cli.stop(process, signal.SIGINT).code == 130
    again = cli.finish(cli.open_pipe(tmp_path, *use, "--resume"), text=header + "".join(lines[200:]))
    assert again.code == 0, again.err
    cli.assert_same_results(tmp_path / "o", Path("whole"))


def test_adaptations_name_their_series(program: Program, tmp_path: Path) -> None:
    shifted = [value + 60 * (row > 700) for row, value in enumerate(wave(1500))]
    path = file_of(tmp_path / "shift.csv", interleaved(rows_of("still", wave(1500)), rows_of("shifted", shifted)))
    adapting = ("enabled=true", "confirm_windows=4", "buffer_points=800", "cold_start_points=null")
    settings = [part for one in adapting for part in ("--set", f"adaptation.{one}")]
    quick = ("--detector", "windowed_gaussian", "--set", "windowed_gaussian.window=2000", "--set", "training.points=300")
    assert program(*SERIES, "--path", path, "--out", "o", *quick, *settings).code == 0
    events = [json.loads(line) for line in Path("o/adaptations.jsonl").read_text().splitlines()]
    assert "promoted" in {event["event"] for event in events if event["series"] == "shifted"}
    assert not [event for event in events if event["series"] == "still" and event["event"] == "drift declared"]
    assert cli.metrics(Path("o"))["adaptation"]["promoted"] >= 1


def test_parquet_with_times_and_series(program: Program, three: Path, tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.csv.read_csv(three), tmp_path / "three.parquet")
    assert program(*SERIES, "--path", three, "--out", "csv", *RESUMABLE).code == 0
    assert program(*SERIES, "--path", tmp_path / "three.parquet", "--out", "parquet", *RESUMABLE).code == 0
    cli.assert_same_results(Path("parquet"), Path("csv"))
