"""Clocks: whole numbers that are a time of day beside a column of dates: 930 and 1200, 000000 and 153000."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autoencoder.sources.cells import ColumnType
from autoencoder.sources.schema import CLOCK_NAMES, plain_name
from autoencoder.sources.times import is_time

DATE_NAMES = ("date", "datum", "fecha", "tradedate", "tradingdate", "tradingday")
HOURS_AND_MINUTES, WITH_SECONDS = 4, 6  # digits


class DigitClock(NamedTuple):
    """A column of times of day in digits, and the column of their dates."""

    date: int  # positions
    clock: int
    width: int  # digits of a time, with the zeros in front that may be left out


def find_digit_clock(names: Sequence[str], types: Sequence[ColumnType], columns: Sequence[Sequence[str]]) -> DigitClock | None:
    """The columns of dates and of times of day in digits among the first rows; None where there are none.

    Numbers below 100 in all rows may be hours, minutes or anything else, and count for none.
    """
    named = [plain_name(name) for name in names]
    dates = [place for place, name in enumerate(named) if name in DATE_NAMES and _are_dates(columns[place])]
    for place, name in enumerate(named):
        if dates and name in CLOCK_NAMES and types[place] is ColumnType.NUMBER and (width := _width(columns[place])):
            return DigitClock(dates[0], place, width)
    return None


def clock_text(text: str, width: int | None) -> str:
    """A time of day with its colons, where it is written in so many digits; None: as it stands.

    >>> clock_text("930", 4), clock_text("000500", 6), clock_text(" 9:30 ", None)
    ('09:30', '00:05:00', '9:30')
    """
    text = text.strip()
    if width is None or not text.isdecimal():
        return text
    digits = text.zfill(width)
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))


def _are_dates(texts: Sequence[str]) -> bool:
    return all(":" not in text and is_time(text) for text in texts if text.strip())


def _width(texts: Sequence[str]) -> int | None:
    digits = [text.strip() for text in texts if text.strip()]
    longest = max(map(len, digits), default=0)
    if not 3 <= longest <= WITH_SECONDS or not all(text.isdecimal() for text in digits):
        return None
    width = HOURS_AND_MINUTES if longest <= HOURS_AND_MINUTES else WITH_SECONDS
    return width if all(is_time(f"2000-01-01 {clock_text(text, width)}") for text in digits) else None
