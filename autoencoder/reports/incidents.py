"""Incidents: flagged points that belong together, as one thing that began, peaked and ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import Field, Reader, State, Stateful, array, integer, number
from autoencoder.core.types import Array, Detections
from autoencoder.reports.alarms import AlarmFilter
from autoencoder.reports.culprits import ColumnShare, column_shares
from autoencoder.reports.severity import level_of, severity_of

MAX_ERROR = 1e100  # so that errors in thresholds, and sums of deviations, stay finite
BOTH_SHARE = 0.25  # of an incident's squared deviations: where as much of it lies on the lesser side, it has both directions
UP, DOWN, BOTH = "up", "down", "both"  # directions
# why an incident is over: a judged point came that is not flagged; no judged point came at all; a model was promoted that has learnt the
# change; and the stream ended, or the run was stopped, while it went on
VALUES_ARE_BACK, NO_DATA, CHANGE_ADOPTED = "values are back", "no data", "change adopted"
STREAM_ENDED, RUN_STOPPED = "stream ended", "run stopped"
GAPS = ("merge_gap", "cooldown", "min_length")  # settings that are counted in points
_LISTS = ("peak_value", "expected", "direction")  # one entry a column; a single column's is written alone


@dataclass(frozen=True, slots=True)
class Incident:
    """Flags that belong together, of F columns."""

    id: int  # counts from 1, over all series of a run
    start: str  # time of the first flagged point
    end: str  # time of the last flagged point
    peak_time: str  # time of the flagged point with the highest score; among several at 1, of the one highest above its threshold
    peak_value: tuple[float, ...]  # (F,) what was seen there
    expected: tuple[float, ...]  # (F,) what was predicted there
    severity: float  # in [0, 1), of the score at the peak and the number of flagged points, see ``severity_of``
    n_points: int  # flagged points
    first_row: int  # row of the first flagged point in its series, from 0
    last_row: int  # row of the last flagged point
    alarm: bool  # worth an alert: long enough, and one of its errors rises above all that came shortly before (``AlarmFilter``)
    series: str | None = None  # name of the series it is in; None where a run has only one
    alarm_time: str | None = None  # time of the point with which it became an alarm; None where it is none
    peak_score: float | None = None  # score in [0, 1] at the peak
    direction: tuple[str | None, ...] = ()  # (F,) where its points lie of what was expected: UP, DOWN or BOTH; None: not known
    duration_seconds: float | None = None  # from the first to the last flagged point; None without timestamps
    close_reason: str | None = None  # why it is over; None while it is open
    columns: tuple[
        ColumnShare, ...
    ] = ()  # those of several columns that made it, the worst first; none where there is one column

    @property
    def length(self) -> int:
        """Points from the first to the last flagged one."""
        return self.last_row - self.first_row + 1

    def to_json(self, status: str = "closed") -> str:
        """One JSON object with its status, "open" or "closed"; a single column's values are plain, unknown ones null."""
        record = {"id": self.id, "status": status, **asdict(self), "length": self.length}
        record["severity_level"] = level_of(self.severity)
        if self.series is None:
            del record["series"]
        if not self.columns:
            del record["columns"]
        for key in _LISTS:
            known = [None if isinstance(value, float) and not np.isfinite(value) else value for value in record[key]]
            record[key] = known[0] if len(known) == 1 else known
        return json.dumps(record)

    @staticmethod
    def from_record(record: dict[str, Any]) -> Incident:
        """The incident of a parsed ``to_json``. Raises ValueError: it is none."""
        try:
            values = {key: value for key, value in record.items() if key not in ("status", "length", "severity_level")}
            for key in _LISTS[:2]:
                values[key] = tuple(float("nan") if value is None else float(value) for value in _listed(values[key]))
            values["direction"] = tuple(_listed(values.get("direction")))
            values["columns"] = tuple(map(ColumnShare.from_record, values.get("columns", ())))
            incident = Incident(**values)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no incident ({error})") from None
        for field in fields(incident):  # whose types are text, such as "tuple[float, ...]" and "str | None"
            value, kinds = getattr(incident, field.name), str(field.type).split("[")[0].split(" | ")
            if type(value).__name__.removesuffix("Type") not in kinds:
                raise ValueError(f"{field.name} is no {kinds[0]}")
        if not set(incident.direction) <= {UP, DOWN, BOTH, None}:
            raise ValueError("direction is none")
        return incident


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def read_incidents(text: str) -> list[Incident]:
    """Incidents from a checkpoint, one ``to_json`` a line. Raises ModelFileError: the text is damaged."""
    try:
        return [Incident.from_record(json.loads(line)) for line in text.splitlines()]
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"the checkpoint is damaged (an incident: {type(error).__name__}); run anew without --resume"
        ) from None


def time_text(time: npt.NDArray[np.generic], suffix: str = "") -> list[str]:
    """Times (N,) as text: ISO 8601 with as many digits as each needs, or the plain index."""
    if time.dtype.kind != "M":
        return [str(value) for value in time.tolist()]
    text = np.datetime_as_string(time.astype("datetime64[ns]")).tolist()
    return [value.rstrip("0").rstrip(".") + suffix if value != "NaT" else "" for value in text]


class IncidentTracker(Stateful):
    """Joins the flags of one series into incidents as the stream runs.

    Args:
        zone: suffix of every time ("Z" for UTC).
        hysteresis: share of the threshold; while errors lie above it, an open incident goes on.
        merge_gap: points without a flag that may lie inside one incident.
        cooldown: points after an error in which only one further above its threshold is an alarm.
        min_length: flagged points without which an incident is no alarm.
        columns: names of the columns, where there are several: an incident then tells which of them made it.
    """

    name = "the incidents"
    STATE: ClassVar = {
        "merge_gap": integer("merge_gap"),
        "min_length": integer("min_length", 1),
        "row": integer("row"),
        "count": integer("count"),
        "_active_row": integer("active_row"),
        "_is_back": Field("is_back", lambda saved: saved.boolean("is_back")),
        "_has_risen": Field("has_risen", lambda saved: saved.boolean("has_risen")),
        "_began": integer("began", -(1 << 63), 1 << 63),
        "_peak_height": number("peak_height"),
        "_deviations": array("deviations", (2, None), low=0.0),
        "open": Field(
            "open",
            lambda saved: next(iter(read_incidents(saved.text("open"))), None),
            lambda incident: incident.to_json("open") if incident else "",
        ),
    }

    def __init__(
        self,
        zone: str = "",
        *,
        hysteresis: float = 1.0,
        merge_gap: int = 0,
        cooldown: int = 1,
        min_length: int = 1,
        columns: Sequence[str] = (),
    ) -> None:
        self._zone = zone
        self._columns = columns if len(columns) > 1 else ()
        self._contributions = np.zeros(len(self._columns))  # (F,) of its flagged points, in all
        self._hysteresis = hysteresis
        self.set_gaps(merge_gap, cooldown, min_length)
        self.row = self.count = 0
        self.open: Incident | None = None
        self._active_row = 0  # last row in which the open incident was flagged, or not yet below the hysteresis
        self._is_back = False  # a judged point came after that row, which lies below it
        self._has_risen = False  # one of its errors rose above all that came shortly before
        self._began = 0  # time of its first point: nanoseconds since 1970, or a count
        self._peak_height = 0.0  # error in thresholds at its peak
        self._deviations = np.zeros(
            (2, 0)
        )  # (2, F) squares of how far its points lie above, and below, what was expected, in all

    def set_gaps(self, merge_gap: int, cooldown: int, min_length: int = 1) -> None:
        """Choose them before the first point that is judged: a source may have to be seen first."""
        self.merge_gap, self.min_length = merge_gap, min_length
        self._alarms = AlarmFilter(cooldown)

    @property
    def gaps(self) -> tuple[int, int, int]:
        """What ``set_gaps`` was given, see ``GAPS``."""
        return self.merge_gap, self._alarms.cooldown, self.min_length

    def process(self, detections: Detections, adopted: Sequence[int] = ()) -> list[Incident]:
        """Take in detections; returns the incidents that ended, in order.

        ``adopted`` are those of their rows, ascending, after which a model judges that has learnt a change: what was open then is over.
        """
        closed: list[Incident] = []
        first, done = self.row, 0
        for row in adopted:
            closed += self._process(detections[done : row + 1 - first]) + self.finish(CHANGE_ADOPTED)
            done = row + 1 - first
        return closed + self._process(detections[done:] if done else detections)

    def _process(self, detections: Detections) -> list[Incident]:
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
            closed += self._close_before(index, heights)
            if detections.anomalies[index]:
                self.open = self._extended(detections, index, float(heights[index]), bool(rises[index]))
            self._active_row, self._is_back = self.row + index, False
        closed += self._close_before(len(detections), heights)
        self.row += len(detections)
        return closed

    def _close_before(self, index: int, heights: Array) -> list[Incident]:
        """The open incident, if it ended too long before the point ``index`` of those with these heights (N,) to be joined with it."""
        if not self.open:
            return []
        since = heights[max(0, self._active_row + 1 - self.row) : min(index, self._active_row + self.merge_gap + 2 - self.row)]
        self._is_back = self._is_back or bool((since == since).any())
        if self.row + index - self._active_row <= self.merge_gap + 1:
            return []
        return self.finish(VALUES_ARE_BACK if self._is_back else NO_DATA)

    def finish(self, reason: str = STREAM_ENDED) -> list[Incident]:
        """The incident that is still open, if there is one, is over for that reason."""
        closed = [replace(self.open, close_reason=reason)] if self.open else []
        self.open = None
        return closed

    def _extended(self, detections: Detections, index: int, height: float, rises: bool) -> Incident:
        """The open incident, or a new one, with this flagged point in it."""
        time, row, score = detections.time[index : index + 1], self.row + index, float(detections.scores[index])
        now, moment, is_dated = time_text(time, self._zone)[0], int(time.view(np.int64)[0]), time.dtype.kind == "M"
        values, predictions = detections.values[index], detections.predictions[index]  # (F,), (F,)
        peak_score = round(score, 6) if score == score else None
        peak: dict[str, Any] = {"peak_time": now, "peak_value": tuple(values.tolist()), "expected": tuple(predictions.tolist())}
        before = self.open
        if not before:
            self.count += 1
            self._began, self._has_risen, self._deviations = moment, False, np.zeros((2, len(values)))
            self._contributions = np.zeros(len(self._columns))
            before = Incident(self.count, now, now, **peak, severity=0.0, n_points=0, first_row=row, last_row=row, alarm=False)
        deviations = np.clip(np.nan_to_num(values - predictions), -MAX_ERROR, MAX_ERROR)
        # squared, so that many points near what was expected do not hide a few far from it
        self._deviations = self._deviations + np.maximum([deviations, -deviations], 0.0) ** 2
        if self._columns:
            known_ones = np.nan_to_num(detections.contributions[index])
            self._contributions = np.minimum(self._contributions + known_ones, MAX_ERROR)
        self._has_risen |= rises
        count = before.n_points + 1
        alarm = before.alarm or (self._has_risen and count >= self.min_length)
        known = before.peak_score or 0.0
        if count == 1 or (peak_score or 0.0, height) > (known, self._peak_height):
            before, known, self._peak_height = replace(before, peak_score=peak_score, **peak), peak_score or 0.0, height
        at_peak = self._contributions, before.peak_value, before.expected
        return replace(
            before,
            end=now,
            last_row=row,
            n_points=count,
            severity=severity_of(known, count),
            alarm=alarm,
            alarm_time=before.alarm_time or (now if alarm else None),
            direction=tuple(_direction(*column) for column in self._deviations.T.tolist()),
            duration_seconds=(moment - self._began) / 1e9 if is_dated else None,
            columns=column_shares(self._columns, *at_peak) if self._columns else (),
        )

    def state(self) -> State:
        """See ``Stateful``."""
        joint: State = {"contributions": self._contributions.copy()} if self._columns else {}
        return {**super().state(), **joint, "alarms": self._alarms.state()}

    def _complete(self, saved: Reader) -> None:
        self._alarms.load(saved.state("alarms"))
        if self._columns and saved.has("contributions"):
            self._contributions = saved.array("contributions", (len(self._columns),), low=0.0)


def _direction(above: float, below: float) -> str | None:
    """Where points lie, by their squared deviations above and below what was expected."""
    if min(above, below) > BOTH_SHARE * (above + below):
        return BOTH
    return None if above == below else UP if above > below else DOWN
