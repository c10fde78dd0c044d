"""anomalies.log: incidents for people, one line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from autoencoder.core.errors import ModelError, RunError
from autoencoder.reports.disk import GrowingFile, open_inside, write_whole
from autoencoder.reports.incidents import Incident
from autoencoder.reports.runs import INCIDENTS, LOG, RunFolder


class AnomalyLog:
    """anomalies.log: one line for every incident that is over.

    It holds what the closed lines of incidents.jsonl hold, so a resumed run writes it anew from what is left of those: no line is lost
    or there twice, wherever the run was cut off.

    Args:
        folder: the run folder, its rows open.

    Raises:
        ModelError: incidents.jsonl is damaged.
        RunError: the log cannot be written.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.path / LOG
        text = "".join(map(log_line, _closed_incidents(folder))).encode()
        try:
            write_whole(self._path, text)
            self._file: GrowingFile | None = GrowingFile(self._path, len(text))
        except OSError as error:
            raise self._fault(error) from None

    def take(self, ended: Sequence[Incident], is_open: Incident | None) -> None:
        """Add the incidents that ended; their lines are in the file when this returns."""
        if ended and self._file:
            try:
                self._file.write("".join(map(log_line, ended)).encode())
            except OSError as error:
                raise self._fault(error) from None

    def settle(self) -> None:
        """Nothing to do: what a power cut takes away is written anew."""

    def finish(self, ended: Sequence[Incident], *, cut_off: bool) -> None:
        """Add the last incident and close the file."""
        self.take(ended, None)
        if self._file:
            self._file.close()
        self._file = None

    def _fault(self, error: OSError) -> RunError:
        return RunError(f"{self._path} cannot be written ({error.strerror}); free space and go on with --resume")


def log_line(incident: Incident) -> str:
    r"""An incident as a line for people.

    >>> log_line(Incident(1, "2025-02-15T03:00:00Z", "2025-02-15T11:30:00Z", "2025-02-15T05:00:00Z", (61.309,), (56.161,), 0.98, 18,
    ...                   2406, 2423, True))
    '2025-02-15T03:00:00Z to 2025-02-15T11:30:00Z  score 0.9800  seen 61.309, expected 56.161 at 2025-02-15T05:00:00Z  18 points  alarm\n'
    """
    seen = f"seen {values_text(incident.peak_value)}, expected {values_text(incident.expected)} at {incident.peak_time}"
    points = f"{incident.n_points:,} point{'s' * (incident.n_points != 1)}"
    heard = "alarm" if incident.alarm else "no alarm"
    series = "" if incident.series is None else f"  series {incident.series!r}"
    return (
        one_line(f"{incident.start} to {incident.end}  score {incident.severity:.4f}  {seen}  {points}  {heard}{series}") + "\n"
    )


def values_text(values: Sequence[float]) -> str:
    """What was seen or expected, one number a column.

    >>> values_text((61.309, float("nan")))
    '61.309/unknown'
    """
    return "/".join(f"{value:.6g}" if np.isfinite(value) else "unknown" for value in values)


def one_line(text: str) -> str:
    """A text without the characters that end a line, move a cursor or are no characters at all."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _closed_incidents(folder: RunFolder) -> list[Incident]:
    path = folder.path / INCIDENTS
    try:
        with open_inside(path) as file:
            records = map(json.loads, file)
            return [incident_of(record) for record in records if record["status"] == "closed"]
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); make it readable") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}); run anew without --resume") from None


def incident_of(record: dict[str, Any]) -> Incident:
    """The incident that ``Incident.to_json`` wrote."""
    fields = {key: value for key, value in record.items() if key != "status"}
    for key in ("peak_value", "expected"):
        values = fields[key] if isinstance(fields[key], list) else [fields[key]]
        fields[key] = tuple(float("nan") if value is None else float(value) for value in values)
    return Incident(**fields)
