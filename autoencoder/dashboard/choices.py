"""Choices: what a person picked -> the configuration that the command line would make of it, and a run with it."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial, reduce
from pathlib import Path
from typing import Any

from autoencoder.config import load
from autoencoder.core.errors import ConfigError
from autoencoder.dashboard.folder import follow
from autoencoder.dashboard.process import run_apart
from autoencoder.dashboard.session import Controls, Monitor

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
SUFFIXES = (".csv", ".gz", ".json", ".jsonl", ".parquet", ".tsv", ".txt")
VALUE_COLUMN, TIME_COLUMN = "Value column", "Time column"  # names of fields
WORDS = (  # what errors say to somebody at the command line, and to somebody at the page
    ("choose with --column NAME", f"write the one you want under “{VALUE_COLUMN}”"),
    ("choose with --time-column NAME", f"write the one you want under “{TIME_COLUMN}”"),
    ("choose another --time-column", f"write another one under “{TIME_COLUMN}”"),
    ("give --ticker, e.g. --ticker AAPL", "type one, e.g. AAPL"),
    ("run on a saved file with --source csv", "upload a saved file"),
    ("csv.path is not set; give --path FILE", "no file is chosen; upload one"),
    ("; --resume goes on with it", ""),
    (", --verbose shows where", ""),
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file from the browser: the name it has there, and what is in it."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be watched.

    Attributes:
        settings: dotted key of the configuration -> value, as flags would give them.
        budget: threshold.budget as it was typed.
        upload: the file that is judged, where one was uploaded.
        folder: the run folder that is watched; then nothing else matters.
    """

    settings: Mapping[str, Any]
    budget: str
    upload: Upload | None = None
    folder: Path | None = None

    def command_line(self) -> str:
        """The same run on the command line; what are the defaults anyway is left out."""
        defaults = load(None)
        settings = {key: value for key, value in self.settings.items() if reduce(getattr, key.split("."), defaults) != value}
        if self.upload:
            settings["csv.path"] = self.upload.name
        texts = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]
        if self.budget != str(defaults.threshold.budget):
            texts.append(f"threshold.budget={self.budget}")
        return " ".join(["python main.py", *(f"--set {shlex.quote(text)}" for text in texts)])


def begin(choice: Choice, pace: float | None) -> Monitor:
    """Start the run that was chosen.

    Raises:
        ConfigError: a setting is wrong.
    """
    controls = Controls(pace)
    if not choice.folder and not choice.settings:
        raise ConfigError("no run folder is chosen; start a run on the command line, then look again")
    if choice.folder:
        return Monitor(partial(follow, choice.folder), controls)
    changes: dict[str, Any] = {**choice.settings, "plot.kind": "none"}
    if choice.upload:
        changes["csv.path"] = str(_kept(choice.upload))
    config = load(None, changes, [f"threshold.budget={choice.budget}"])
    name = choice.upload.name if choice.upload else None
    return Monitor(partial(run_apart, config, name), controls, partial(reword, path=config.csv.path, name=name))


def reword(sentence: str, path: str | None = None, name: str | None = None) -> str:
    """A sentence for the command line in the words of the page; an upload goes by the name that its owner gave it."""
    for there, here in WORDS:
        sentence = sentence.replace(there, here)
    return sentence.replace(path, name).replace(Path(path).name, name) if path and name else sentence


def samples() -> dict[str, tuple[str, ...]]:
    """The series that come with the program: file -> its columns of numbers."""
    found = {}
    for path in sorted(SAMPLES.glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            found[path.name] = tuple(file.readline().strip().split(",")[1:])
    return found


@cache
def _uploads() -> tempfile.TemporaryDirectory[str]:
    """A folder that only this user may enter, and that goes with the process."""
    return tempfile.TemporaryDirectory(prefix="autoencoder-")


def _kept(upload: Upload) -> Path:
    """Write an upload to a file; nothing but the kind of its name reaches the path."""
    suffix = Path(upload.name).suffix.lower()
    path = Path(_uploads().name) / f"upload{suffix if suffix in SUFFIXES else '.csv'}"
    path.write_bytes(upload.content)
    return path
