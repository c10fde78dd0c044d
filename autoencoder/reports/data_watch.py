"""DataWatch: a series whose data stay away for too long has an incident of its own kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from autoencoder.core.state import Stateful, array, boolean, integer
from autoencoder.core.types import Bools, Detections
from autoencoder.reports.incidents import DATA_ARE_BACK, MISSING, STREAM_ENDED, Incident, kept, severity_of, time_text

if TYPE_CHECKING:
    from autoencoder.rules.rule import Rule

SCORE = 0.5  # that counts for missing data: they are of medium severity at first
NEVER = -(1 << 63)


@dataclass(eq=False)
class DataWatch(Stateful):
    """Watches the times of one series; without timestamps, and before its first point is judged, nothing is missing.

    A point without any value is none. An incident begins with the newest point before, and is noticed by the time of a later row, or
    in a stream that is followed by the time that passes. It rings once, when ``limit`` says so.
    """

    name = "the watch for missing data"
    STATE: ClassVar = {
        "open": kept("open"),
        "_newest": integer("newest", NEVER, 1 << 63),
        "_values": array("values", (None,), finite=False),
        "_is_judged": boolean("is_judged"),
    }

    limit: Rule  # says how long data may stay away, and when that rings
    zone: str = ""  # suffix of every time

    def __post_init__(self) -> None:
        self._nanoseconds = round(self.limit.no_data * 1e9)
        self.open: Incident | None = None
        self._newest = NEVER  # time of the newest point with a value
        self._values = np.empty(0)  # (F,) of that point
        self._is_judged = False  # a point was judged

    def process(self, detections: Detections, row: int, number: Callable[[], int]) -> list[Incident]:
        """Take in detections, the first of which is that ``row``; returns what is over. ``number`` gives an incident its own."""
        if detections.time.dtype.kind != "M" or not len(detections):
            return []
        moments = detections.time.astype("datetime64[ns]").astype(np.int64)
        has_data: Bools = np.count_nonzero(~np.isnan(detections.values), axis=1) > 0  # (N,)
        # (N + 1,) time of the newest point before each row
        newest = np.maximum.accumulate(np.concatenate([[self._newest], np.where(has_data, moments, NEVER)]))
        judged = np.maximum.accumulate(np.concatenate([[self._is_judged], ~np.isnan(detections.thresholds)]))
        before, is_known = newest[:-1], judged[:-1] & (newest[:-1] > NEVER)
        is_late = np.zeros(len(moments), np.bool_)
        is_late[is_known] = moments[is_known] - before[is_known] >= self._nanoseconds
        closed, place = [], 0
        while len(rest := np.flatnonzero((has_data if self.open else is_late)[place:])):
            place += int(rest[0])
            now = int(moments[place])
            if not self.open:
                last = np.flatnonzero(has_data[:place])
                self._newest, self._values = int(before[place]), detections.values[last[-1]] if len(last) else self._values
                self.open = self._begun(now, row + place, number())
                is_late[place] = False
            if has_data[place]:
                closed.append(self._over(now, row + place))
                place += 1
        self._is_judged, self._newest = bool(judged[-1]), int(newest[-1])
        if has_data.any():
            self._values = detections.values[np.flatnonzero(has_data)[-1]].copy()
        return closed

    def pass_time(self, seconds: float, row: int, number: Callable[[], int]) -> bool:
        """So much time has passed since the newest row, before that ``row``; returns whether an incident has begun or rings by that."""
        if not self._is_judged or self._newest == NEVER or seconds < self.limit.no_data or (self.open and self.open.alarm):
            return False
        known, now = self.open, self._newest + round(seconds * 1e9)
        self.open = self._until(now, self.open) if self.open else self._begun(now, row, number())
        return self.open != known

    def finish(self, reason: str = STREAM_ENDED) -> list[Incident]:
        """What goes on is over, for that reason."""
        closed, self.open = [replace(self.open, close_reason=reason)] if self.open else [], None
        return closed

    def _begun(self, now: int, row: int, number: int) -> Incident:
        start, unknown = self._text(self._newest), (float("nan"),) * len(self._values)
        due = self._text(self._newest + self._nanoseconds)
        one = Incident(number, start, due, start, tuple(self._values.tolist()), unknown, 0.0, 0, row, row, False, kind=MISSING)
        one = replace(one, direction=(None,) * len(unknown), duration_seconds=self.limit.no_data, severity=self._severity(1.0))
        return self._until(now, one)

    def _until(self, now: int, one: Incident) -> Incident:
        """An incident that goes on, as it is known at a time: whether it rings."""
        awake, reason = self.limit.awake_from(self._newest + self._nanoseconds, now)
        if one.alarm or (reason and awake >= now):
            return one if one.alarm else replace(one, silenced_by=reason)
        return replace(one, alarm=True, alarm_time=self._text(awake), silenced_by=None)

    def _over(self, now: int, row: int) -> Incident:
        assert self.open
        one, self.open = self._until(now, self.open), None
        seconds = max(self.limit.no_data, (now - self._newest) / 1e9)
        severity = self._severity(seconds / self.limit.no_data)
        end = self._text(now)
        return replace(one, end=end, last_row=row, duration_seconds=seconds, severity=severity, close_reason=DATA_ARE_BACK)

    def _severity(self, limits: float) -> float:
        """Of missing data that stay away so many times as long as they may."""
        return severity_of(SCORE, max(1, int(limits)))

    def _text(self, moment: int) -> str:
        return time_text(np.array([moment], "datetime64[ns]"), self.zone)[0]
