"""Runs the program as a user does: in this process where that suffices, in its own for pipes, signals and imports."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120.0  # seconds after which a process that does not do what a test waits for has failed

RESULTS = ("scores.csv", "incidents.jsonl", "anomalies.log")
# settings under which a detector is trained in a moment
FOREST = ("--detector", "isolation_forest", "--plot", "none", "--set", "forest.n_estimators=10")
# imports nothing heavy: for processes of their own
GAUSSIAN = ("--detector", "windowed_gaussian", "--plot", "none", "--set", "windowed_gaussian.window=64")
TINY_LSTM = ("--set", "training.max_steps=60", "--set", "network.units=[8]", "--set", "network.sequence_length=16")
QUIET = ("--plot", "none")
SERIES = ("--source", "csv", "--series-column", "host")


@dataclass(frozen=True)
class Outcome:
    """Exit code of a call of the program, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a failed call writes, without its "error: "."""
        assert self.out == ""
        assert self.err.startswith("error: ") and self.err.endswith("\n") and self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").rstrip("\n")


Program = Callable[..., Outcome]  # the fixture ``program``
Run = tuple[Path, Outcome]  # the fixture ``lstm_run``


def settings(*texts: str) -> tuple[str, ...]:
    """Options that change these settings."""
    return tuple(part for text in texts for part in ("--set", text))


def start(*arguments: object, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """The program as a process of its own, in that folder."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, text=True, **{**pipes, **options})


def finish(process: subprocess.Popen[str], *, text: str | None = None, patience: float = PATIENCE) -> Outcome:
    """Wait for a process, after writing ``text`` to its stdin."""
    out, err = process.communicate(text, timeout=patience)
    return Outcome(process.returncode, out or "", err or "")


def stop(process: subprocess.Popen[str], number: int) -> Outcome:
    """Send a process a signal, and wait for its end."""
    process.send_signal(number)
    return finish(process)


def open_pipe(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """The program as a process that writes into ``o`` what it reads from its stdin."""
    return start("--source", "stdin", "--out", "o", *arguments, folder=folder, stdin=subprocess.PIPE)


def feed(process: subprocess.Popen[str], text: str) -> None:
    """Write to a process that goes on waiting for more."""
    assert process.stdin
    process.stdin.write(text)
    process.stdin.flush()


def run_python(code: str, *, folder: Path, environment: Mapping[str, str] | None = None) -> Outcome:
    """A fresh interpreter that can import the project."""
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return finish(subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=whole, text=True, **pipes))


def wait_until(what: Callable[[], bool], process: subprocess.Popen[str] | None = None, *, patience: float = PATIENCE) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + patience
    while not what():
        assert process is None or process.poll() is None, f"the process ended: {process.communicate()}"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def wait_for_rows(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until scores.csv holds so many rows."""
    wait_until(lambda: count_lines(folder / "scores.csv") == 1 + count, process)


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of scores.csv; every one of them must be whole."""
    text = (folder / "scores.csv").read_text(encoding="utf-8")
    assert text.endswith("\n")
    header, *lines = csv.reader(text.splitlines())
    assert {len(line) for line in lines} <= {len(header)}
    return [dict(zip(header, line, strict=True)) for line in lines]


def count_lines(path: Path) -> int:
    """Complete lines of a file; 0 where it is not there."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def metrics(folder: Path) -> dict[str, Any]:
    """What metrics.json holds."""
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_bytes())
    return content


def incidents(folder: Path) -> list[dict[str, Any]]:
    """What incidents.jsonl holds."""
    return [json.loads(line) for line in (folder / "incidents.jsonl").read_text().splitlines()]


def assert_same_results(one: Path, other: Path) -> None:
    """Two runs left the same rows, incidents and log."""
    for name in RESULTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def assert_refused(outcome: Outcome, words: Sequence[str], code: int = 2) -> None:
    """A failure as it must be: one line with these words, this exit code, and no run folder."""
    assert outcome.code == code, outcome.err
    assert all(word in outcome.error for word in words), outcome.error
    assert not Path("o").exists()
    assert not Path("runs").exists()


def write_csv(path: Path, *columns: Sequence[object], header: str = "timestamp,value") -> Path:
    """A csv file of these columns."""
    lines = [header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def wave(count: int) -> list[float]:
    """A noisy wave that a detector can learn."""
    noise = np.random.default_rng(5).normal(scale=0.2, size=count)
    return [float(value) for value in np.round(10 + 3 * np.sin(2 * np.pi * np.arange(count) / 24) + noise, 6)]


def kill_again_and_again(table: Path, arguments: Sequence[object], ends: Sequence[int], last: signal.Signals) -> Outcome:
    """Let a run follow a growing copy of a table, up to each of some rows; it is killed there and goes on, and at the last ends well."""
    lines, folder = table.read_text().splitlines(keepends=True), table.parent
    growing, scores = folder / "growing.csv", folder / "o/scores.csv"
    for end in ends:
        growing.write_text("".join(lines[: end + 1]))
        process = start(*arguments, folder=folder)
        wait_until(lambda: count_lines(scores) == end + 1, process)  # noqa: B023 - it is asked within the loop
        process.send_signal(last if end == ends[-1] else signal.SIGKILL)
        outcome = finish(process)
        arguments = ("--resume", "--out", "o")
    return outcome
