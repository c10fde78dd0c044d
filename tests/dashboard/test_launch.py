"""Runs that the page starts are those of the command line; and the command that serves the page."""

from __future__ import annotations

import importlib.util
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import GAUSSIAN, PATIENCE, ROOT, Program, count_lines, metrics, run_python, wait_until, wave, write_csv

from autoencoder import cli
from autoencoder.config import load
from autoencoder.core.errors import ConfigError
from autoencoder.dashboard.command import FIRST_PORT, choose_port
from autoencoder.dashboard.follow import Snapshot, State
from autoencoder.dashboard.launch import BUDGET, Choice, Launcher
from autoencoder.dashboard.sidebar import SAMPLES

QUICK = {"detector": "windowed_gaussian", "windowed_gaussian.window": 64, BUDGET: "0.001"}
SYNTHETIC = {"source": "synthetic", **QUICK}
CSV = {"source": "csv", **QUICK}


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    """What starts runs, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    made = Launcher()
    yield made
    assert made.stop(PATIENCE)


def finished(launcher: Launcher) -> Snapshot:
    """How the run stands at its end."""
    wait_until(lambda: not launcher.follower.poll().is_live)
    return launcher.follower.poll()


def assert_same_files(run: Path, other: Path) -> None:
    for name in ("scores.csv", "incidents.jsonl"):
        assert (run / name).read_bytes() == (other / name).read_bytes()


def test_files_equal_the_command_lines(program: Program, launcher: Launcher) -> None:
    choice = Choice({**CSV, "csv.path": str(SAMPLES / "aapl.csv"), "csv.columns": ["close", "volume"]})
    assert program(*shlex.split(choice.command_line())[2:], "--plot", "none", "--out", "there").code == 0
    launcher.begin(choice)
    now = finished(launcher)
    assert (now.state, now.fault) == (State.DONE, None)
    assert_same_files(now.folder, Path("there"))


@pytest.mark.slow
def test_a_second_run_ends_the_first_whole(program: Program, launcher: Launcher) -> None:
    assert program("--source", "synthetic", *GAUSSIAN, "--set", "synthetic.points_per_second=2000", "--out", "there").code == 0
    launcher.begin(Choice({**SYNTHETIC, "synthetic.points_per_second": 2000.0}))
    first = launcher.follower
    wait_until(lambda: first.poll().points > 2500)
    launcher.begin(Choice({**SYNTHETIC, "synthetic.points_per_second": 10.0}))
    wait_until(lambda: not first.poll().is_live)
    snapshot = first.poll()
    assert (snapshot.state, snapshot.fault, snapshot.open) == (State.STOPPED, None, 0)
    assert count_lines(snapshot.folder / "scores.csv") == snapshot.points + 1 < 6001
    assert metrics(snapshot.folder)["status"] == "interrupted"
    assert program("--resume", "--out", snapshot.folder).code == 0
    assert_same_files(snapshot.folder, Path("there"))
    assert launcher.follower is not first and launcher.follower.poll().is_live


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("timestamp,value\n1,2\n2,abc\n3,4\n", "line 3"),
        ("timestamp,value\n" + "".join(f"{row},5\n" for row in range(500)), "constant"),
        ("timestamp,value\n", "row"),
        ("timestamp,cpu,memory\n1,2,3\n2,3,4\n", "several columns of numbers (cpu, memory); choose with --column"),
    ],
)
def test_a_bad_file_is_refused_in_the_same_words(program: Program, launcher: Launcher, content: str, words: str) -> None:
    file = Path("series.csv")
    file.write_text(content)
    outcome = program("--source", "csv", "--path", file, *GAUSSIAN)
    launcher.begin(Choice(CSV, (file.name, file.read_bytes())))
    snapshot = finished(launcher)
    assert (outcome.code, snapshot.state, snapshot.fault) == (2, State.FAILED, outcome.error)
    assert words in snapshot.fault
    assert not list(Path.cwd().glob("runs/*"))


@pytest.mark.parametrize("key", ["threshold.kind", "synthetic.noise", BUDGET])
@pytest.mark.parametrize("value", ["steep", "", "[", "-1", "1 per fortnight"])
def test_a_wrong_setting_starts_nothing(launcher: Launcher, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key.partition(".")[2]):
        launcher.begin(Choice({**SYNTHETIC, key: value}))
    assert launcher.follower is None


@pytest.mark.parametrize("name", ["../../evil.csv", "a b;rm -rf ~.csv", "x" * 5000 + ".csv", "n\0ull.csv", "töne.sh"])
def test_only_the_kind_of_an_upload_reaches_a_path(launcher: Launcher, name: str) -> None:
    launcher.begin(Choice(CSV, (name, write_csv(Path("table.csv"), range(400), wave(400)).read_bytes())))
    snapshot = finished(launcher)
    path = Path(load(snapshot.folder / "config.yaml").csv.path)
    assert (path.name, path.parent.stat().st_mode & 0o777, snapshot.name) == ("upload.csv", 0o700, name)
    assert {path.name for path in Path.cwd().iterdir()} == {"table.csv", "runs"}


@pytest.mark.parametrize(
    "settings",
    [
        {"source": "synthetic", "synthetic.points": 9000, "synthetic.anomalies.flat": False, "seed": 4, BUDGET: "1 per day"},
        {"source": "csv", "csv.path": "/tmp/it's mine.csv", "csv.columns": ["a, b", "-c"], BUDGET: "0.002"},
        {"source": "yfinance", "yfinance.ticker": "^GSPC", "detector": "half_space_trees", BUDGET: "0.01"},
    ],
)
def test_the_command_line_means_the_same(settings: dict[str, Any]) -> None:
    arguments = shlex.split(Choice(settings).command_line())[2:]
    rest = {key: value for key, value in settings.items() if key != BUDGET}
    read = cli.read_config(cli.parse(arguments))
    assert read == load(None, rest, [f"{BUDGET}={settings[BUDGET]}"])


CHOOSE = "from autoencoder.dashboard.command import choose_port; print(choose_port(None))"


def test_two_that_start_together_have_ports_of_their_own() -> None:
    command = [sys.executable, "-c", f"{CHOOSE}; import sys; sys.stdout.flush(); sys.stdin.read()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        assert one.stdout.readline() != other.stdout.readline()


def test_a_taken_port_is_refused_or_passed_over(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="is taken"):
            choose_port(taken.getsockname()[1])
    assert int(run_python(CHOOSE, folder=tmp_path).out) >= FIRST_PORT
    with pytest.raises(ConfigError, match="must be from 1 to 65535"):
        choose_port(70_000)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("dashboard", "not installed; pip install -r requirements-dashboard.txt"),
        ("dashboard --source csv", "dashboard"),
        ("--source csv dashboard", "dashboard must come first"),
    ],
)
def test_wrong_usage_is_said(program: Program, monkeypatch: pytest.MonkeyPatch, arguments: str, words: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)  # as without streamlit
    outcome = program(*arguments.split())
    assert outcome.code == 2 and words in outcome.err
