"""Calendar dates: a moment as people and spreadsheets write it, in fields; which of two numbers is the day is not decided here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TypeAlias

from autoencoder.sources.reading import DateOrder

MAX_LENGTH = 80  # of a date; what is remembered stays small

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: month for month, name in enumerate(_NAMES, 1)}
_CLOCK = r"(?:(?:\s*[T@:,]\s*|\s+(?:@\s*)?)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AaPp])\.?[Mm]\.?)?)?"
_ZONE = r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2}(?:\s+UTC)?)?"
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
_NUMERIC = re.compile(r"(\d{4}|\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{1,2})" + _CLOCK + _ZONE, re.ASCII)
_DAY_NAMED = re.compile(_WEEKDAY + r"(\d{1,2})[ /-]([A-Za-z]{3})[a-z]*\.?[ /-](\d{4})" + _CLOCK + _ZONE, re.ASCII)
_MONTH_NAMED = re.compile(_WEEKDAY + r"([A-Za-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})" + _CLOCK + _ZONE, re.ASCII)
_MONTH_ONLY = re.compile(r"(\d{4})[-/](\d{2})", re.ASCII)
_DIGITS = re.compile(r"((?:19[7-9]|20\d)\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])(?:([0-5]\d)([0-5]\d)?)?", re.ASCII)


_Date: TypeAlias = tuple[str, str, str, str]  # first, separator, second, third; a named month has "" for a separator
DateParts: TypeAlias = tuple[_Date, tuple[str | None, ...]]  # and clock: hour, minute, second, fraction, A or P; zone


def parse_date(text: str) -> DateParts | None:
    """The fields of a calendar date, None where the text is none."""
    return _parse(text) if len(text) <= MAX_LENGTH else None


@lru_cache(4096)
def _parse(text: str) -> DateParts | None:
    if found := _NUMERIC.fullmatch(text):
        first, separator, second, third, *rest = found.groups()
        has_short_year = len(first) < 4 and len(third) == 2 and separator != "-"  # 31/12/24; of 24-05-31 any part may be the year
        if (len(first) == 4) == (len(third) == 4) and not has_short_year:
            return None
        parts: DateParts = (first, separator, second, third), tuple(rest)
    elif found := _DAY_NAMED.fullmatch(text) or _MONTH_NAMED.fullmatch(text):
        one, two, year, *rest = found.groups()
        day, name = (one, two) if one.isdecimal() else (two, one)
        month = _MONTHS.get(name.lower())
        if month is None:
            return None
        parts = (year, "", str(month), day), tuple(rest)
    elif found := _DIGITS.fullmatch(text):
        year, month_text, day, hour, minute, second_text = found.groups()
        parts = (year, "", month_text, day), (hour, minute or "00", second_text, None, None, None)
    elif found := _MONTH_ONLY.fullmatch(text):
        parts = (found[1], "", found[2], "1"), (None,) * 6
    else:
        return None
    try:
        build_moment(parts, order_of(parts) or "day_first")
    except ValueError:
        return None
    return parts


def is_stamp(text: str) -> bool:
    """Whether a text is the ten to fourteen digits of a date and an hour: 202405311200."""
    return _DIGITS.fullmatch(text) is not None and parse_date(text) is not None


def order_of(parts: DateParts) -> DateOrder | None:
    """The order that a date itself settles; None also where the year comes first and nothing is to be settled."""
    (first, separator, second, _), _ = parts
    if len(first) == 4:
        return None
    if separator == "." or int(first) > 12:
        return "day_first"
    return "month_first" if int(second) > 12 else None


def is_ordered(parts: DateParts) -> bool:
    """Whether day and month come before the year, in some order."""
    return len(parts[0][0]) < 4


def has_two_readings(parts: DateParts) -> bool:
    """Whether the two orders give different days."""
    return is_ordered(parts) and int(parts[0][0]) != int(parts[0][2])


def build_moment(parts: DateParts, order: DateOrder) -> datetime:
    """The moment of a date's parts. Raises ValueError: there is no such day or hour."""
    (first, _, second, third), (hour, minute, seconds, fraction, half, zone) = parts
    if len(first) == 4:
        year, month, day = int(first), int(second), int(third)
    else:
        day, month = (int(first), int(second)) if order == "day_first" else (int(second), int(first))
        year = int(third) if len(third) == 4 else int(third) + (2000 if int(third) < 69 else 1900)
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError(f"{hours} is no hour of a clock with two halves")
        hours = hours % 12 + (12 if half in "Pp" else 0)
    microseconds = int((fraction or "0").ljust(6, "0")[:6])
    return datetime(year, month, day, hours, int(minute or 0), int(seconds or 0), microseconds, _zone(zone))


@lru_cache(256)
def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in ("Z", "UTC", "GMT"):
        return UTC
    sign, digits = (-1 if text[0] == "-" else 1), text[1:].removesuffix("UTC").strip().replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))
