"""IncidentTracker: joins the flags of one series into incidents as the stream runs, and says which of them ring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from autoencoder.core.state import Field, Reader, State, Stateful, array, boolean, integer, number
from autoencoder.core.types import Array, Detections
from autoencoder.reports.data_watch import DataWatch
from autoencoder.reports.incidents import (
    BOTH,
    CHANGE_ADOPTED,
    DOWN,
    NO_DATA,
    STREAM_ENDED,
    UP,
    VALUES_ARE_BACK,
    Incident,
    column_shares,
    kept,
    severity_of,
    time_text,
)

if TYPE_CHECKING:
    from autoencoder.rules.rule import Rule

Policy: TypeAlias = "Rule"  # says of a series which of its incidents do not ring
MAX_ERROR = 1e100  # so that errors in thresholds, and sums of deviations, stay finite
BOTH_SHARE = 0.25  # of an incident's squared deviations: where as much of it lies on the lesser side, it has both directions


class AlarmFilter(Stateful):
    """Keeps a score only where it rises above every score of the ``cooldown`` points before it, so that one event alarms once.

    A worse turn of the same event still comes through. Cutting the stream into other chunks changes nothing.
    """

    name = "the alarm filter"
    STATE: ClassVar = {
        "_recent": Field("recent", lambda saved: saved.array("recent", (None,)), lambda recent: np.nan_to_num(recent)),
    }

    def __init__(self, cooldown: int) -> None:
        self._recent = np.zeros(cooldown)  # the scores before the next one, NaN where unknown

    @property
    def cooldown(self) -> int:
        """Points before one whose score it must rise above."""
        return len(self._recent)

    def process(self, scores: Array) -> Array:
        """Scores (N,) -> the same where they rise, 0 elsewhere and where unknown.

        >>> AlarmFilter(2).process(np.array([0.2, 0.5, 0.4, 0.6, 0.1, 0.1, 0.3]))
        array([0.2, 0.5, 0. , 0.6, 0. , 0. , 0.3])
        """
        if not len(scores):
            return scores.copy()
        cooldown = self.cooldown
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

    def _complete(self, saved: Reader) -> None:
        if not len(self._recent):
            raise saved.fault("recent", "is empty")


@dataclass(eq=False)
class IncidentTracker(Stateful):
    """Joins the flags of one series into incidents as the stream runs, and those of missing data with them."""

    name = "the incidents"
    STATE: ClassVar = {
        "merge_gap": integer("merge_gap"),
        "min_length": integer("min_length", 1),
        "row": integer("row"),
        "count": integer("count"),
        "_active_row": integer("active_row"),
        "_free_until": integer("free_until", -1),
        "_is_back": boolean("is_back"),
        "_has_risen": boolean("has_risen"),
        "_began": integer("began", -(1 << 63), 1 << 63),
        "_peak_height": number("peak_height"),
        "_deviations": array("deviations", (2, None), low=0.0),
        "open": kept("open"),
    }

    zone: str = ""  # suffix of every time ("Z" for UTC)
    _: KW_ONLY
    hysteresis: float = 1.0  # share of the threshold; while errors lie above it, an open incident goes on
    merge_gap: int = 0  # points without a flag that may lie inside one incident
    cooldown: InitVar[int] = 1  # points after an error in which only one further above its threshold is an alarm
    min_length: int = 1  # flagged points without which an incident is no alarm
    min_severity: float = 0.0  # in [0, 1), without which it is none either; see ``severity_of``
    policy: Policy | None = None  # what keeps incidents from ringing; None where all may
    columns: Sequence[str] = ()  # their names, where there are several: an incident then tells which of them made it

    def __post_init__(self, cooldown: int) -> None:
        self.set_gaps(self.merge_gap, cooldown, self.min_length)
        self.columns = self.columns if len(self.columns) > 1 else ()
        self._contributions = np.zeros(len(self.columns))  # (F,) of the open incident's points, in all
        self.row = self.count = 0
        self.open: Incident | None = None
        self._data = DataWatch(self.policy, self.zone) if self.policy and self.policy.no_data else None
        self.over: list[int] = []  # the rows with which the incidents that ``process`` has returned last were over
        self._free_until = -1  # last row before which an incident did not ring, so that the next need not be worse
        self._active_row = 0  # last row in which the open incident was flagged, or not yet below the hysteresis
        self._is_back = False  # a judged point came after that row, which lies below it
        self._has_risen = False  # one of its errors rose above all that came shortly before
        self._began = 0  # time of its first point: nanoseconds since 1970, or a count
        self._peak_height = 0.0  # error in thresholds at its peak
        # (2, F) squares of how far its points lie above, and below, what was expected, in all
        self._deviations = np.zeros((2, 0))

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
        closed = self._data.process(detections, self.row, self._next_number) if self._data else []
        self.over = [incident.last_row for incident in closed]
        first, done = self.row, 0
        for row in adopted:
            closed += self._process(detections[done : row + 1 - first])
            ended, done = self._end(CHANGE_ADOPTED), row + 1 - first
            self.over += [row] * len(ended)
            closed += ended
        return closed + self._process(detections[done:] if done else detections)

    def _process(self, detections: Detections) -> list[Incident]:
        closed: list[Incident] = []
        above = detections.errors > self.hysteresis * detections.thresholds
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
                rings = bool(rises[index]) or self.row + index <= self._free_until
                self.open = self._extended(detections, index, float(heights[index]), rings)
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
        self.over.append(self._active_row + self.merge_gap + 1)
        return self._end(VALUES_ARE_BACK if self._is_back else NO_DATA)

    def finish(self, reason: str = STREAM_ENDED) -> list[Incident]:
        """The incidents that are still open are over for that reason."""
        return self._end(reason) + (self._data.finish(reason) if self._data else [])

    def _end(self, reason: str) -> list[Incident]:
        closed = [replace(self.open, close_reason=reason)] if self.open else []
        if self.open and (self.open.silenced_by or self.open.alarm):
            self._free_until = self._active_row + self._alarms.cooldown if self.open.silenced_by else -1
        self.open = None
        return closed

    @property
    def ongoing(self) -> list[Incident]:
        """The incidents that go on: an anomaly, missing data, or both."""
        return [each for each in (self.open, self._data.open if self._data else None) if each]

    def pass_time(self, seconds: float) -> bool:
        """So much time has passed without a point; returns whether that has begun or changed an incident."""
        return self._data.pass_time(seconds, self.row, self._next_number) if self._data else False

    def _next_number(self) -> int:
        self.count += 1
        return self.count

    def _extended(self, detections: Detections, index: int, height: float, rises: bool) -> Incident:
        """The open incident, or a new one, with this flagged point in it."""
        time, row, score = detections.time[index : index + 1], self.row + index, float(detections.scores[index])
        now, moment, is_dated = time_text(time, self.zone)[0], int(time.view(np.int64)[0]), time.dtype.kind == "M"
        values, predictions = detections.values[index], detections.predictions[index]  # (F,), (F,)
        peak_score = round(score, 6) if score == score else None
        peak: dict[str, Any] = {"peak_time": now, "peak_value": tuple(values.tolist()), "expected": tuple(predictions.tolist())}
        before = self.open
        if not before:
            self._next_number()
            self._began, self._has_risen, self._deviations = moment, False, np.zeros((2, len(values)))
            self._contributions = np.zeros(len(self.columns))
            before = Incident(self.count, now, now, **peak, severity=0.0, n_points=0, first_row=row, last_row=row, alarm=False)
        deviations = np.clip(np.nan_to_num(values - predictions), -MAX_ERROR, MAX_ERROR)
        # squared, so that many points near what was expected do not hide a few far from it
        self._deviations = self._deviations + np.maximum([deviations, -deviations], 0.0) ** 2
        if self.columns:
            self._contributions = np.minimum(self._contributions + np.nan_to_num(detections.contributions[index]), MAX_ERROR)
        self._has_risen |= rises
        count = before.n_points + 1
        known = before.peak_score or 0.0
        if count == 1 or (peak_score or 0.0, height) > (known, self._peak_height):
            before, known, self._peak_height = replace(before, peak_score=peak_score, **peak), peak_score or 0.0, height
        shares = column_shares(self.columns, self._contributions, before.peak_value, before.expected)
        grown = replace(
            before,
            end=now,
            last_row=row,
            n_points=count,
            severity=severity_of(known, count),
            direction=tuple(_direction(*column) for column in self._deviations.T.tolist()),
            duration_seconds=(moment - self._began) / 1e9 if is_dated else None,
            columns=shares,
        )
        # a score that is unknown says nothing against it
        is_severe = grown.severity >= self.min_severity or grown.peak_score is None
        if before.alarm or not self._has_risen or not is_severe:
            return grown
        is_long, policy = count >= self.min_length, self.policy
        reason = policy.silences(grown, values, predictions, height, moment, is_long=is_long) if policy else None
        rings = is_long and not reason
        return replace(grown, alarm=rings, alarm_time=now if rings else None, silenced_by=reason)

    def state(self) -> State:
        """See ``Stateful``."""
        data: State = {"data": self._data.state()} if self._data else {}
        joint: State = {"contributions": self._contributions.copy()} if self.columns else {}
        return {**super().state(), "alarms": self._alarms.state(), **data, **joint}

    def _complete(self, saved: Reader) -> None:
        self._alarms.load(saved.state("alarms"))
        if self._data and saved.has("data"):  # a rule may be newer than the checkpoint
            self._data.load(saved.state("data"))
        if self.columns and saved.has("contributions"):
            self._contributions = saved.array("contributions", (len(self.columns),), low=0.0)


def _direction(above: float, below: float) -> str | None:
    """Where points lie, by their squared deviations above and below what was expected."""
    if min(above, below) > BOTH_SHARE * (above + below):
        return BOTH
    return None if above == below else UP if above > below else DOWN
