"""Run folder: where a run leaves its scores, incidents, model and figures, and where it finds them again."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from autoencoder.errors import ModelError, RunError
from autoencoder.reports.incidents import Incident, time_text
from autoencoder.state import State, pack, unpack
from autoencoder.verdicts import Verdicts

DETECTOR = "detector.npz"  # what the detector learnt
CHECKPOINT = "checkpoint.npz"  # where a run stands
SCORES = "scores.csv"
INCIDENTS = "incidents.jsonl"
METRICS = "metrics.json"
CONFIG = "config.yaml"
PICTURE = "plot.png"
MODEL_FILES = ("model.onnx", "model.keras")
FILES = (SCORES, INCIDENTS, METRICS, PICTURE, *MODEL_FILES, DETECTOR, CONFIG, CHECKPOINT)  # all that a run leaves
LARGEST_MODEL = 1 << 28  # bytes


def default_folder(source: str) -> Path:
    """``runs/<UTC time>-<source>``, not there yet."""
    base = Path("runs") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{source}"
    return next(
        path
        for number in range(1, 1000)
        if not (path := base if number == 1 else base.with_name(f"{base.name}-{number}")).exists()
    )


class RunFolder:
    """The files of one run. Small ones are written whole and renamed into place; rows are appended.

    Args:
        path: the folder; it is made, and must be empty unless ``resume``.
        resume: go on with a run that was cut off.

    Raises:
        ModelError: it holds files of another run (exit code 2).
        RunError: it cannot be written.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self._resumes = resume
        self._scores: IO[bytes] | None = None
        self._incidents: IO[bytes] | None = None
        try:
            if path.exists() and not path.is_dir():
                raise ModelError(f"--out {path} is a file; give a folder that is new or empty")
            self._is_new = not path.exists()
            path.mkdir(parents=True, exist_ok=True)
            if not resume and any(path.iterdir()):
                raise ModelError(f"--out {path} is not empty; give a new folder, or --resume to go on with the run in it")
            probe = path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ModelError(f"--out {path} cannot be written ({error.strerror}); give another folder") from None

    # --- whole files ---

    def write(self, name: str, content: bytes | str) -> Path:
        """Put a file in place at once, or not at all."""
        data = content.encode() if isinstance(content, str) else content
        target, draft = self.path / name, self.path / f".{name}.part"
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as error:
            raise RunError(f"{target} cannot be written ({error.strerror}); free space or give another --out folder") from None
        return target

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """metrics.json; numbers that are not known become null."""
        self.write(METRICS, json.dumps(_plain(metrics), indent=2) + "\n")

    def write_model(self, state: State, files: Mapping[str, bytes]) -> None:
        """What the detector learnt: its files and its state."""
        for name, content in files.items():
            self.write(name, content)
        self.write(DETECTOR, pack(state))

    # --- rows ---

    def open_rows(self, columns: tuple[str, ...], zone: str, keep: tuple[int, int] | None = None) -> None:
        """Open scores.csv and incidents.jsonl for appending; ``keep`` cuts both to so many bytes first (where a checkpoint stood)."""
        self._columns, self._zone = columns, zone
        self._closed_bytes = keep[1] if keep else 0
        self._open: Incident | None = None  # whose line is the last
        try:
            self._scores = (self.path / SCORES).open("r+b" if keep else "wb")
            self._incidents = (self.path / INCIDENTS).open("r+b" if keep else "wb")
            if keep:
                for file, size in ((self._scores, keep[0]), (self._incidents, keep[1])):
                    if file.seek(0, os.SEEK_END) < size:
                        raise ModelError(
                            f"{file.name} is shorter than its checkpoint says ({size:,} bytes); it cannot be resumed; run anew"
                        )
                    file.truncate(size)
                    file.seek(size)
            else:
                self._scores.write((",".join(header(columns)) + "\n").encode())
                self._scores.flush()
        except OSError as error:
            raise RunError(f"{self.path} cannot be written ({error.strerror}); give another --out folder") from None

    @property
    def is_open(self) -> bool:
        """Whether rows can be appended."""
        return self._scores is not None

    def append(self, verdicts: Verdicts, ended: Iterable[Incident], is_open: Incident | None = None) -> None:
        """Write rows and incidents; they are in the files when this returns.

        Each incident has one line. That of an open one is the last, and is written anew as it goes on.
        """
        assert self._scores and self._incidents
        try:
            self._scores.write(rows_text(verdicts, self._zone).encode())
            self._scores.flush()
            closed = "".join(incident.to_json("closed") + "\n" for incident in ended)
            if closed or is_open != self._open:
                self._incidents.seek(self._closed_bytes)
                self._incidents.write(closed.encode())
                self._closed_bytes = self._incidents.tell()
                self._incidents.write((is_open.to_json("open") + "\n").encode() if is_open else b"")
                self._incidents.truncate()
                self._incidents.flush()
                self._open = is_open
        except OSError as error:
            raise RunError(f"{self.path} cannot be written ({error.strerror}); free space and go on with --resume") from None

    def sizes(self) -> tuple[int, int]:
        """Bytes of scores.csv and of the closed incidents in incidents.jsonl so far, all on the disk."""
        assert self._scores and self._incidents
        for file in (self._scores, self._incidents):
            os.fsync(file.fileno())
        return self._scores.tell(), self._closed_bytes

    def discard(self) -> None:
        """Take away again what this run wrote, and the folder if this run made it; a resumed run stays as it is."""
        self.close()
        if self._resumes:
            return
        with contextlib.suppress(OSError):
            for name in FILES:
                self.remove(name)
            if self._is_new:
                self.path.rmdir()

    def close(self) -> None:
        """Close what is open."""
        for file in (self._scores, self._incidents):
            if file:
                file.close()
        self._scores = self._incidents = None


def header(columns: tuple[str, ...]) -> list[str]:
    """Column names of scores.csv."""
    if len(columns) == 1:
        values, predictions = ["value"], ["prediction"]
    else:
        names = [_field(name) for name in columns]
        values, predictions = [f"value_{name}" for name in names], [f"prediction_{name}" for name in names]
    return ["time", *values, *predictions, "error", "threshold", "score", "anomaly"]


def rows_text(verdicts: Verdicts, zone: str) -> str:
    """Rows of scores.csv: values as they came, the rest to nine digits, unknown fields empty."""
    columns: list[list[str]] = [time_text(verdicts.time, zone)]
    columns += [_texts(column, repr) for column in verdicts.values.T]
    columns += [_texts(column, _nine) for column in (*verdicts.predictions.T, verdicts.errors, verdicts.limits, verdicts.scores)]
    columns.append(["1" if flag else "0" for flag in verdicts.flags.tolist()])
    return "".join([",".join(row) + "\n" for row in zip(*columns, strict=True)])


def _texts(column: npt.NDArray[np.float64], form: Any) -> list[str]:
    return [form(value) if value == value else "" for value in column.tolist()]


def _nine(value: float) -> str:
    return f"{value:.9g}"


def _field(name: str) -> str:
    """A column name as a csv field of its own."""
    return "".join("_" if character in ',"\r\n' else character for character in name)


def read_model(folder: Path) -> tuple[State, dict[str, bytes]]:
    """State and files of a saved model.

    Raises:
        ModelError: missing, damaged or too large.
    """
    if not is_folder(folder):
        raise ModelError(f"--model {folder} is not a folder; give the run folder that a run or 'train' left")
    if not has(folder, DETECTOR):
        raise ModelError(f"--model {folder} holds no {DETECTOR}; give the run folder that a run or 'train' left")
    state = unpack(_read(folder / DETECTOR), str(folder / DETECTOR))
    return state, read_model_files(folder)


def read_model_files(folder: Path) -> dict[str, bytes]:
    """Those of the network's files that are there.

    Raises:
        ModelError: one cannot be read, or is too large.
    """
    return {name: _read(folder / name) for name in MODEL_FILES if has(folder, name)}


def is_folder(path: Path) -> bool:
    """Whether a path is a folder that can be looked into."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a name is too long or a parent may not be entered


def has(folder: Path, name: str) -> bool:
    """Whether a folder holds a file of that name."""
    return os.path.isfile(folder / name)  # noqa: PTH113 - as above


def read_checkpoint(folder: Path) -> State | None:
    """Where a cut-off run stands; None where it was cut off before its first checkpoint.

    Raises:
        ModelError: there is no such run, it is done, or its checkpoint is damaged.
    """
    if has(folder, CHECKPOINT):
        return unpack(_read(folder / CHECKPOINT), str(folder / CHECKPOINT))
    if not has(folder, SCORES):
        raise ModelError(f"--resume: {folder} holds no run; give the --out folder of the run that was cut off")
    if _is_done(folder):
        raise ModelError(f"--resume: the run in {folder} is done; there is nothing left to go on with")
    return None


def _is_done(folder: Path) -> bool:
    try:
        metrics = json.loads((folder / METRICS).read_bytes())
    except (OSError, ValueError):  # a run that was killed leaves none
        return False
    return isinstance(metrics, dict) and metrics.get("status") == "done"


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_MODEL:
            raise ModelError(
                f"{path} has {path.stat().st_size:,} bytes; at most {LARGEST_MODEL:,} are read; it was not written by this program"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); copy the run folder again or train again") from None


def read_scores(folder: Path, *, most: int = 1_000_000) -> Verdicts:
    """The newest ``most`` rows of scores.csv.

    Raises:
        ModelError: it cannot be read, or was not written by this program.
    """
    path = folder / SCORES
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = next(csv.reader(file))
            rows = list(deque(csv.reader(file), maxlen=most))
        columns = {name: field for name, field in zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True)}
        values = [name for name in names if name.startswith("value")]
        predictions = [name for name in names if name.startswith("prediction")]

        def numbers(name: str) -> npt.NDArray[np.float64]:
            return np.array([float(field) if field else np.nan for field in columns[name]], dtype=np.float64)

        return Verdicts(
            _times(columns["time"]),
            np.column_stack([numbers(name) for name in values]),
            np.column_stack([numbers(name) for name in predictions]),
            numbers("error"),
            numbers("threshold"),
            numbers("score"),
            np.array([field == "1" for field in columns["anomaly"]], dtype=bool),
        )
    except (OSError, StopIteration, ValueError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path} cannot be read as the scores of a run ({type(error).__name__}); run anew") from None


def _times(fields: Sequence[str]) -> npt.NDArray[np.datetime64] | npt.NDArray[np.int64]:
    if fields and all(field.lstrip("-").isdigit() for field in fields[:3]):
        return np.array(fields, dtype=np.int64)
    return np.array([field.removesuffix("Z") for field in fields], dtype="datetime64[ns]")


def _plain(value: Any) -> Any:
    """The same with plain Python numbers, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
