"""Folder: a run that another process writes, followed by reading its run folder."""

from __future__ import annotations

import csv
import json
import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.config import Config, load
from autoencoder.core.errors import ModelError, RunError
from autoencoder.core.types import Detections
from autoencoder.dashboard.board import About, Board, Phase
from autoencoder.dashboard.session import Controls
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import Incident
from autoencoder.reports.run_folder import CONFIG, DETECTOR, INCIDENTS, METRICS, SCORES, has, read_metrics, require_inside
from autoencoder.reports.scores_csv import parse_scores
from autoencoder.reports.sinks import Batch
from autoencoder.reports.statistics import RunStatistics

POLL_SECONDS = 0.25  # between two looks at a folder in which nothing is new
BLOCK = 1 << 18  # bytes read at a time
MOST_FOLDERS = 200


def run_folders(base: Path) -> list[Path]:
    """Run folders directly below ``base`` and ``base/runs``, the one that was written last first."""
    found = [file.parent for pattern in (f"*/{SCORES}", f"runs/*/{SCORES}") for file in base.glob(pattern)]
    return sorted(found, key=_last_written, reverse=True)[:MOST_FOLDERS]


def follow(folder: Path, board: Board, controls: Controls) -> None:
    """Show what is in a run folder and what is added to it, until its run is over.

    Args:
        folder: the run folder.
        board: told of everything.
        controls: obeyed; a pause holds up the reading, not the run.

    Raises:
        ModelError: it is no run folder.
        RunError: the run has failed.
        KeyboardInterrupt: the run, or the following of it, was interrupted.
        ConfigError: its configuration cannot be read.
    """
    if not (has(folder, CONFIG) and has(folder, SCORES)):
        raise ModelError(f"{folder} holds no run ({CONFIG} and {SCORES}); choose the --out folder of a run")
    follower = _Follower(folder, load(None, saved=require_inside(folder, CONFIG), whole=True), board)
    while True:
        was_over = _is_over(folder)  # before the look at the rows: none of those that came before the end is missed then
        found_rows = follower.look()
        if was_over and not found_rows:
            _tell_how_it_ended(folder)
            return
        controls.wait(0.0 if found_rows else POLL_SECONDS)


class _Follower:
    """Reads on where it stopped, and writes on the board what is new."""

    def __init__(self, folder: Path, config: Config, board: Board) -> None:
        self._folder = folder
        self._board = board
        self._scores, self._incidents, self._tally = _Scores(folder), _Incidents(folder), RunStatistics()
        self._about = About(
            name=folder.name,
            detector=config.detector,
            threshold=config.threshold.kind,
            budget=str(config.threshold.budget),
            folder=folder,
        )
        board.tell(about=self._about, phase=Phase.TRAINING)

    def look(self) -> bool:
        """Take in what is new; whether there were rows."""
        detections = self._scores.read()
        if self._scores.began_anew:
            self._tally, self._incidents = RunStatistics(), _Incidents(self._folder)
            self._board.reset()
        if detections is not None:
            self._find_training_part(detections)
            self._tally.write(Batch(detections))
        ended, unfinished = self._incidents.read()
        self._tally.incidents += len(ended)
        self._board.take(detections, None, ended, unfinished, self._tally.counts(float("nan")))
        return detections is not None

    def _find_training_part(self, detections: Detections) -> None:
        """The rows before the first detection are taken for the training part; how long that is, no file says before the end."""
        if self._tally.judged:
            return
        judged = np.flatnonzero(np.isfinite(detections.thresholds))
        points = self._tally.points + (int(judged[0]) if len(judged) else len(detections))
        timezone = "UTC" if self._scores.is_zoned else None
        self._about = replace(self._about, columns=self._scores.columns, timezone=timezone, training_points=points)
        self._board.tell(about=self._about)
        if len(judged):
            self._board.tell(phase=Phase.RUNNING, since=_model_made(self._folder))


class _Scores:
    """scores.csv, read block by block as it grows."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SCORES
        self._offset = 0
        self._names: list[str] = []
        self.began_anew = False  # the file got shorter before the last look
        self.is_zoned = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the value columns."""
        return tuple(name.removeprefix("value_") for name in self._names if name.startswith("value"))

    def read(self) -> Detections | None:
        """The next rows, None where there are no more; half a row waits for its end.

        Raises:
            ModelError: the file cannot be read, or was not written by this program.
        """
        try:
            with open_inside(self._path) as file:
                self.began_anew = os.fstat(file.fileno()).st_size < self._offset
                self._offset = 0 if self.began_anew else self._offset
                file.seek(self._offset)
                whole = file.read(BLOCK).rpartition(b"\n")
            rows = list(csv.reader(whole[0].decode().splitlines()))
            if rows and not self._offset:
                self._names = rows.pop(0)
            self._offset += len(whole[0]) + len(whole[1])
            if not rows:
                return None
            self.is_zoned = rows[0][0].endswith("Z")
            return parse_scores(self._names, rows)
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise ModelError(f"{self._path} cannot be read as the scores of a run ({type(error).__name__}); run anew") from None


class _Incidents:
    """incidents.jsonl, read anew whenever it changes: its last line does so as long as its incident is open."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / INCIDENTS
        self._seen: tuple[int, int] | None = None
        self._count = 0  # incidents that have ended
        self._unfinished: Incident | None = None

    def read(self) -> tuple[list[Incident], Incident | None]:
        """Incidents that have ended since the last look, and the one that is open."""
        with suppress(OSError, ValueError, KeyError, TypeError):  # it is being written just now: the next look finds it whole
            stamp = self._path.stat()
            if self._seen != (stamp.st_size, stamp.st_mtime_ns):
                with open_inside(self._path) as file:
                    lines = [json.loads(line) for line in file.read().splitlines()]
                incidents = list(map(_incident, lines))
                self._unfinished = incidents.pop() if lines and lines[-1]["status"] == "open" else None
                self._seen = (stamp.st_size, stamp.st_mtime_ns)
                ended, self._count = incidents[self._count :], len(incidents)
                return ended, self._unfinished
        return [], self._unfinished


def _incident(fields: dict[str, Any]) -> Incident:
    def numbers(value: float | list[float | None] | None) -> tuple[float, ...]:
        return tuple(np.nan if each is None else each for each in (value if isinstance(value, list) else [value]))

    rest = {key: value for key, value in fields.items() if key not in ("status", "peak_value", "expected")}
    return Incident(**rest, peak_value=numbers(fields["peak_value"]), expected=numbers(fields["expected"]))


def _is_over(folder: Path) -> bool:
    """The run has written its metrics; a run that goes on after it was cut off leaves the old ones lying, and writes newer rows."""
    try:
        done = (folder / METRICS).stat().st_mtime_ns
        return done >= max((folder / name).stat().st_mtime_ns for name in (SCORES, INCIDENTS))
    except OSError:
        return False


def _tell_how_it_ended(folder: Path) -> None:
    """Return where the run came to its end, raise what it met where it did not."""
    status = str(read_metrics(folder).get("status"))
    if status == "interrupted":
        raise KeyboardInterrupt
    if status != "done":
        raise RunError(f"{folder}: {status}")


def _model_made(folder: Path) -> datetime | None:
    with suppress(OSError):
        return datetime.fromtimestamp((folder / DETECTOR).stat().st_mtime, UTC)
    return None


def _last_written(folder: Path) -> float:
    with suppress(OSError):
        return (folder / SCORES).stat().st_mtime
    return 0.0
