"""Processes: what only shows from outside: cold start, the whole program end to end, peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoencoder.benchmark.speed.subject import write_lines
from autoencoder.core.errors import RunError
from autoencoder.reports.run_folder import SCORES

ROOT = Path(__file__).resolve().parents[3]
LAUNCHER = Path(__file__).with_name("launcher.py")
FIRST_LINES = 200  # that a cold start is given at once: more than a window, so that the first detection is among them
# what a program that calls the Keras model does, up to its first result
KERAS_START = """
import pathlib, sys
import keras, numpy
model = keras.models.load_model(sys.argv[1])
model.predict(numpy.zeros((1, *model.input_shape[1:]), "float32"), verbose=0)
pathlib.Path(sys.argv[2]).write_text("done\\n")
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took: seconds, and bytes of memory at most."""

    seconds: float
    peak: int


def cold_start(model: Path, lines: Sequence[bytes]) -> Usage:
    """From the start of a process, with the saved model, until the rows of the first points are in scores.csv."""
    with tempfile.TemporaryDirectory() as place:
        points = write_lines(Path(place, "points.csv"), lines[:FIRST_LINES])
        out = Path(place, "run")
        return _launch(_program("stdin", model, out), feed=points, watched=out / SCORES, until=FIRST_LINES + 1)


def keras_cold_start(model: Path) -> Usage:
    """From the start of a process until the Keras model has judged its first window."""
    with tempfile.TemporaryDirectory() as place:
        done = Path(place, "done")
        command = [sys.executable, "-c", KERAS_START, str(model / "model.keras"), str(done)]
        return _launch(command, watched=done, until=1)


def whole_run(model: Path, points: Path) -> Usage:
    """A csv file on the disk until the process that wrote scores.csv has ended."""
    with tempfile.TemporaryDirectory() as place:
        return _launch([*_program("csv", model, Path(place, "run")), "--path", str(points)])


def streamed_run(model: Path, points: Path) -> Usage:
    """The same points through a pipe."""
    with tempfile.TemporaryDirectory() as place:
        return _launch(_program("stdin", model, Path(place, "run")), feed=points)


def _program(source: str, model: Path, out: Path) -> list[str]:
    program = [sys.executable, str(ROOT / "main.py"), "--source", source]
    return [*program, "--model", str(model), "--plot", "none", "--out", str(out)]


def _launch(command: Sequence[str], feed: Path | None = None, watched: Path | None = None, until: int = 0) -> Usage:
    """Run a command in a process of its own; see ``launcher``.

    Raises:
        RunError: it failed.
    """
    arguments = [str(feed or "-"), str(watched or "-"), str(until), *command]
    done = subprocess.run([sys.executable, str(LAUNCHER), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RunError(f"bench speed: a measured process ended with exit code {done.returncode} ({last}); run it anew")
    found = json.loads(done.stdout)
    return Usage(found["seconds"], found["peak"])
