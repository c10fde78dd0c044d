"""Run folder: where a run leaves its results, model and figures, and where it finds them again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.core.errors import ModelFileError, OutputError, ResumeError
from autoencoder.core.state import State, pack, unpack
from autoencoder.reports.files import draft_of, lock, open_inside, read_whole, reporting, require_writable, write_whole

DETECTOR = "detector.npz"  # what the detector learnt
SCORES = "scores.csv"
INCIDENTS = "incidents.jsonl"
ADAPTATIONS = "adaptations.jsonl"
METRICS = "metrics.json"
CONFIG = "config.yaml"
PLOT = "plot.png"
COLUMNS_PLOT = "columns.png"  # the worst incidents of several columns
LOG = "anomalies.log"
FEEDBACK = "feedback.jsonl"  # what people said of incidents, see ``autoencoder.feedback``
MODEL_FILES = ("model.onnx", "model.keras")
# what a finished run leaves
RESULTS = (SCORES, INCIDENTS, ADAPTATIONS, LOG, METRICS, PLOT, COLUMNS_PLOT, *MODEL_FILES, DETECTOR, CONFIG)
CHECKPOINT = "checkpoint.npz"  # where a run stands
PIECES = "checkpoint.sqlite"  # what is large of many series in it
STATE = "state.npz"  # where a detector of the Python API stands
GIVEN = "given.npz"  # the model that a run was given, as it was, until the run is done
REPLAY = "replay.csv"  # rows that a server acknowledged after its checkpoint, until they are judged again
MARK = ".run"  # says that the files beside it are those of a run that is not done
BEGINS, GOES_ON = "a run begins here\n", "a run goes on here\n"  # what it says, before and after the configuration is there
OUTBOX = "alerts.sqlite"  # alerts that wait to be delivered
SQLITE = ("", "-wal", "-shm", "-journal")  # such a file, and what is beside it while it is in use
FILES = (*RESULTS, FEEDBACK, CHECKPOINT, GIVEN, REPLAY, MARK, *(name + each for name in (PIECES, OUTBOX) for each in SQLITE))
MAX_MODEL_BYTES = 1 << 28
MAX_CHECKPOINT_BYTES = (1 << 32) - 1  # a third of a megabyte for each LSTM series; more is no plain zip archive
MAX_METRICS_BYTES = 1 << 24


def default_folder(source: str) -> Path:
    """``runs/<UTC time>-<source>``, not there yet."""
    base = Path("runs") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{source}"
    names = (base.name, *(f"{base.name}-{number}" for number in range(2, 1000)))
    return next(path for path in map(base.with_name, names) if not path.exists())


class Found(Enum):
    """What there is in a folder that a run is to go on with."""

    NOTHING = "nothing"  # it is new or empty, or a run was killed in it before it had begun
    RUN = "a run"  # that was cut off
    DONE = "a run that is done"


class RunFolder:
    """The folder of one run, locked while that goes on. Files are written whole and renamed into place.

    Args:
        path: the folder; it is made, and must be empty unless ``resume``.
        resume: go on with a run that was cut off.

    Raises:
        OutputError: it holds files of another run, or cannot be written.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self._resumes = resume
        try:
            if path.exists() and not path.is_dir():
                raise OutputError(f"--out {path} is a file; give a folder that is new or empty")
            self._is_new = not path.exists()
            path.mkdir(parents=True, exist_ok=True)
            if not resume and any(path.iterdir()):
                raise OutputError(f"--out {path} is not empty; give a new folder, or --resume to go on with the run in it")
            release = lock(self, path)
            for name in FILES if release else ():
                draft_of(path / name).unlink(missing_ok=True)  # a run that was killed may have left one
            if release:
                require_writable(path / CONFIG)
        except OSError as error:
            raise OutputError(f"--out {path} cannot be written ({error.strerror}); give another folder") from None
        if not release:
            raise OutputError(f"--out {path} belongs to a run that is still going on; wait for its end, or give another folder")
        self._release = release

    def find_run(self) -> Found:
        """What there is to go on with; nothing is changed.

        Raises:
            ResumeError: the folder holds something else.
        """
        found = self._found()
        if found is Found.NOTHING:
            self._resumes = False
        return found

    def _found(self) -> Found:
        path = self.path
        if has(path, CHECKPOINT):
            return Found.RUN
        give = "give the --out folder of the run that was cut off, or a new one"
        status = read_metrics(path).get("status")
        if status == "trained" or has(path, STATE):
            raise ResumeError(f"--resume: {path} holds a model and no run; {give}")
        if status == "done" and has(path, CONFIG):
            return Found.DONE
        mark = self._mark()
        if mark and has(path, CONFIG):
            return Found.RUN
        # only the mark proves whose files these are: a model that was copied has the same names as what a kill leaves
        others = sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
        if others and mark != BEGINS:
            raise ResumeError(f"--resume: {path} holds files that are no run's, as {others[0]!r:.80}; {give}")
        return Found.NOTHING

    def _mark(self) -> str:
        """What the mark says; empty where there is none that a run wrote."""
        try:
            text = read_whole(self.path / MARK, len(GOES_ON)).decode(errors="replace")
        except OSError:
            return ""
        return text if text in (BEGINS, GOES_ON) else ""

    def begin(self) -> None:
        """Mark the folder as that of a run, first of all, and take away what one left that was killed before it had begun."""
        self.write(MARK, BEGINS)
        for name in FILES:
            if name != MARK:
                self.remove(name)

    def write_config(self, text: str) -> None:
        """Write the configuration; from here on there is a run that can be resumed."""
        self.write(CONFIG, text)
        self.write(MARK, GOES_ON)

    def end(self) -> None:
        """The run is done: take away what it would have needed to go on."""
        for name in (CHECKPOINT, *(PIECES + ending for ending in SQLITE), GIVEN, REPLAY, MARK):
            self.remove(name)

    def write(self, name: str, content: bytes | str) -> Path:
        """Put a file in place at once, or not at all. Raises RunError: it cannot be written."""
        target = self.path / name
        with reporting(target, "free space or give another --out folder"):
            write_whole(target, content.encode() if isinstance(content, str) else content)
        return target

    def remove(self, name: str) -> None:
        """Take a file away, if it is there, and what a kill may have left of it."""
        target = self.path / name
        for path in (target, draft_of(target)):
            path.unlink(missing_ok=True)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """metrics.json; unknown numbers become null."""
        self.write(METRICS, json.dumps(plain(metrics), indent=2) + "\n")

    def write_model(self, state: State, files: Mapping[str, bytes]) -> None:
        """What the detector learnt: its files and its state."""
        for name, content in files.items():
            self.write(name, content)
        self.write(DETECTOR, pack(state))

    def discard(self) -> None:
        """Take away what this run wrote, and the folder if this run made it; a resumed run stays as it is."""
        self.close()
        if self._resumes:
            return
        with contextlib.suppress(OSError):
            for name in FILES:
                self.remove(name)
            if self._is_new:
                self.path.rmdir()

    def close(self) -> None:
        """Release the folder: another run may have it now."""
        self._release()


def read_model(folder: Path) -> tuple[State, dict[str, bytes]]:
    """State and files of a saved model. Raises ModelFileError: missing, damaged or too large."""
    if not is_folder(folder):
        raise ModelFileError(f"--model {folder} is not a folder; give the run folder that a run or 'train' left")
    if not has(folder, DETECTOR):
        if "baseline_until_row" in (read_metrics(folder).get("adaptation") or ()):
            raise ModelFileError(
                f"--model {folder} holds no model: the forecast that its run began with served to the end; "
                "give a run with more points, or a model of 'train'"
            )
        raise ModelFileError(f"--model {folder} holds no {DETECTOR}; give the run folder that a run or 'train' left")
    state = unpack(read_file(folder / DETECTOR), str(folder / DETECTOR))
    return state, read_model_files(folder)


def read_model_files(folder: Path) -> dict[str, bytes]:
    """Those of the network's files that are there; ModelFileError where one cannot be read or is too large."""
    return {name: read_file(folder / name) for name in MODEL_FILES if has(folder, name)}


def is_folder(path: Path) -> bool:
    """Whether a path is a folder."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a name is too long or a parent may not be entered


def has(folder: Path, name: str) -> bool:
    """Whether a folder holds a file of that name."""
    return os.path.isfile(folder / name)  # noqa: PTH113 - as above


def read_checkpoint(folder: Path) -> State | None:
    """Where a cut-off run stands; None where it was cut off before its first checkpoint, ModelFileError where it is damaged."""
    if not has(folder, CHECKPOINT):
        return None
    return unpack(read_file(folder / CHECKPOINT, MAX_CHECKPOINT_BYTES), str(folder / CHECKPOINT))


def read_metrics(folder: Path) -> dict[str, Any]:
    """What metrics.json holds; empty where there is none: a run that was killed leaves none."""
    try:
        metrics = json.loads(read_whole(folder / METRICS, MAX_METRICS_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return metrics if isinstance(metrics, dict) else {}


def read_file(path: Path, max_bytes: int = MAX_MODEL_BYTES) -> bytes:
    """The content of a file in a saved folder. Raises ModelFileError: it cannot be read or is too large."""
    with _legible(path):
        return read_whole(path, max_bytes)


def require_inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder of unknown origin; ModelFileError where it cannot be read or leads out of the folder."""
    with _legible(folder / name):
        open_inside(folder / name).close()
    return folder / name


@contextlib.contextmanager
def _legible(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); copy the run folder again or train again") from None


def plain(value: Any, digits: int | None = 6) -> Any:
    """The same with plain Python numbers of so many decimals (None: all), NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return (value if digits is None else round(value, digits)) if np.isfinite(value) else None
    return value
