"""Incidents: flagged points that belong together, as one thing that began, peaked and ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import Field, Reader, State, Stateful, integer
from autoencoder.core.types import Array, Detections

MAX_ERROR = 1e100  # so that errors in thresholds stay finite


@dataclass(frozen=True, slots=True)
class Incident:
    """Consecutive flags, of F columns."""

    id: int  # counts from 1, over all series of a run
    start: str  # time of the first flagged point
    end: str  # time of the last flagged point
    peak_time: str  # time of the flagged point with the highest severity
    peak_value: tuple[float, ...]  # (F,) what was seen there
    expected: tuple[float, ...]  # (F,) what was predicted there
    severity: float  # its score in [0, 1]
    n_points: int  # flagged points
    first_row: int  # row of the first flagged point in its series, from 0
    last_row: int  # row of the last flagged point
    alarm: bool  # worth an alert: one of its errors rises above all that came shortly before (``AlarmFilter``)
    series: str | None = None  # name of the series it is in; None where a run has only one

    def to_json(self, status: str = "closed") -> str:
        """One JSON object with its status, "open" or "closed"; a single column's values are plain numbers, unknown ones null."""
        record = {"id": self.id, "status": status, **asdict(self)}
        if self.series is None:
            del record["series"]
        for key in ("peak_value", "expected"):
            known = [value if np.isfinite(value) else None for value in record[key]]
            record[key] = known[0] if len(known) == 1 else known
        return json.dumps(record)

    @staticmethod
    def from_record(record: dict[str, Any]) -> Incident:
        """The incident of a parsed ``to_json``. Raises ValueError: it is none."""
        try:
            values = {key: value for key, value in record.items() if key != "status"}
            for key in ("peak_value", "expected"):
                column = values[key] if isinstance(values[key], list) else [values[key]]
                values[key] = tuple(float("nan") if value is None else float(value) for value in column)
            incident = Incident(**values)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no incident ({error})") from None
        for field in fields(incident):  # whose types are text, such as "tuple[float, ...]" and "str | None"
            value, kinds = getattr(incident, field.name), str(field.type).split("[")[0].split(" | ")
            if type(value).__name__.removesuffix("Type") not in kinds:
                raise ValueError(f"{field.name} is no {kinds[0]}")
        return incident


def read_incidents(text: str) -> list[Incident]:
    """Incidents from a checkpoint, one ``to_json`` a line. Raises ModelFileError: the text is damaged."""
    try:
        return [Incident.from_record(json.loads(line)) for line in text.splitlines()]
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"the checkpoint is damaged (an incident: {type(error).__name__}); run anew without --resume"
        ) from None


def seen_text(incident: Incident, digits: int = 6) -> str:
    """What was seen and expected at the peak of an incident, one number a column: "seen 61.309/7, expected 56.161/unknown"."""
    seen, expected = (
        "/".join(f"{value:.{digits}g}" if np.isfinite(value) else "unknown" for value in values)
        for values in (incident.peak_value, incident.expected)
    )
    return f"seen {seen}, expected {expected}"


def number_of(count: int, noun: str) -> str:
    """A count with its noun: "1 point", "2,000 points"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def time_text(time: npt.NDArray[np.generic], suffix: str = "") -> list[str]:
    """Times (N,) as text: ISO 8601 with as many digits as each needs, or the plain index."""
    if time.dtype.kind != "M":
        return [str(value) for value in time.tolist()]
    text = np.datetime_as_string(time.astype("datetime64[ns]")).tolist()
    return [value.rstrip("0").rstrip(".") + suffix if value != "NaT" else "" for value in text]


class AlarmFilter:
    """Keeps a score only where it rises above every score of the ``cooldown`` points before it, so that one event alarms once.

    A worse turn of the same event still comes through. Cutting the stream into other chunks changes nothing.
    """

    def __init__(self, cooldown: int) -> None:
        self._recent = np.zeros(cooldown)  # the scores before the next one, NaN where unknown

    def process(self, scores: Array) -> Array:
        """Scores (N,) -> the same where they rise, 0 elsewhere and where unknown.

        >>> AlarmFilter(2).process(np.array([0.2, 0.5, 0.4, 0.6, 0.1, 0.1, 0.3]))
        array([0.2, 0.5, 0. , 0.6, 0. , 0. , 0.3])
        """
        if not len(scores):
            return scores.copy()
        cooldown = len(self._recent)
        stream = np.concatenate([self._recent, scores])  # (C + N,)
        self._recent = stream[len(scores) :]
        stream = np.where(stream == stream, stream, 0.0)
        step = stream.itemsize
        recent = np.ndarray((len(scores), cooldown), stream.dtype, stream, strides=(step, step))  # (N, C), no copy
        newest = stream[cooldown:]
        rises: Array = newest * (newest > np.maximum.reduce(recent, axis=1))
        return rises

    def skip(self, scores: Array) -> None:
        """Scores (N,) none of which may raise an alarm."""
        self._recent = np.concatenate([self._recent, scores])[len(scores) :]

    def state(self) -> State:
        """The recent scores."""
        return {"recent": np.where(self._recent == self._recent, self._recent, 0.0)}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the alarm filter")
        self._recent = saved.array("recent", (None,))
        if not len(self._recent):
            raise saved.fault("recent", "is empty")


class IncidentTracker(Stateful):
    """Joins the flags of one series into incidents as the stream runs.

    Args:
        zone: suffix of every time ("Z" for UTC).
        hysteresis: share of the threshold; while errors lie above it, an open incident goes on.
        merge_gap: points without a flag that may lie inside one incident.
        cooldown: points after an error in which only one further above its threshold is an alarm.
    """

    name = "the incidents"
    STATE: ClassVar = {
        "merge_gap": integer("merge_gap"),
        "row": integer("row"),
        "count": integer("count"),
        "_active_row": integer("active_row"),
        "open": Field(
            "open",
            lambda saved: next(iter(read_incidents(saved.text("open"))), None),
            lambda incident: incident.to_json("open") if incident else "",
        ),
    }

    def __init__(self, zone: str = "", *, hysteresis: float = 1.0, merge_gap: int = 0, cooldown: int = 1) -> None:
        self._zone = zone
        self._hysteresis = hysteresis
        self.set_gaps(merge_gap, cooldown)
        self.row = self.count = 0
        self._active_row = 0  # last row in which the open incident was flagged, or not yet below the hysteresis
        self.open: Incident | None = None

    def set_gaps(self, merge_gap: int, cooldown: int) -> None:
        """Choose both before the first point that is judged: a source may have to be seen first."""
        self.merge_gap = merge_gap
        self._alarms = AlarmFilter(cooldown)

    def process(self, detections: Detections) -> list[Incident]:
        """Take in detections; returns the incidents that ended, in order."""
        closed: list[Incident] = []
        above = detections.errors > self._hysteresis * detections.thresholds
        # not the scores: they end at 1, and a worse event must never be silenced
        heights = np.minimum(detections.errors, MAX_ERROR) / np.maximum(detections.thresholds, 1.0 / MAX_ERROR)
        active = (detections.anomalies | above).nonzero()[0].tolist()
        if active:
            rises = self._alarms.process(heights) > 0
        else:
            self._alarms.skip(heights)
        for index in active:
            row = self.row + index
            closed += self._close_before(row)
            if detections.anomalies[index]:
                self.open = self._extended(detections, index, row, bool(rises[index]))
            self._active_row = row
        self.row += len(detections)
        return closed + self._close_before(self.row)

    def _close_before(self, row: int) -> list[Incident]:
        """The open incident, if it ended too long before ``row`` to be joined with it."""
        return self.finish() if row - self._active_row > self.merge_gap + 1 else []

    def finish(self) -> list[Incident]:
        """The stream is over: the incident that is still open, if there is one."""
        closed = [self.open] if self.open else []
        self.open = None
        return closed

    def _extended(self, detections: Detections, index: int, row: int, rises: bool) -> Incident:
        """The open incident, or a new one, with this flagged point in it."""
        now = time_text(detections.time[index : index + 1], self._zone)[0]
        score = float(detections.scores[index])
        severity = score if score == score else 0.0
        peak: dict[str, Any] = {
            "peak_time": now,
            "peak_value": tuple(detections.values[index].tolist()),
            "expected": tuple(detections.predictions[index].tolist()),
            "severity": round(severity, 6),
        }
        if not self.open:
            self.count += 1
            return Incident(id=self.count, start=now, end=now, n_points=1, first_row=row, last_row=row, alarm=rises, **peak)
        alarm = self.open.alarm or rises
        longer = replace(self.open, end=now, n_points=self.open.n_points + 1, last_row=row, alarm=alarm)
        return replace(longer, **peak) if severity > self.open.severity else longer

    def state(self) -> State:
        """See ``Stateful``."""
        return {**super().state(), "alarms": self._alarms.state()}

    def _complete(self, saved: Reader) -> None:
        self._alarms.load(saved.state("alarms"))
