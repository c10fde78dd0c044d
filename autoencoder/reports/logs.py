"""Logs: anomalies.log, incidents for people; adaptations.jsonl, what was done about the model and why; both one line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

import numpy as np

from autoencoder.core.errors import ModelFileError, RunError
from autoencoder.core.events import AdaptationEvent
from autoencoder.reports.files import AppendFile, open_inside, reporting, write_whole
from autoencoder.reports.incidents import Incident, time_text
from autoencoder.reports.run_folder import ADAPTATIONS, INCIDENTS, LOG, RunFolder, has, plain
from autoencoder.reports.sinks import Batch, Sink
from autoencoder.reports.wording import length_text, seen_text, severity_text, silenced_text


class AnomalyLog(Sink):
    """anomalies.log: one line for every incident that is over.

    It holds what the closed lines of incidents.jsonl hold, so a resumed run writes it anew from what is left of those: no line is lost
    or there twice, wherever the run was cut off.

    Raises:
        ModelFileError: incidents.jsonl is damaged.
        RunError: the log cannot be written.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.path / LOG
        text = "".join(map(log_line, closed_incidents(folder))).encode()
        with reporting(self._path):
            write_whole(self._path, text)
            self._file = AppendFile(self._path, len(text))

    def write(self, batch: Batch) -> None:
        """Add the incidents that ended; their lines are in the file when this returns."""
        self._add(batch.closed)

    def close(self, closed: Sequence[Incident] = (), *, resumable: bool = False) -> None:
        """Add the last incidents and close the file."""
        with closing(self._file):
            self._add(closed)

    def _add(self, closed: Sequence[Incident]) -> None:
        if closed:
            with reporting(self._path):
                self._file.write("".join(map(log_line, closed)).encode())


def log_line(incident: Incident) -> str:
    r"""An incident as a line for people: when, how severe, its peak, how long, why it is over, and when it was an alarm.

    >>> incident = Incident(1, "03:00", "11:30", "05:00", (61.309,), (56.161,), 0.82, 18, 2406, 2423, True, direction=("up",),
    ...                     duration_seconds=30600.0, alarm_time="03:00", peak_score=0.9, close_reason="values are back")
    >>> log_line(incident).split("  ")[:3]
    ['03:00 to 11:30', 'severity high (0.82)', 'seen 61.309, expected 56.161 (up) at 05:00, score 0.9000']
    >>> log_line(incident).split("  ")[3:]
    ['18 points in 8.5 h', 'values are back', 'alarm 03:00\n']
    """
    score = incident.peak_score
    parts = [
        f"{incident.start} to {incident.end}",
        f"severity {severity_text(incident)}",
        f"{seen_text(incident)} at {incident.peak_time}" + ("" if score is None else f", score {score:.4f}"),
        length_text(incident),
        incident.close_reason or "open",
        f"alarm {incident.alarm_time or ''}".rstrip() if incident.alarm else f"no alarm{silenced_text(incident)}",
        *([] if incident.series is None else [f"series {incident.series!r}"]),
    ]
    return one_line("  ".join(parts)) + "\n"


def one_line(text: str) -> str:
    """A text without the characters that end a line, move a cursor or are no characters at all."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def closed_incidents(folder: RunFolder) -> list[Incident]:
    """The incidents of a run that are over. Raises RunError, ModelFileError: they cannot be read."""
    path = folder.path / INCIDENTS
    try:
        with open_inside(path) as file:
            records = map(json.loads, file)
            return [Incident.from_record(record) for record in records if record["status"] == "closed"]
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); make it readable") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged ({type(error).__name__}); run anew without --resume") from None


class AdaptationLog(Sink):
    """Keeps adaptations.jsonl equal to the record of all ``events`` so far; there is none before the first one.

    A resumed run writes it anew from its checkpoint, which may be older than the file. Where it cannot be written it is tried again with
    every chunk: rows can be, and tell more.

    Raises:
        RunError: it cannot be written at the end.
    """

    def __init__(self, folder: RunFolder, events: Callable[[], Sequence[AdaptationEvent]], zone: str) -> None:
        self._folder, self._events, self._zone = folder, events, zone
        self._written = -1 if has(folder.path, ADAPTATIONS) else 0

    def write(self, batch: Batch) -> None:
        """See ``Sink``."""
        with suppress(RunError):
            self._write()

    def close(self, closed: Sequence[Incident] = (), *, resumable: bool = False) -> None:
        """See ``Sink``."""
        self._write()

    def _write(self) -> None:
        events = self._events()
        if len(events) != self._written:
            self._folder.write(ADAPTATIONS, "".join(event_line(each, self._zone) for each in events))
            self._written = len(events)


def event_time(event: AdaptationEvent) -> np.datetime64 | int:
    """Time of an event, as the source counts it: datetime64[ns] or int64."""
    return np.datetime64(event.time, "ns") if event.dated else event.time


def event_line(event: AdaptationEvent, zone: str) -> str:
    """An event as a line of the file; unknown figures are null."""
    time = time_text(np.array([event_time(event)]), zone)[0]
    series = {} if event.series is None else {"series": event.series}
    return json.dumps(plain({**series, "row": event.row, "time": time, "event": event.event, **event.details})) + "\n"
