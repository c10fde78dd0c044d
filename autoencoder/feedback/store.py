"""Store: feedback.jsonl of a run folder: a label is appended by anybody, and taken up by the run that goes on."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from autoencoder.core.durations import seconds_of
from autoencoder.core.errors import InputError, RunError
from autoencoder.feedback.label import NORMAL_POINTS, Label
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import MISSING, Incident
from autoencoder.reports.run_folder import FEEDBACK, INCIDENTS, SCORES, has, is_folder
from autoencoder.reports.scores_csv import read_scores

MAX_NOTE = 1000  # characters


def add_feedback(folder: str | Path, incident: int, *, label: bool, duration: str | None = None, note: str = "") -> Label:
    """Say of an incident of a run whether it was an anomaly; the run, going on or resumed, takes that up.

    Args:
        folder: of the run, which may go on.
        incident: its ``id`` in incidents.jsonl.
        label: True for an anomaly, False for a false alarm.
        duration: of the stream, behind the incident, for which that holds, such as "90 d"; None: always.
        note: for people.

    Raises:
        InputError: the folder holds no run, there is no such incident, it is still open, or that cannot be said of it.
        ModelFileError: scores.csv is damaged.
        RunError: feedback.jsonl cannot be written.
    """
    folder = Path(folder)
    found = _find(folder, incident)
    seconds = None if duration is None else seconds_of(duration)
    if duration is not None and not seconds:
        raise InputError(f"feedback: --for is {duration!r}; it must be a duration such as 90d")
    if seconds and found.duration_seconds is None:
        raise InputError("feedback: --for means nothing to a stream without timestamps; leave it out")
    if len(note) > MAX_NOTE:
        raise InputError(f"feedback: --note has {len(note):,} characters; at most {MAX_NOTE:,} are kept")
    rows = read_scores(folder, found.series, stop=found.last_row + 1, max_rows=NORMAL_POINTS + found.length)
    if len(rows) < found.length or not rows[-found.length :].anomalies.any():
        raise InputError(f"feedback: {folder / SCORES} does not hold the rows of incident {incident}; give the folder of its run")
    given = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    made = Label.of(found, rows, label=label, given=given, seconds=seconds or 0.0, note=note)
    _append(folder / FEEDBACK, (json.dumps(made.to_record()) + "\n").encode())
    return made


def _find(folder: Path, number: int) -> Incident:
    if not has(folder, INCIDENTS):
        what = f"holds no {INCIDENTS}" if is_folder(folder) else "is not a folder"
        raise InputError(f"feedback: {folder} {what}; give the --out folder of a run")
    newest = 0
    with suppress(ValueError, TypeError, LookupError, RecursionError), open_inside(folder / INCIDENTS) as file:
        for record in map(json.loads, file):
            newest = max(newest, int(record["id"]))
            if record["id"] != number:
                continue
            if record["status"] == "open":
                raise InputError(f"feedback: incident {number} of {folder} is still open; wait until it is over")
            if record.get("kind") == MISSING:
                raise InputError(
                    f"feedback: incident {number} of {folder} is missing data, which are not learnt from; a rule with a quiet window "
                    "keeps it from ringing"
                )
            return Incident.from_record({"series": None, **record})
    there = f"they are 1 to {newest:,}" if newest else "it has none"
    raise InputError(f"feedback: {folder} has no incident {number}; {there}")


def _append(path: Path, line: bytes) -> None:
    """Add a line at once, behind a line that a crash cut off; it is on the disk when this returns."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            whole = not size or os.pread(descriptor, 1, size - 1) == b"\n"
            file.write(line if whole else b"\n" + line)
            os.fsync(descriptor)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}); free space, or give the folder back to its owner") from None


class LabelStore:
    """The labels in a run folder, as they are at each moment; of one incident the last one holds."""

    def __init__(self, folder: Path) -> None:
        self._path, self._read = folder / FEEDBACK, 0
        self._labels: dict[int, Label] = {}
        self._by_series: dict[str | None, list[Label]] = {}

    @property
    def said(self) -> dict[int, bool]:
        """What was said of incidents, by their numbers: whether they were anomalies."""
        self._refresh()
        return {number: label.label for number, label in self._labels.items()}

    def of(self, series: str | None) -> list[Label]:
        """The labels of a series."""
        self._refresh()
        return self._by_series.get(series, [])

    def _refresh(self) -> None:
        """Read what was added; a line that is damaged, or not whole yet, says nothing."""
        with suppress(OSError):
            if os.stat(self._path).st_size == self._read:  # noqa: PTH116 - asked for each flagged point
                return
            with open_inside(self._path) as file:
                file.seek(self._read)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                with suppress(ValueError, RecursionError):
                    label = Label.from_json(line)
                    self._labels[label.incident] = label
            self._by_series = {}
            for label in self._labels.values():
                self._by_series.setdefault(label.series, []).append(label)
