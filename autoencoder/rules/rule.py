"""Rule: what of the incidents of a series matters enough to ring, and when: on the clock of a place, with holidays and quiet windows.

Quiet windows recur by iCalendar rules (RFC 5545).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from autoencoder.core.types import Array

if TYPE_CHECKING:
    from autoencoder.reports.incidents import Incident
import re
from collections.abc import Container
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from autoencoder.core.extras import require

EPOCH = datetime(1970, 1, 1)
_NANOSECONDS = 1000  # in a microsecond
MAX_COUNT = 10_000  # windows of a rule that counts them, for they are counted from the first one on
MAX_DAYS = 366  # of one window
CALENDAR_YEARS = 400  # after which weekdays and leap years repeat
LEAP_YEARS = 4
_UNTIL = re.compile(r"(?<=UNTIL=)(\d{8}T\d{6})Z", re.IGNORECASE)
_STEPS = {1: None, 0: None, 2: timedelta(weeks=1), 3: timedelta(days=1), 4: timedelta(hours=1)}  # of dateutil's frequencies


def first_match(patterns: Sequence[str], name: str | None) -> int | None:
    """Place of the first pattern that matches a series, which has no name where it is the only one; None where none does.

    >>> first_match(["web-*", "*"], "web-1"), first_match(["web-*", "*"], None), first_match(["web-*"], None)
    (0, 1, None)
    """
    return next(
        (place for place, each in enumerate(patterns) if each == "*" or (name is not None and fnmatchcase(name, each))), None
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold at a flagged point with which an incident of a series may ring, and how long data may stay away."""

    name: str = ""  # what people know the rule by; the defaults of the others keep nothing from ringing
    direction: str = "both"  # of incidents that matter, "up", "down" or "both"
    min_deviation: float = 0.0  # that the point must have from what was expected, in that direction; 0 for any
    is_relative: bool = False  # that is a share of what was expected
    has_min_length: bool = False  # the incident's least length is this rule's
    calendar: Calendar | None = None  # when nothing rings, and when only much does
    holiday_tolerance: float = 1.0  # the error in thresholds that the point must have on a holiday
    no_data: float = 0.0  # seconds without a point that are an incident; 0 for none

    def silences(
        self, incident: Incident, values: Array, expected: Array, height: float, moment: int, *, is_long: bool
    ) -> str | None:
        """The part of the rule by which an incident does not ring with its newest point; None where it may.

        Args:
            incident: with that point in it.
            values: (F,) of the point.
            expected: (F,) at the point.
            height: error of the point in thresholds.
            moment: of the point, in nanoseconds since 1970.
            is_long: the incident has its least length.
        """
        if self.direction != "both" and not {self.direction, "both", None} & {*incident.direction}:
            return f"{self.name}.direction"
        if self.min_deviation:
            sign = {"up": 1.0, "down": -1.0}.get(self.direction)
            deviations = (values - expected) * sign if sign else np.abs(values - expected)
            needed = self.min_deviation * np.abs(expected) if self.is_relative else np.full(len(expected), self.min_deviation)
            known = ~np.isnan(deviations)
            if known.any() and not (deviations[known] >= needed[known]).any():
                return f"{self.name}.min_deviation"
        if self.has_min_length and not is_long:
            return f"{self.name}.min_length"
        if self.calendar and self.calendar.is_quiet(moment):
            return f"{self.name}.quiet"
        if self.calendar and height < self.holiday_tolerance and self.calendar.is_holiday(moment):
            return f"{self.name}.holidays"
        return None

    def awake_from(self, moment: int, now: int) -> tuple[int, str | None]:
        """See ``Calendar.awake_from``: when missing data ring, and the part of the rule that holds them back until then."""
        awake = self.calendar.awake_from(moment, now) if self.calendar else moment
        if not self.calendar or awake == moment:
            return moment, None
        return awake, f"{self.name}.{'quiet' if self.calendar.is_quiet(moment) else 'holidays'}"


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name. ValueError: there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name}") from None


def holidays_of(place: str) -> Container[date]:
    """The public holidays of a country, "DE", or of a part of it, "DE-BY". ValueError: the package knows no such place."""
    require("holidays", purpose="rules with holidays")
    import holidays

    country, _, part = place.partition("-")
    try:
        found: Container[date] = holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError as error:
        raise ValueError(str(error)) from None
    return found


@dataclass(frozen=True)
class Calendar:
    """Quiet windows and holidays.

    Moments are nanoseconds since 1970, of UTC, or of the clock itself where a stream's times carry no zone.
    """

    windows: Sequence[Recurrence] = ()  # that are quiet
    holidays: Container[date] = ()  # days; empty for none
    zone: ZoneInfo | None = None  # of windows and holidays; None: moments are those of that clock

    def is_quiet(self, moment: int) -> bool:
        """Whether a moment lies in a quiet window."""
        return any(window.end(self._local(moment)) for window in self.windows)

    def is_holiday(self, moment: int) -> bool:
        """Whether a moment lies in a holiday."""
        return self._local(moment).date() in self.holidays

    def awake_from(self, moment: int, now: int) -> int:
        """The first moment from this one on that lies in no quiet window and no holiday; one behind ``now`` where none is sooner."""
        local = self._local(moment)
        while self._moment(local) <= now:
            ends = [end for window in self.windows if (end := window.end(local))]
            if local.date() in self.holidays:
                ends.append(datetime.combine(local.date() + timedelta(days=1), time()))
            if not ends:
                break
            local = max(ends)
        return max(moment, self._moment(local))

    def _local(self, moment: int) -> datetime:
        plain = EPOCH + timedelta(microseconds=moment // _NANOSECONDS)
        return plain.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None) if self.zone else plain

    def _moment(self, local: datetime) -> int:
        utc = local.replace(tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None) if self.zone else local
        return (utc - EPOCH) // timedelta(microseconds=1) * _NANOSECONDS


class Recurrence:
    """Windows of one length.

    Times are those of a clock on the wall: a window from 22:00 for eight hours ends at 06:00 also in the night in which clocks are changed.
    A rule without an end costs what lies between two of its windows, not what lies behind it.

    Args:
        start: of the first window.
        duration: of each.
        rule: an RRULE such as "FREQ=WEEKLY;BYDAY=SU"; empty: there is only one window.
        zone: of the clock; an UNTIL in UTC is converted to it.

    Raises:
        ValueError: the rule cannot be read, or no window ever comes.

    Examples:
        >>> nights = Recurrence(datetime(2024, 1, 1, 22), timedelta(hours=8), "FREQ=DAILY", UTC)
        >>> nights.end(datetime(2031, 5, 3, 1)), nights.end(datetime(2031, 5, 3, 12))
        (datetime.datetime(2031, 5, 3, 6, 0), None)
    """

    def __init__(self, start: datetime, duration: timedelta, rule: str, zone: tzinfo) -> None:
        self._duration = duration
        self._rule = _parsed(rule or "FREQ=DAILY;COUNT=1", start, zone)
        # between the first and the last of these times, ``_begin`` is the start of the newest window, None: it is over
        self._since = self._next = datetime.min
        self._begin: datetime | None = None

    def end(self, moment: datetime) -> datetime | None:
        """When the window ends that ``moment`` lies in; None where it lies in none."""
        if not self._since <= moment < self._next:
            self._seek(moment)
        end = self._begin + self._duration if self._begin else moment
        return end if end > moment else None

    def _seek(self, moment: datetime) -> None:
        self._since, self._next, self._begin = moment, datetime.max, None
        for begin in _moved(self._rule, moment - self._duration):
            if begin > moment:
                self._next = begin
                break
            self._since = self._begin = begin


def _parsed(text: str, start: datetime, zone: tzinfo) -> Any:
    """A ``dateutil.rrule``, whose attributes its type stubs do not know."""
    require("dateutil", purpose="rules with quiet windows")
    from dateutil import rrule

    text = text.strip().removeprefix("RRULE:")
    if not re.fullmatch(r"[A-Za-z0-9=;,+-]{1,500}", text):
        raise ValueError("it holds more than NAME=VALUE parts")
    try:
        local = _UNTIL.sub(
            lambda found: f"{datetime.strptime(found[1] + 'Z', '%Y%m%dT%H%M%S%z').astimezone(zone):%Y%m%dT%H%M%S}", text
        )
        found: Any = rrule.rrulestr(local, dtstart=start)
        step, count = found._interval, found._count
        if found._freq not in _STEPS:
            raise ValueError("HOURLY is the finest FREQ")
        if step < 1 or (count is not None and not 1 <= count <= MAX_COUNT):
            raise ValueError(f"INTERVAL is at least 1, COUNT from 1 to {MAX_COUNT:,}")
        # where the calendar ends soon, it is known at once that no window comes; there it is the same calendar
        last = start.replace(year=start.year + (datetime.max.year - start.year) // CALENDAR_YEARS * CALENDAR_YEARS)
        if not next(iter(found.replace(dtstart=last, until=None)), None) or not next(iter(found), None):
            raise ValueError("no window ever comes")
    except (TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return found


def _moved(rule: Any, moment: datetime) -> Any:
    """The same rule, begun with one of its steps shortly before ``moment``, so that what lies behind is not gone through."""
    start, interval, step = rule._dtstart, rule._interval, _STEPS[rule._freq]
    if rule._count is not None or moment <= start:
        return rule
    if step:
        return rule.replace(dtstart=start + (moment - start) // (step * interval) * step * interval)
    if (start.month, start.day) == (2, 29):
        return rule
    years = LEAP_YEARS * interval
    return rule.replace(dtstart=start.replace(year=start.year + max(0, moment.year - 1 - start.year) // years * years))
