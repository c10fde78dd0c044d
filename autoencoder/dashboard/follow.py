"""Follow: what a run folder says of its run, from the first row to the end."""

from __future__ import annotations

import csv
import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autoencoder.config import Config, load
from autoencoder.core.errors import AutoencoderError, ModelFileError
from autoencoder.core.types import Detections
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import Incident
from autoencoder.reports.run_folder import CONFIG, INCIDENTS, METRICS, SCORES, has, read_metrics, require_inside
from autoencoder.reports.scores_csv import parse_scores
from autoencoder.sources.synthetic import KINDS, Signal, SyntheticSource

if TYPE_CHECKING:
    from autoencoder.dashboard.launch import Run

BLOCK_BYTES = 1 << 18  # read at a time
READ_SECONDS = 0.2  # of reading in one poll: a page waits for it
MAX_FOLDERS = 200
MAX_POINTS = 200_000  # newest points that are kept for the chart; scores.csv has them all

Bools = npt.NDArray[np.bool_]


class State(Enum):
    """Where a run stands; the value is what the page calls it."""

    STARTING = "Starting"
    TRAINING = "Training"
    RUNNING = "Running"
    DONE = "Done"
    STOPPED = "Stopped"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment."""

    name: str  # of the series, or of its folder
    folder: Path
    state: State = State.STARTING
    fault: str | None = None  # why it failed, as a sentence
    config: Config | None = None  # None until the folder holds one
    columns: tuple[str, ...] = ()
    is_zoned: bool = False  # its times are in UTC; else they carry no zone
    detections: Detections | None = None  # the newest N points; None before the first one
    labels: Bools | None = None  # (N,) True inside a known anomaly; None where none are known
    points: int = 0  # so far; more than N where the oldest are not kept
    judged: int = 0
    flagged: int = 0
    training_points: int = 0  # points before the first that is judged
    incidents: tuple[Incident, ...] = ()  # all of them, in order
    is_open: bool = False  # the last one goes on
    found: tuple[int, float] | None = None  # known anomalies and the share of them that was found, as the run says at its end

    @property
    def is_live(self) -> bool:
        """More may come."""
        return self.state not in (State.DONE, State.STOPPED, State.FAILED)

    @property
    def first_row(self) -> int:
        """Row in the stream of the first of ``detections``."""
        return self.points - (0 if self.detections is None else len(self.detections))

    @property
    def false_alarm_share(self) -> float | None:
        """Flagged share of the points after the training part and outside of all known anomalies; None where none are known."""
        if self.detections is None or self.labels is None:
            return None
        judged = slice(max(self.training_points - self.first_row, 0), None)
        normal = self.detections.anomalies[judged][~self.labels[judged]]
        return float(normal.mean()) if len(normal) else None


class Follower:
    """Reads a run folder, or that of a run which the page started and which may not be there yet; may be polled from any thread."""

    def __init__(self, subject: Path | Run) -> None:
        self.run = None if isinstance(subject, Path) else subject
        folder = subject if isinstance(subject, Path) else subject.folder
        self._lock = threading.Lock()
        self._scores, self._incidents = _Scores(folder), _Incidents(folder)
        self._now = Snapshot(subject.name, folder)

    def poll(self) -> Snapshot:
        """Read what is new; returns the run as it is now."""
        with self._lock:
            if self._now.is_live:
                try:
                    self._now = self._look()
                except AutoencoderError as error:
                    if not (self.run and self.run.is_alive):  # a run that fails takes its folder away before it ends
                        fault = self.run.fault if self.run else None
                        self._now = replace(self._now, state=State.FAILED, fault=fault or str(error))
            return self._now

    def _look(self) -> Snapshot:
        now, folder = self._now, self._now.folder
        was_over = self._is_over()  # asked before the rows are read: none that came before the end is missed
        new = None
        if has(folder, CONFIG) and has(folder, SCORES):
            if now.config is None:
                now = replace(now, config=load(None, saved=require_inside(folder, CONFIG), whole=True))
            new = self._scores.read()
            if self._scores.began_anew:
                now, self._incidents = Snapshot(now.name, folder, config=now.config), _Incidents(folder)
            now = self._with_rows(now, new) if new else now
            closed, last = self._incidents.read()
            now = replace(now, incidents=(*closed, last) if last else tuple(closed), is_open=last is not None)
        elif not self.run:
            raise ModelFileError(f"{folder} holds no run ({CONFIG} and {SCORES}); choose the --out folder of a run")
        if was_over and not new:
            return self._ended(now)
        return replace(now, state=State.RUNNING if now.judged else State.TRAINING if now.config else State.STARTING)

    def _with_rows(self, now: Snapshot, new: Detections) -> Snapshot:
        """The run with M points more."""
        points, judged = now.points + len(new), np.isfinite(new.thresholds)  # (M,)
        known = _known_anomalies(now.config, now.points, points) if now.config else None
        training_points = now.training_points
        if not now.judged:  # how many there are, no file says before the end
            training_points = now.points + int(judged.argmax()) if judged.any() else points
        return replace(
            now,
            columns=self._scores.columns,
            is_zoned=self._scores.is_zoned,
            detections=Detections.concatenate([now.detections, new] if now.detections else [new])[-MAX_POINTS:],
            labels=known if known is None or now.labels is None else np.concatenate([now.labels, known])[-MAX_POINTS:],
            points=points,
            judged=now.judged + int(judged.sum()),
            flagged=now.flagged + int(new.anomalies.sum()),
            training_points=training_points,
        )

    def _is_over(self) -> bool:
        """Whether nothing more is written; a resumed run leaves the metrics of the one before lying, and writes newer rows."""
        if self.run:
            return not self.run.is_alive
        folder = self._now.folder
        with suppress(OSError):
            done = (folder / METRICS).stat().st_mtime_ns
            return done >= max((folder / name).stat().st_mtime_ns for name in (SCORES, INCIDENTS))
        return False

    def _ended(self, now: Snapshot) -> Snapshot:
        """The run as its process and its metrics.json say that it ended."""
        metrics = read_metrics(now.folder)
        status, found = str(metrics.get("status", "interrupted")), None
        with suppress(LookupError, TypeError, ValueError):
            found = int(metrics["quality"]["known_anomalies"]), float(metrics["quality"]["event_recall"])
        fault = self.run.fault if self.run else None
        if not fault and status not in ("done", "interrupted"):
            fault = f"{now.folder}: {status}"
        state = State.FAILED if fault else State.DONE if status == "done" else State.STOPPED
        return replace(now, state=state, fault=fault, is_open=False, found=found)


def _known_anomalies(config: Config, start: int, stop: int) -> Bools | None:
    """Which of the rows [start, stop) lie in an anomaly of the synthetic stream that was asked for; None of any other stream."""
    if config.source != "synthetic":
        return None
    chosen, anomalies = config.synthetic, config.synthetic.anomalies
    source = SyntheticSource(
        length=chosen.points,
        seed=config.seed,
        signal=Signal(period=chosen.season.period),
        kinds=tuple(kind for kind in KINDS if getattr(anomalies, kind)),
        rate=anomalies.rate,
        start_after=anomalies.start_after,
    )
    labels = np.zeros(stop - start, dtype=bool)
    for event in source.events(stop):
        labels[max(0, event.start - start) : max(0, event.end - start)] = True
    return labels


class _Scores:
    """Reads scores.csv of a run folder from where it stopped."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SCORES
        self._offset = 0
        self._names: list[str] = []
        self.columns: tuple[str, ...] = ()  # names of the value columns
        self.began_anew = False  # the file got shorter before the last call of ``read``, which began again with its first row
        self.is_zoned = False  # see ``Snapshot``

    def read(self) -> Detections | None:
        """The next rows, None where there are none; half a row waits. ModelFileError where they are not those of one series."""
        end = time.monotonic() + READ_SECONDS
        blocks: list[Detections] = []
        try:
            with open_inside(self._path) as file:
                self.began_anew = os.fstat(file.fileno()).st_size < self._offset
                self._offset = 0 if self.began_anew else self._offset
                while time.monotonic() < end and (block := self._next_block(file)):
                    blocks.append(block)
        except (OSError, ValueError, LookupError, OverflowError, csv.Error) as error:
            raise ModelFileError(
                f"{self._path} cannot be read as the scores of a run ({type(error).__name__}); run anew"
            ) from None
        return Detections.concatenate(blocks) if blocks else None

    def _next_block(self, file: BufferedReader) -> Detections | None:
        file.seek(self._offset)
        text = file.read(BLOCK_BYTES)
        text = text[: text.rfind(b"\n") + 1]
        rows = list(csv.reader(text.decode().splitlines()))
        if rows and not self._offset:
            self._names = rows.pop(0)
            self.columns = tuple(name.removeprefix("value_") for name in self._names if name.startswith("value"))
            if "series" in self._names:
                raise ModelFileError(f"{self._path} holds many series; the dashboard shows one: run the file of one series")
        self._offset += len(text)
        if not rows:
            return None
        self.is_zoned = rows[0][0].endswith("Z")
        return parse_scores(self._names, rows)


class _Incidents:
    """Reads incidents.jsonl of a run folder; its last line is written anew as long as its incident is open."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / INCIDENTS
        self._offset = 0  # of the first line that may still change
        self._closed: list[Incident] = []
        self._open: Incident | None = None

    def read(self) -> tuple[list[Incident], Incident | None]:
        """All incidents that are over, and the one that is open; a line that is being written is left for the next call."""
        with suppress(OSError, ValueError, LookupError, TypeError, RecursionError), open_inside(self._path) as file:
            file.seek(self._offset)
            self._open = None
            for line in file.read(BLOCK_BYTES).splitlines(keepends=True):
                fields = json.loads(line)
                if fields["status"] == "open":
                    self._open = _incident(fields)
                else:
                    self._closed.append(_incident(fields))
                    self._offset += len(line)
        return self._closed, self._open


def _incident(fields: dict[str, Any]) -> Incident:
    """An incident as it was written down; whatever the page computes with is a number."""

    def numbers(value: Any) -> tuple[float, ...]:
        return tuple(np.nan if each is None else float(each) for each in (value if isinstance(value, list) else [value]))

    made: dict[str, Any] = {key: value for key, value in fields.items() if key != "status"}
    for key, kind in (("peak_value", numbers), ("expected", numbers), ("first_row", int), ("last_row", int), ("severity", float)):
        made[key] = kind(fields[key])
    return Incident(**made)


def run_folders(base: Path) -> list[Path]:
    """Run folders directly below ``base`` and ``base/runs``, the one that was written last first."""
    files = [file for pattern in (f"*/{SCORES}", f"runs/*/{SCORES}") for file in base.glob(pattern)]
    return [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)[:MAX_FOLDERS]]
