"""Run folder: where a run leaves its scores, incidents, model and figures, and where it finds them again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.core.errors import ModelError, RunError
from autoencoder.core.state import State, pack, unpack
from autoencoder.core.types import Detections
from autoencoder.reports.disk import (
    NO_PLAIN_FILE,
    GrowingFile,
    draft_of,
    lock,
    open_inside,
    read_whole,
    require_writable,
    write_whole,
)
from autoencoder.reports.incidents import Incident
from autoencoder.reports.rows import header, read_rows, rows_text

DETECTOR = "detector.npz"  # what the detector learnt
CHECKPOINT = "checkpoint.npz"  # where a run stands
SCORES = "scores.csv"
INCIDENTS = "incidents.jsonl"
ADAPTATIONS = "adaptations.jsonl"
METRICS = "metrics.json"
CONFIG = "config.yaml"
PICTURE = "plot.png"
LOG = "anomalies.log"
SPOOL = "alerts.jsonl"  # alerts that wait to be delivered
MODEL_FILES = ("model.onnx", "model.keras")
RECORDS = (SCORES, INCIDENTS, ADAPTATIONS, LOG)
FILES = (*RECORDS, METRICS, PICTURE, *MODEL_FILES, DETECTOR, CONFIG, CHECKPOINT, SPOOL)  # all that a run leaves
LARGEST_MODEL = 1 << 28  # bytes
LARGEST_METRICS = 1 << 24


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
        self._scores: GrowingFile | None = None
        self._incidents: GrowingFile | None = None
        try:
            if path.exists() and not path.is_dir():
                raise ModelError(f"--out {path} is a file; give a folder that is new or empty")
            self._is_new = not path.exists()
            path.mkdir(parents=True, exist_ok=True)
            if not resume and any(path.iterdir()):
                raise ModelError(f"--out {path} is not empty; give a new folder, or --resume to go on with the run in it")
            require_writable(path)
            release = lock(self, path)
        except OSError as error:
            raise ModelError(f"--out {path} cannot be written ({error.strerror}); give another folder") from None
        if not release:
            raise ModelError(f"--out {path} belongs to a run that is still going on; wait for its end, or give another folder")
        self._release = release

    # --- whole files ---

    def write(self, name: str, content: bytes | str) -> Path:
        """Put a file in place at once, or not at all."""
        target = self.path / name
        try:
            write_whole(target, content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise RunError(f"{target} cannot be written ({error.strerror}); free space or give another --out folder") from None
        return target

    def remove(self, name: str) -> None:
        """Take a file away, if it is there, and what a kill may have left of it."""
        target = self.path / name
        for path in (target, draft_of(target)):
            path.unlink(missing_ok=True)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """metrics.json; numbers that are not known become null."""
        self.write(METRICS, json.dumps(_plain(metrics), indent=2) + "\n")

    def write_model(self, state: State, files: Mapping[str, bytes]) -> None:
        """What the detector learnt: its files and its state."""
        for name, content in files.items():
            self.write(name, content)
        self.write(DETECTOR, pack(state))

    # --- rows ---

    def open_rows(
        self, columns: tuple[str, ...], zone: str, keep: tuple[int, int] | None = None, *, of_many: bool = False
    ) -> None:
        """Open scores.csv and incidents.jsonl for appending.

        Args:
            columns: names of the F value columns.
            zone: what is put behind every time.
            keep: bytes that both files are cut to first (where a checkpoint stood).
            of_many: every row says which series it belongs to.
        """
        self._columns, self._zone = columns, zone
        self._closed_bytes = keep[1] if keep else 0
        self._open: Incident | None = None  # whose line is the last
        try:
            self._scores = GrowingFile(self.path / SCORES, keep[0] if keep else 0)
            self._incidents = GrowingFile(self.path / INCIDENTS, keep[1] if keep else 0)
            if not keep:
                self._scores.write((",".join(header(columns, of_many=of_many)) + "\n").encode())
            for name in FILES:
                draft_of(self.path / name).unlink(missing_ok=True)  # a run that was killed may have left one
        except EOFError as error:
            raise ModelError(f"{error}, fewer than its checkpoint says; it cannot be resumed; run anew") from None
        except OSError as error:
            if error.errno in NO_PLAIN_FILE:
                raise ModelError(f"{error.filename} is a link, or no file at all; it is not gone on with; run anew") from None
            raise RunError(f"{self.path} cannot be written ({error.strerror}); give another --out folder") from None

    @property
    def is_open(self) -> bool:
        """Whether rows can be appended."""
        return self._scores is not None

    def append(
        self,
        detections: Detections,
        ended: Iterable[Incident],
        is_open: Incident | None = None,
        series: Sequence[str] | None = None,
    ) -> None:
        """Write rows, where there are many series with the field (N,) that says which one each is of, and incidents.

        They are in the files when this returns.

        Each incident has one line. That of an open one is the last, and is written anew as it goes on.
        """
        assert self._scores and self._incidents
        try:
            self._scores.write(rows_text(detections, self._zone, series).encode())
            closed = "".join(incident.to_json("closed") + "\n" for incident in ended).encode()
            if closed or is_open != self._open:
                last = (is_open.to_json("open") + "\n").encode() if is_open else b""
                self._incidents.write(closed + last, self._closed_bytes)
                self._closed_bytes += len(closed)
                self._open = is_open
        except OSError as error:
            raise RunError(f"{self.path} cannot be written ({error.strerror}); free space and go on with --resume") from None

    def sizes(self) -> tuple[int, int]:
        """Bytes of scores.csv and of the closed incidents in incidents.jsonl so far, all on the disk.

        Raises:
            RunError: they are not, or nobody will find them: the folder is gone.
        """
        assert self._scores and self._incidents
        try:
            for file in (self._scores, self._incidents):
                file.sync()
        except OSError as error:
            raise RunError(f"{self.path} cannot be written ({error.strerror}); run anew on a sound disk") from None
        if not (self._scores.is_in_place() and self._incidents.is_in_place()):
            raise RunError(f"{self.path} was moved or removed while the run went on; put it back and go on with --resume")
        return self._scores.size, self._closed_bytes

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
        """Close what is open; another run may have the folder now."""
        self._release()
        for file in (self._scores, self._incidents):
            if file:
                file.close()
        self._scores = self._incidents = None


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
    status = read_metrics(folder).get("status")
    if status == "trained" or not has(folder, CONFIG):
        raise ModelError(f"--resume: {folder} holds no run; give the --out folder of the run that was cut off")
    if status == "done":
        raise ModelError(f"--resume: the run in {folder} is done; there is nothing left to go on with")
    return None


def read_metrics(folder: Path) -> dict[str, Any]:
    """What metrics.json holds; empty where there is none: a run that was killed leaves none."""
    try:
        metrics = json.loads(read_whole(folder / METRICS, LARGEST_METRICS) or b"")
    except (OSError, ValueError, RecursionError):
        return {}
    return metrics if isinstance(metrics, dict) else {}


def _read(path: Path) -> bytes:
    try:
        data = read_whole(path, LARGEST_MODEL)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); copy the run folder again or train again") from None
    if data is None:
        raise ModelError(f"{path} is too large: at most {LARGEST_MODEL:,} bytes are read; it was not written by this program")
    return data


def require_inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder that a stranger may have made.

    Raises:
        ModelError: it cannot be read, or leads out of the folder.
    """
    try:
        open_inside(folder / name).close()
    except OSError as error:
        raise ModelError(f"{folder / name} cannot be read ({error.strerror}); copy the run folder again") from None
    return folder / name


def read_scores(folder: Path, *, most: int = 1_000_000) -> Detections:
    """The newest ``most`` rows of scores.csv.

    Raises:
        ModelError: it cannot be read, or was not written by this program.
    """
    return read_rows(folder / SCORES, most)


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
