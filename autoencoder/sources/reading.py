"""Reading: how cells with two readings are read, as a user asked for it or as the whole table showed, and the dates among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

Decimal: TypeAlias = Literal["point", "comma"]
DateOrder: TypeAlias = Literal["day_first", "month_first"]

MAX_DATE = 80  # characters of a date; what is remembered stays small

_MONTHS = {name: month for month, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_CLOCK = r"(?:(?:\s*[T@:,]\s*|\s+(?:@\s*)?)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AaPp])\.?[Mm]\.?)?)?"
_ZONE = r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2}(?:\s+UTC)?)?"
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
_NUMERIC = re.compile(r"(\d{4}|\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{1,2})" + _CLOCK + _ZONE, re.ASCII)
_DAY_NAMED = re.compile(_WEEKDAY + r"(\d{1,2})[ /-]([A-Za-z]{3})[a-z]*\.?[ /-](\d{4})" + _CLOCK + _ZONE, re.ASCII)
_MONTH_NAMED = re.compile(_WEEKDAY + r"([A-Za-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})" + _CLOCK + _ZONE, re.ASCII)
_MONTH_ONLY = re.compile(r"(\d{4})[-/](\d{2})", re.ASCII)
# the digits of a date and an hour: 202405311200
STAMP = re.compile(r"((?:19[7-9]|20\d)\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])(?:([0-5]\d)([0-5]\d)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a table's cells before its first one is read."""

    decimal: Decimal | None = None  # the decimal sign of all numbers; None: each column shows its own
    dates: DateOrder | None = None  # what comes first in 03/04/2024; None: the column shows it
    decimals: Mapping[str, Decimal] = field(default_factory=dict)  # by column, as found


AS_FOUND = Reading()


class MustReadAgain(Exception):
    """A later cell shows that earlier ones were read wrongly: the table is to be read from its start, knowing this."""

    def __init__(self, *, dates: DateOrder | None = None, decimals: Mapping[str, Decimal] | None = None) -> None:
        super().__init__(dates, decimals)
        self._dates, self._decimals = dates, decimals or {}

    def correct(self, reading: Reading) -> Reading:
        """The reading with what was found."""
        return replace(reading, dates=self._dates or reading.dates, decimals={**reading.decimals, **self._decimals})


class CalendarDate(NamedTuple):
    """A calendar date as it is written; which of two numbers is the day is not decided here."""

    first: str
    separator: str  # of the three parts; "" beside a named month
    second: str
    third: str
    clock: tuple[str | None, ...]  # hour, minute, second, fraction, A or P; zone

    @property
    def is_ordered(self) -> bool:
        """Whether day and month come before the year, in some order."""
        return len(self.first) < 4

    @property
    def order(self) -> DateOrder | None:
        """The order that the date itself settles; None also where the year comes first and nothing is to be settled."""
        if self.is_ordered and (self.separator == "." or int(self.first) > 12):
            return "day_first"
        return "month_first" if self.is_ordered and int(self.second) > 12 else None

    def moment(self, order: DateOrder) -> datetime:
        """The moment. Raises ValueError: there is no such day or hour."""
        hour, minute, seconds, fraction, half, zone = self.clock
        year, month, day = int(self.first), int(self.second), int(self.third)
        if self.is_ordered:
            day, month = (year, month) if order == "day_first" else (month, year)
            year = int(self.third)
            year += 0 if len(self.third) == 4 else 2000 if year < 69 else 1900
        hours = int(hour or 0)
        if half:
            if not 1 <= hours <= 12:
                raise ValueError(f"{hours} is no hour of a clock with two halves")
            hours = hours % 12 + (12 if half in "Pp" else 0)
        microseconds = int((fraction or "0").ljust(6, "0")[:6])
        return datetime(year, month, day, hours, int(minute or 0), int(seconds or 0), microseconds, _zone(zone))


def parse_date(text: str) -> CalendarDate | None:
    """The fields of a calendar date, None where the text is none."""
    return _parse_date(text) if len(text) <= MAX_DATE else None


@lru_cache(4096)
def _parse_date(text: str) -> CalendarDate | None:
    if found := _NUMERIC.fullmatch(text):
        first, separator, second, third, *clock = found.groups()
        has_short_year = len(first) < 4 and len(third) == 2 and separator != "-"  # 31/12/24; of 24-05-31 any part may be the year
        if (len(first) == 4) == (len(third) == 4) and not has_short_year:
            return None
        date = CalendarDate(first, separator, second, third, tuple(clock))
    elif found := _DAY_NAMED.fullmatch(text) or _MONTH_NAMED.fullmatch(text):
        one, two, year, *clock = found.groups()
        day, name = (one, two) if one.isdecimal() else (two, one)
        if name.lower() not in _MONTHS:
            return None
        date = CalendarDate(year, "", str(_MONTHS[name.lower()]), day, tuple(clock))
    elif found := STAMP.fullmatch(text):
        year, month, day, hour, minute, seconds = found.groups()
        date = CalendarDate(year, "", month, day, (hour, minute, seconds, None, None, None))
    elif found := _MONTH_ONLY.fullmatch(text):
        date = CalendarDate(found[1], "", found[2], "1", (None,) * 6)
    else:
        return None
    try:
        date.moment(date.order or "day_first")
    except ValueError:
        return None
    return date


@lru_cache(256)
def _zone(text: str | None) -> tzinfo | None:
    if text is None or text in ("Z", "UTC", "GMT"):
        return UTC if text else None
    sign, digits = (-1 if text[0] == "-" else 1), text[1:].removesuffix("UTC").strip().replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))
