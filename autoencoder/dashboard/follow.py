"""Follow: what a run folder says of its run, from the first row to the end."""

from __future__ import annotations

import csv
import json
import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autoencoder.config import Config, load
from autoencoder.core.errors import AutoencoderError, ConfigError, ModelFileError
from autoencoder.core.types import Bools, Detections
from autoencoder.factory.sources import open_source
from autoencoder.reports.evaluation import inside, quality_of
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import Incident
from autoencoder.reports.odometer import DAY, Known, Odometer
from autoencoder.reports.run_folder import CONFIG, INCIDENTS, METRICS, SCORES, has, read_metrics, require_inside
from autoencoder.reports.scores_csv import parse_scores
from autoencoder.sources.chunk import ignore
from autoencoder.thresholds.budget import Budget, interval_of

if TYPE_CHECKING:
    from autoencoder.dashboard.launch import Run

BLOCK_BYTES = 1 << 18  # read at a time
READ_SECONDS = 0.2  # of reading in one poll: a page waits for it
MAX_FOLDERS = 200
MAX_POINTS = 200_000  # newest points that are kept for the chart; scores.csv has them all


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
    open: int = 0  # of them, the last ones, that go on
    known: Known | None = None  # how it met the known anomalies, as it says at its end

    @property
    def is_live(self) -> bool:
        """More may come."""
        return self.state not in (State.DONE, State.STOPPED, State.FAILED)

    @property
    def first_row(self) -> int:
        """Row in the stream of the first of ``detections``."""
        return self.points - (0 if self.detections is None else len(self.detections))

    @property
    def found(self) -> Known | None:
        """How the run met the known anomalies so far; None where none are known."""
        if self.known or self.detections is None or self.labels is None:
            return self.known
        begin = max(self.training_points - self.first_row, 0)
        flags, offset = self.detections.anomalies[begin:], self.first_row + begin
        shown = [each for each in self.incidents if each.first_row >= offset]
        spans, alarms = (
            [(each.first_row - offset, each.last_row + 1 - offset) for each in some]
            for some in (shown, [each for each in shown if each.alarm])
        )
        return Known.of(quality_of(self.labels[begin:], flags, spans, alarms))

    @property
    def odometer(self) -> Odometer:
        """What was flagged and rung so far, beside what the budget allows."""
        interval = 0.0 if self.detections is None else interval_of(self.detections.time)
        allowed = math.nan
        with suppress(ConfigError):
            if self.config:
                allowed = Budget.parse(self.config.threshold.budget).share(interval) * self.judged
        alarms, days = sum(each.alarm for each in self.incidents), interval * self.judged / DAY or math.nan
        return Odometer(self.judged, self.flagged, allowed, len(self.incidents), alarms, days)


class Follower:
    """Reads a run folder, or that of a run which the page started and which may not be there yet; may be polled from any thread."""

    def __init__(self, subject: Path | Run) -> None:
        self.run = None if isinstance(subject, Path) else subject
        self._lock = threading.Lock()
        self._begin(Snapshot(subject.name, subject if isinstance(subject, Path) else subject.folder))

    def _begin(self, snapshot: Snapshot) -> None:
        self._now = snapshot
        self._scores_read = 0  # bytes of scores.csv
        self._incidents_read = 0  # bytes of incidents.jsonl before the first line that may still change
        self._names: list[str] = []  # of the columns of scores.csv

    def poll(self) -> Snapshot:
        """Read what is new; returns the run as it is now."""
        with self._lock:
            if self._now.is_live:
                try:
                    self._look()
                except AutoencoderError as error:
                    if not (self.run and self.run.is_alive):  # a run that fails takes its folder away before it ends
                        fault = self.run.fault if self.run else None
                        self._now = replace(self._now, state=State.FAILED, fault=fault or str(error))
            return self._now

    def _look(self) -> None:
        folder = self._now.folder
        was_over, is_new = self._is_over(), False  # asked before the rows are read: none that came before the end is missed
        if has(folder, CONFIG) and has(folder, SCORES):
            if self._now.config is None:
                self._now = replace(self._now, config=load(None, saved=require_inside(folder, CONFIG), whole=True))
            is_new = self._read_scores(folder / SCORES)
            self._read_incidents(folder / INCIDENTS)
        elif not self.run:
            raise ModelFileError(f"{folder} holds no run ({CONFIG} and {SCORES}); choose the --out folder of a run")
        if was_over and not is_new:
            self._end()
        else:
            state = State.RUNNING if self._now.judged else State.TRAINING if self._now.config else State.STARTING
            self._now = replace(self._now, state=state)

    def _read_scores(self, path: Path) -> bool:
        """Take in the next rows; returns whether there are any. ModelFileError: they are not those of one series."""
        end = time.monotonic() + READ_SECONDS
        blocks: list[Detections] = []
        try:
            if path.stat().st_size < self._scores_read:
                self._begin(Snapshot(self._now.name, self._now.folder, config=self._now.config))
            while time.monotonic() < end and (text := b"".join(_whole_lines(path, self._scores_read))):
                rows = list(csv.reader(text.decode().splitlines()))
                if not self._scores_read:
                    self._names = rows.pop(0)
                    if "series" in self._names:
                        raise ModelFileError(f"{path} holds many series; the dashboard shows one: run the file of one series")
                self._scores_read += len(text)
                if rows:
                    self._now = replace(self._now, is_zoned=rows[0][0].endswith("Z"))
                    blocks.append(parse_scores(self._names, rows))
        except (OSError, ValueError, LookupError, OverflowError, csv.Error) as error:
            raise ModelFileError(f"{path} cannot be read as the scores of a run ({type(error).__name__}); run anew") from None
        if blocks:
            self._add(Detections.concatenate(blocks))
        return bool(blocks)

    def _add(self, new: Detections) -> None:
        """Count M points more, and keep the newest."""
        now, judged = self._now, np.isfinite(new.thresholds)  # (M,)
        points, training_points = now.points + len(new), now.training_points
        if not now.judged:  # how many there are, no file says before the end
            training_points = now.points + int(judged.argmax()) if judged.any() else points
        detections = Detections.concatenate([now.detections, new] if now.detections else [new])[-MAX_POINTS:]
        self._now = replace(
            now,
            columns=tuple(name.removeprefix("value_") for name in self._names if name.startswith("value")),
            detections=detections,
            labels=_known_anomalies(now.config, points - len(detections), points) if now.config else None,
            points=points,
            judged=now.judged + int(judged.sum()),
            flagged=now.flagged + int(new.anomalies.sum()),
            training_points=training_points,
        )

    def _read_incidents(self, path: Path) -> None:
        """Take in what is new; the last lines are written anew as long as their incidents are open."""
        last: list[Incident] = []
        closed = list(self._now.incidents[: len(self._now.incidents) - self._now.open])
        with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            for line in _whole_lines(path, self._incidents_read):
                record = json.loads(line)
                incident = Incident.from_record(record)
                if record["status"] == "open":
                    last.append(incident)
                else:
                    closed.append(incident)
                    self._incidents_read += len(line)
        self._now = replace(self._now, incidents=(*closed, *last), open=len(last))

    def _is_over(self) -> bool:
        """Whether nothing more is written; a resumed run leaves the metrics of the one before lying, and writes newer rows."""
        if self.run:
            return not self.run.is_alive
        folder = self._now.folder
        with suppress(OSError):
            done = (folder / METRICS).stat().st_mtime_ns
            return done >= max((folder / name).stat().st_mtime_ns for name in (SCORES, INCIDENTS))
        return False

    def _end(self) -> None:
        """Say how the run ended, by its process and its metrics.json."""
        metrics = read_metrics(self._now.folder)
        status, known = str(metrics.get("status", "interrupted")), None
        with suppress(LookupError, TypeError, ValueError, AttributeError):
            known = Known.of(metrics["quality"])
        fault = self.run.fault if self.run else None
        if not fault and status not in ("done", "interrupted"):
            fault = f"{self._now.folder}: {status}"
        state = State.FAILED if fault else State.DONE if status == "done" else State.STOPPED
        self._now = replace(self._now, state=state, fault=fault, open=0, known=known)


def _whole_lines(path: Path, start: int) -> list[bytes]:
    """The lines of a file from that byte on, as many as are read at a time; half a line waits. OSError: as from ``open_inside``."""
    with open_inside(path) as file:
        file.seek(start)
        text = file.read(BLOCK_BYTES)
    return text[: text.rfind(b"\n") + 1].splitlines(keepends=True)


def _known_anomalies(config: Config, start: int, stop: int) -> Bools | None:
    """Which of the rows [start, stop) lie in an anomaly of the synthetic stream that was asked for; None of any other stream."""
    if config.source != "synthetic":
        return None
    known = open_source(config, ignore).events(stop)
    return inside([(event.start - start, event.end - start) for event in known], stop - start)


def run_folders(base: Path) -> list[Path]:
    """Run folders directly below ``base`` and ``base/runs``, the one that was written last first."""
    files = [file for pattern in (f"*/{SCORES}", f"runs/*/{SCORES}") for file in base.glob(pattern)]
    return [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)[:MAX_FOLDERS]]
