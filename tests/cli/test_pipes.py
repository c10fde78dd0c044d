"""Pipes, followed files and signals: rows appear at once, and an interrupt leaves whole files."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from helpers import cli
from helpers.cli import FOREST, GAUSSIAN, QUIET, Outcome, Run, wave, write_csv

SMALL = (*GAUSSIAN, "--set", "training.points=150")


def piped(folder: Path, text: str, *arguments: str) -> Outcome:
    return cli.finish(cli.open_pipe(folder, *SMALL, *arguments), text=text)


def test_stdin_without_a_row_is_refused(tmp_path: Path) -> None:
    outcome = piped(tmp_path, "value\n")
    assert outcome.code == 2
    assert "stdin: found a header ('value') and no rows" in outcome.error
    assert not (tmp_path / "o").exists()


def test_stdin_that_ends_in_training_keeps_rows(tmp_path: Path) -> None:
    outcome = piped(tmp_path, "".join(f"{value}\n" for value in wave(60)))
    assert outcome.code == 2
    assert "stdin: ended after 60 points, within the training part of 150" in outcome.error
    assert "training.points" in outcome.error and "--model" in outcome.error
    assert [float(row["value"]) for row in cli.rows(tmp_path / "o")] == wave(60)
    assert cli.metrics(tmp_path / "o")["status"].startswith("failed: ")


@pytest.mark.parametrize("form", ["json", "time and value"])
def test_stdin_takes_json_and_times(tmp_path: Path, form: str) -> None:
    line = '{{"timestamp": {0}, "value": {1}}}\n' if form == "json" else "{0},{1}\n"
    text = "".join(line.format(1_700_000_000 + 60 * row, value) for row, value in enumerate(wave(300)))
    outcome = piped(tmp_path, text, "--set", "threshold.budget=5 per day")
    assert outcome.code == 0, outcome.err
    scored = cli.rows(tmp_path / "o")
    assert scored[1]["time"] == "2023-11-14T22:14:20Z"
    assert [float(row["value"]) for row in scored] == wave(300)
    assert cli.metrics(tmp_path / "o")["counts"]["budget"] == round(5 / 1440, 6)


def test_bad_lines_on_stdin_become_missing(tmp_path: Path) -> None:
    lines = [f"{value}\n" for value in wave(300)]
    lines[200] = "abc\n"
    lines[250] = "1" * 2_000_000 + "\n"
    outcome = piped(tmp_path, "".join(lines))
    assert outcome.code == 0
    told = [line for line in outcome.err.splitlines() if "is kept as missing" in line]
    assert [line.partition(":")[0].split(",")[1] for line in told] == [" line 201", " line 251"]
    assert [row for row, scores in enumerate(cli.rows(tmp_path / "o")) if scores["value"] == ""] == [200, 250]


def test_rows_appear_while_stdin_is_open(tmp_path: Path) -> None:
    process = cli.open_pipe(tmp_path, *SMALL)
    lines = [f"{value}\n" for value in wave(202)]
    for done, count in ((0, 200), (200, 201), (201, 202)):
        cli.feed(process, "".join(lines[done:count]))
        cli.wait_for_rows(tmp_path / "o", count, process)
    outcome = cli.finish(process)
    assert outcome.code == 0
    assert "stdin: 202 points, 150 of them trained on, 52 judged" in outcome.err
    assert [float(row["value"]) for row in cli.rows(tmp_path / "o")] == wave(202)


@pytest.mark.parametrize(
    ("number", "line", "code", "transform"),
    [(signal.SIGINT, "{time},{value}\n", 130, "rate"), (signal.SIGTERM, "{value}\n", 0, "none")],
)
def test_an_interrupted_stream_is_resumed(tmp_path: Path, number: int, line: str, code: int, transform: str) -> None:
    settings = (*SMALL, "--set", f"input.transform={transform}")
    process = cli.open_pipe(tmp_path, *settings)
    lines = [line.format(time=1_700_000_000 + 60 * row, value=value) for row, value in enumerate(wave(400))]
    cli.feed(process, "".join(lines[:300]) + lines[300][:5])  # the last line is only begun
    cli.wait_for_rows(tmp_path / "o", 300, process)
    outcome = cli.stop(process, number)
    assert outcome.code == code
    assert outcome.err.splitlines()[-1] == "interrupted after 300 points; what was done is in o; --resume goes on with it"
    assert len(cli.rows(tmp_path / "o")) == 300
    assert cli.metrics(tmp_path / "o")["status"] == "interrupted"

    resumed = cli.finish(cli.start("--out", "o", "--resume", folder=tmp_path, stdin=subprocess.PIPE), text="".join(lines[300:]))
    assert resumed.code == 0, resumed.err
    assert "the producer must begin with row 301" in resumed.err
    (tmp_path / "whole").mkdir()
    assert cli.finish(cli.open_pipe(tmp_path / "whole", *settings), text="".join(lines)).code == 0
    assert (tmp_path / "o/scores.csv").read_bytes() == (tmp_path / "whole/o/scores.csv").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_followed_file_is_scored_as_it_grows(tmp_path: Path, number: int, code: int) -> None:
    table, out = write_csv(tmp_path / "growing.csv", range(200), wave(202)[:200]), tmp_path / "o"
    follow = ("--source", "csv", "--path", table, "--follow", "--set", "csv.poll_seconds=0.02")
    process = cli.start(*follow, "--out", "o", *SMALL, folder=tmp_path)
    cli.wait_for_rows(out, 200, process)
    with table.open("a") as file:
        file.writelines(f"{row},{wave(202)[row]}\n" for row in (200, 201))
    cli.wait_for_rows(out, 202, process)
    assert cli.stop(process, number).code == code
    assert [float(row["value"]) for row in cli.rows(out)] == wave(202)


def test_a_source_with_an_end_is_not_done_after_sigterm(tmp_path: Path) -> None:
    process = cli.start("--out", "o", *SMALL, "--set", "synthetic.points_per_second=2000", folder=tmp_path)
    cli.wait_until(lambda: cli.count_lines(tmp_path / "o/scores.csv") > 300, process)
    assert cli.stop(process, signal.SIGTERM).code == 130
    assert cli.metrics(tmp_path / "o")["status"] == "interrupted"


@pytest.mark.parametrize(
    ("command", "number", "code"), [("run", signal.SIGINT, 130), ("run", signal.SIGTERM, 0), ("train", signal.SIGTERM, 130)]
)
def test_an_interrupt_before_the_first_line(tmp_path: Path, command: str, number: int, code: int) -> None:
    process = cli.open_pipe(tmp_path, command, *GAUSSIAN)
    cli.wait_until((tmp_path / "o").exists, process)
    assert cli.stop(process, number) == Outcome(code, "", "interrupted\n")
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc to see that TensorFlow is at work")
@pytest.mark.parametrize("command", ["run", "train"])
def test_an_interrupt_in_training(tmp_path: Path, command: str) -> None:
    endless = ("--set", "training.max_steps=1000000", "--set", "training.patience=1000000")
    detector = ("--set", "network.units=[8]") if command == "run" else (*FOREST, "--set", "forest.n_estimators=10000")
    process = cli.start(command, "--out", "o", *QUIET, *endless, *detector, "--set", "synthetic.points=1000", folder=tmp_path)
    library = "_pywrap_tensorflow" if command == "run" else "sklearn"
    cli.wait_until(lambda: library in Path(f"/proc/{process.pid}/maps").read_text(), process)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    assert cli.stop(process, signal.SIGINT) == Outcome(130, "", "interrupted\n")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("stream", ["gone", "full"])
def test_a_run_outlives_its_listeners(tmp_path: Path, stream: str) -> None:
    read, write = os.pipe()
    os.close(read)
    descriptor = write if stream == "gone" else os.open("/dev/full", os.O_WRONLY)
    arguments = (*GAUSSIAN, "--set", "synthetic.points=500")
    process = cli.start("--out", "o", *arguments, folder=tmp_path, stderr=descriptor, stdout=descriptor)
    assert process.wait(timeout=60) == 0
    assert len(cli.rows(tmp_path / "o")) == 500
    assert cli.metrics(tmp_path / "o")["status"] == "done"
    for each in {write, descriptor}:
        os.close(each)


def test_closed_standard_streams_do_no_harm(tmp_path: Path, lstm_run: Run) -> None:
    def close_all() -> None:
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    inherited = {"stdin": None, "stdout": None, "stderr": None, "preexec_fn": close_all}
    arguments = ("--model", lstm_run[0], "--set", "synthetic.points=500", *QUIET)
    assert cli.start("--out", "o", *arguments, folder=tmp_path, **inherited).wait(timeout=60) == 0
    assert len(cli.rows(tmp_path / "o")) == 500
    assert cli.start("--source", "stdin", "--out", "p", *GAUSSIAN, folder=tmp_path, **inherited).wait(timeout=60) == 2
    assert not (tmp_path / "p").exists()
