"""Incidents: flagged points that belong together, as one thing that began, peaked and ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Detections
from autoencoder.reports.alarms import AlarmFilter

_NANOSECONDS = np.dtype("datetime64[ns]")
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Incident:
    """Consecutive flags.

    Attributes:
        id: counts from 1.
        start: time (text) of the first flagged point.
        end: time of the last flagged point.
        peak_time: time of the flagged point with the highest severity.
        peak_value: (F,) what was seen there.
        expected: (F,) what was predicted there.
        severity: its score in [0, 1].
        n_points: flagged points.
        first_row: row of the first flagged point in the stream (in its own series), from 0.
        last_row: row of the last flagged point.
        alarm: somebody is to be told: a score of it rises above all that came shortly before (``AlarmFilter``).
        series: name of the series it is in; None where a run has only one.
    """

    id: int
    start: str
    end: str
    peak_time: str
    peak_value: tuple[float, ...]
    expected: tuple[float, ...]
    severity: float
    n_points: int
    first_row: int
    last_row: int
    alarm: bool
    series: str | None = None

    def to_json(self, status: str = "closed") -> str:
        """One JSON object with its status, "open" or "closed"; a single column's values are plain numbers, unknown ones null."""
        record = {"id": self.id, "status": status, **asdict(self)}
        if self.series is None:
            del record["series"]
        for key in ("peak_value", "expected"):
            known = [value if np.isfinite(value) else None for value in record[key]]
            record[key] = known[0] if len(known) == 1 else known
        return json.dumps(record)

    def freeze(self) -> str:
        """All fields as text, for a checkpoint."""
        return json.dumps(asdict(self))

    @staticmethod
    def thaw(text: str) -> Incident:
        """The incident that ``freeze`` gave.

        Raises:
            ModelError: the text is damaged.
        """
        try:
            parsed = json.loads(text)
            incident = Incident(**{**parsed, "peak_value": tuple(parsed["peak_value"]), "expected": tuple(parsed["expected"])})
            for field in fields(Incident):  # a checkpoint may come from a stranger
                _require_kind(getattr(incident, field.name), str(field.type))
            return incident
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ModelError(
                f"the checkpoint is damaged (an incident: {type(error).__name__}); run anew without --resume"
            ) from None


def _require_kind(value: object, kind: str) -> None:
    values = value if isinstance(value, tuple) else (value,)
    types: dict[str, type | tuple[type, ...]] = {
        "int": int,
        "str": str,
        "str | None": (str, NoneType),
        "bool": bool,
        "float": (int, float),
    }
    wanted = types["float" if kind.startswith("tuple") else kind]
    if not all(isinstance(each, wanted) and isinstance(each, bool) == (kind == "bool") for each in values):
        raise TypeError(f"{kind} expected")


def time_text(time: npt.NDArray[np.generic], suffix: str = "") -> list[str]:
    """Times (N,) as text: ISO 8601 with as many digits as each needs, or the plain index."""
    if time.dtype.kind != "M":
        return [str(value) for value in time.tolist()]
    if len(time) == 1 and time.dtype == _NANOSECONDS:
        return [_one_time_text(time.item(), suffix)]
    whole = time.astype("datetime64[s]")
    text = np.datetime_as_string(whole).tolist()
    finer = (time != whole).nonzero()[0]
    if len(finer):
        for row, exact in zip(finer.tolist(), np.datetime_as_string(time[finer].astype("datetime64[ns]")).tolist(), strict=True):
            text[row] = exact.rstrip("0")
    return [value + suffix if value != "NaT" else "" for value in text]


def _one_time_text(nanoseconds: int | None, suffix: str) -> str:
    """What ``time_text`` gives for a time in nanoseconds since 1970 (None: NaT), in a fraction of the time that arrays of one take."""
    if nanoseconds is None:
        return ""
    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return (_EPOCH + timedelta(0, seconds)).isoformat() + fraction + suffix


class IncidentTracker:
    """Joins flags into incidents as the stream runs.

    Args:
        merge_gap: points without a flag that may lie inside one incident; may be set until the first flag.
        zone: what is put behind every time ("Z" for UTC).
        hysteresis: share of the limit; while errors lie above it, an incident that is open goes on.
        refractory: points after a score in which only a higher one is an alarm.
    """

    def __init__(self, merge_gap: int, zone: str = "", *, hysteresis: float = 1.0, refractory: int = 200) -> None:
        self.merge_gap = merge_gap
        self._zone = zone
        self._hysteresis = hysteresis
        self._alarms = AlarmFilter(refractory)
        self._row = 0
        self._count = 0
        self._felt_row = 0  # last row in which the open incident was felt: flagged, or not yet below the hysteresis
        self.open: Incident | None = None

    def process(self, detections: Detections) -> list[Incident]:
        """Take in detections; returns the incidents that ended, in order."""
        ended: list[Incident] = []
        felt = (detections.anomalies | (detections.errors > self._hysteresis * detections.thresholds)).nonzero()[0].tolist()
        if felt:
            rises = self._alarms.process(detections.scores) > 0
        else:
            self._alarms.skip(detections.scores)
        for index in felt:
            row = self._row + index
            ended += self._end_before(row)
            if detections.anomalies[index]:
                self.open = self._joined(detections, index, row, bool(rises[index]))
            self._felt_row = row
        self._row += len(detections)
        return ended + self._end_before(self._row)

    def _end_before(self, row: int) -> list[Incident]:
        """The open incident, if it was not felt for too long to be joined at ``row``."""
        if self.open and row - self._felt_row > self.merge_gap + 1:
            return self.finish()
        return []

    def finish(self) -> list[Incident]:
        """The stream is over: the incident that is still open, if there is one."""
        ended = [self.open] if self.open else []
        self.open = None
        return ended

    def _joined(self, detections: Detections, index: int, row: int, rises: bool) -> Incident:
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
            self._count += 1
            return Incident(id=self._count, start=now, end=now, n_points=1, first_row=row, last_row=row, alarm=rises, **peak)
        alarm = self.open.alarm or rises
        longer = replace(self.open, end=now, n_points=self.open.n_points + 1, last_row=row, alarm=alarm)
        return replace(longer, **peak) if severity > self.open.severity else longer

    def state(self) -> State:
        """Position, count and the open incident."""
        return {
            "merge_gap": self.merge_gap,
            "row": self._row,
            "count": self._count,
            "felt_row": self._felt_row,
            "alarms": self._alarms.state(),
            "open": self.open.freeze() if self.open else "",
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the incidents")
        self.merge_gap = saved.integer("merge_gap", 0)
        self._row, self._count = saved.integer("row", 0), saved.integer("count", 0)
        self._felt_row = saved.integer("felt_row", 0)
        self._alarms.load(saved.state("alarms"))
        frozen = saved.text("open")
        self.open = Incident.thaw(frozen) if frozen else None
