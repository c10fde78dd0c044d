"""Running the program as a user does: in this process where that will do, in one of its own for pipes, signals and imports."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds after which a process that does not do what a test waits for has failed

# settings under which a detector is trained in a moment
FOREST = ("--detector", "isolation_forest", "--plot", "none", "--set", "forest.n_estimators=10")
# imports nothing heavy: for processes of their own
GAUSSIAN = ("--detector", "windowed_gaussian", "--plot", "none", "--set", "windowed_gaussian.window=64")
TINY_LSTM = ("--set", "training.max_steps=60", "--set", "network.units=[8]", "--set", "network.sequence_length=16")


@dataclass(frozen=True)
class Outcome:
    """How a call of the program ended: exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a failed call writes, without its "error: "."""
        assert self.out == ""
        assert self.err.startswith("error: ") and self.err.endswith("\n") and self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").rstrip("\n")


def start(*arguments: object, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """The program as a process of its own, in that folder."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, text=True, **{**pipes, **options})


def finish(process: subprocess.Popen[str], *, text: str | None = None) -> Outcome:
    """Wait for a process, after writing ``text`` to its stdin."""
    out, err = process.communicate(text, timeout=PATIENCE)
    return Outcome(process.returncode, out or "", err or "")


def run_python(code: str, *, folder: Path, environment: Mapping[str, str] | None = None) -> Outcome:
    """A fresh interpreter that can import the project."""
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return finish(subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=whole, text=True, **pipes))


def wait_until(what: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert process is None or process.poll() is None, f"the process ended: {process.communicate()}"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


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


def write_csv(path: Path, *columns: Sequence[object], header: str = "timestamp,value") -> Path:
    """A csv file of these columns."""
    lines = [header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def wave(count: int) -> list[float]:
    """A noisy wave that a detector can learn."""
    noise = np.random.default_rng(5).normal(scale=0.2, size=count)
    return [float(value) for value in np.round(10 + 3 * np.sin(2 * np.pi * np.arange(count) / 24) + noise, 6)]
