"""One command starts a run and restarts it: under a supervisor, whatever became of the run before."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from helpers import cli
from helpers.cli import FOREST, GAUSSIAN, QUIET, Program, wave, write_csv

from autoencoder.reports.run_folder import BEGINS, GOES_ON, MARK
from cli.test_resume import assert_same_run

RUN = ("--source", "csv", "--path", "x.csv", *GAUSSIAN, "--set", "training.points=150", "--set", "checkpoint.every=50")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "x.csv", wave(400), header="value")


@pytest.mark.parametrize("left", ["no folder", "an empty folder", "killed before it had begun"])
def test_it_begins_where_there_is_nothing(program: Program, file: Path, left: str) -> None:
    assert program("--out", "whole", *RUN).code == 0
    if left != "no folder":
        Path("o").mkdir()
    if left == "killed before it had begun":
        Path("o", MARK).write_text(BEGINS)
        for name in (".config.yaml.part", "detector.npz", "given.npz"):
            Path("o", name).write_bytes(b"half of it")
    command = ("--out", "o", "--resume", *RUN)
    outcome = program(*command)
    assert outcome.code == 0 and "cut off" not in outcome.err
    assert_same_run(Path("o"), Path("whole"))
    again = program(*command)
    assert (again.code, again.err) == (0, "o: the run in it is done; nothing is left to go on with\n")
    assert "threshold.budget was 0.001 and is 0.5 now" in program(*command, "--set", "threshold.budget=0.5").error
    assert_same_run(Path("o"), Path("whole"))


def test_a_failed_start_leaves_nothing(program: Program, file: Path) -> None:
    cli.assert_refused(program("--out", "o", "--resume", *RUN, "--column", "other"), ["no column 'other'"])


@pytest.mark.parametrize("names", [["detector.npz", "plot.png"], ["config.yaml"], ["config.yaml", "scores.csv"]])
@pytest.mark.parametrize("path", ["x.csv", "mistyped.csv"])
def test_what_is_not_proven_a_runs_stays(program: Program, file: Path, names: list[str], path: str) -> None:
    """A deployed model, a configuration of one's own, results that were put aside."""
    Path("o").mkdir()
    for name in names:
        Path("o", name).write_text("seed: 1\n")
    outcome = program("--out", "o", "--resume", *RUN[:2], "--path", path, *RUN[4:])
    told = f"--resume: o holds files that are no run's, as '{names[0]}'; give the --out folder of the run that was cut off, or a new one"
    assert (outcome.code, outcome.error) == (2, told)
    assert {each.name: each.read_text() for each in Path("o").iterdir()} == dict.fromkeys(names, "seed: 1\n")


def test_kills_from_the_first_moment_on(program: Program, file: Path, tmp_path: Path) -> None:
    program(
        "train",
        "--source",
        "csv",
        "--path",
        write_csv(tmp_path / "day.csv", wave(300), header="value"),
        "--out",
        "model",
        *GAUSSIAN,
    )
    for number, use in enumerate([RUN, ("--source", "csv", "--path", "x.csv", "--model", "model", *QUIET)]):
        began = time.monotonic()
        assert cli.finish(cli.start("--out", f"whole-{number}", *use, folder=tmp_path)).code == 0
        seconds, dice, out = time.monotonic() - began, random.Random(number), f"o-{number}"
        for part in (0.3, 0.6, 0.8, 0.9):
            process = cli.start("--out", out, "--resume", *use, folder=tmp_path)
            time.sleep(dice.uniform(0, part) * seconds)
            cli.stop(process, signal.SIGKILL)
        assert cli.finish(cli.start("--out", out, "--resume", *use, folder=tmp_path)).code == 0
        assert_same_run(Path(out), Path(f"whole-{number}"))


def test_a_run_that_was_given_a_model_keeps_it(program: Program, file: Path) -> None:
    """What it leaves moves on; where it begins again, it begins with what it was given."""
    program("train", "--source", "csv", "--path", "x.csv", "--out", "model", *FOREST)
    use = ("--source", "csv", "--path", "x.csv", "--model", "model", *QUIET)
    assert program("--out", "whole", *use).code == 0
    assert program("--out", "o", *use).code == 0
    Path("o/metrics.json").unlink()  # as if killed right before the end
    Path("o/given.npz").write_bytes(given_to(Path("model")))
    Path("o", MARK).write_text(GOES_ON)
    outcome = program("--out", "o", "--resume", *use)
    assert outcome.code == 0 and "cut off before its first checkpoint" in outcome.err
    assert_same_run(Path("o"), Path("whole"))


def given_to(model: Path) -> bytes:
    from autoencoder.core.state import from_files, pack
    from autoencoder.reports.run_folder import read_model

    state, files = read_model(model)
    return pack({"state": state, "files": from_files(files)})


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="sees through /proc how far an import is")
@pytest.mark.parametrize(("follow", "number", "code"), [(True, "TERM", 0), (True, "INT", 130), (False, "TERM", 130)])
def test_a_signal_while_libraries_are_imported(tmp_path: Path, file: Path, follow: bool, number: str, code: int) -> None:
    process = cli.start("--out", "o", "--resume", *RUN, *["--follow"][:follow], folder=tmp_path)
    cli.wait_until(lambda: "_multiarray_umath" in Path(f"/proc/{process.pid}/maps").read_text(), process)
    outcome = cli.stop(process, signal.Signals[f"SIG{number}"])
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err and not (tmp_path / "o").exists()


@pytest.mark.parametrize("rows", [0, 40, 300])
def test_a_run_that_follows_is_stopped_and_goes_on(program: Program, file: Path, tmp_path: Path, rows: int) -> None:
    """SIGTERM ends it with exit code 0, whether it waits for its first row, trains or scores."""
    lines, path = file.read_text().splitlines(keepends=True), tmp_path / "grows.csv"
    path.write_text("".join(lines[: 1 + rows]))
    command = ("--out", "o", "--resume", *RUN[:2], "--path", "grows.csv", "--follow", *RUN[4:])
    process = cli.start(*command, folder=tmp_path)
    if rows:
        cli.wait_for_rows(tmp_path / "o", rows, process)
    else:
        cli.wait_until((tmp_path / "o/config.yaml").exists, process)
    assert cli.stop(process, signal.SIGTERM).code == 0
    path.write_text("".join(lines))
    process = cli.start(*command, folder=tmp_path)
    cli.wait_for_rows(tmp_path / "o", 400, process)
    assert cli.stop(process, signal.SIGINT).code == 130
    assert program("--out", "whole", *RUN).code == 0
    assert (tmp_path / "o/scores.csv").read_bytes() == Path("whole/scores.csv").read_bytes()
    next_day = write_csv(tmp_path / "next.csv", wave(10), header="value")
    assert program("--source", "csv", "--path", next_day, "--model", "o", "--out", "next", *QUIET).code == 0
    assert cli.metrics(Path("next"))["counts"]["judged"] == 10
