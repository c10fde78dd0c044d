"""Times: columns of texts become moments, in the one form that the whole column has.

Every reader takes a whole column and raises ``ValueError`` with a remedy. A date such as 03/04/2024 has two readings: the column settles
which (a 31 is no month), and where it does not, the reader says so instead of guessing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, DecimalException
from typing import TypeAlias

import numpy as np

from autoencoder.core.types import Integers, Time
from autoencoder.sources.reading import STAMP, DateOrder, MustReadAgain, parse_date

BAD_TIME = (
    "every time must be ISO 8601 (2024-05-31T12:00:00Z), a calendar date (31/05/2024 12:00) or, in the whole column, "
    "a number such as epoch seconds"
)
NO_INDEX = "a number with a fraction that is no epoch; rows are counted 0, 1, 2 instead"
TIME_OUT_OF_RANGE = "a time must lie between the years 1678 and 2261"
UNSETTLED = (
    "nothing says whether its day or its month comes first; give --set input.dates=day_first or --set input.dates=month_first"
)
# Nanoseconds in a unit, each with the range of numbers that are read as that unit: 1973 to 2255 in all four.
EPOCH_UNITS = ((10**9, 1e8, 9e9), (10**6, 1e11, 9e12), (10**3, 1e14, 9e15), (1, 1e17, 9e18))

_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS = np.dtype("datetime64[ns]")  # made once: making it takes longer than viewing an array as it
_INT64_MAX = int(np.iinfo(np.int64).max)


def is_time(text: str) -> bool:
    """Whether a text is a moment in words or digits with separators; a plain number is none."""
    text = text.strip()
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return parse_date(text) is not None
    return True


def time_reader(texts: Sequence[str], order: DateOrder | None = None, *, may_change: bool = False) -> TimeReader | None:
    """The reader for a time column that starts with these texts, of which the first settles the form; None where rows are counted.

    Numbers are times where they are plausible as an epoch in seconds, milli-, micro- or nanoseconds (1973 to 2255); digits that spell a
    date (20240531, 202405311200) are that date; other whole numbers are an index. A number with a fraction (0.0) that is no epoch starts
    no index: rows are counted.

    Args:
        texts: the first ones, at least one.
        order: of day and month, where it is known.
        may_change: the column can be read again where a later text shows another order (``MustReadAgain``); else these texts must
            settle it.

    Raises:
        ValueError: the first text is neither a time nor a number, or nothing settles the order of day and month.
    """
    first = texts[0].strip()
    is_date = len(first) == 8 and first.isdecimal() and "1900" <= first[:4] <= "2100"
    if STAMP.fullmatch(first) and parse_date(first):
        return CalendarTimes(texts, order, may_change)
    try:
        number = float(first) if first.isascii() and "_" not in first else None  # of which only Python makes numbers
    except ValueError:
        number = None
    if number is None or is_date:
        try:
            return IsoTimes(first)
        except ValueError:
            if number is None:
                return CalendarTimes(texts, order, may_change)
    if not math.isfinite(number):
        raise ValueError(BAD_TIME)
    for nanoseconds, low, high in EPOCH_UNITS:
        if low <= number < high:
            return NumberTimes(nanoseconds)
    return NumberTimes(None) if first.lstrip("+-").isdecimal() else None


class IsoTimes:
    """ISO 8601 times as ``datetime.fromisoformat`` takes them, to the microsecond (further digits are cut).

    All of a column or none carry a zone.
    """

    def __init__(self, first: str) -> None:
        self._is_zoned = self._parse((first,))[0].tzinfo is not None
        self._epoch = datetime(1970, 1, 1, tzinfo=UTC if self._is_zoned else None)
        self._zones: set[tzinfo | None] = set()

    @property
    def timezone(self) -> str | None:
        """The zone that all times so far share ("+02:00"), "UTC" where they differ or no name fits, None where they carry none."""
        if not self._is_zoned:
            return None
        zone, *others = map(str, self._zones)
        return zone.removeprefix("UTC") if not others and zone.count(":") == 1 else "UTC"

    def convert(self, texts: Sequence[str]) -> Time:
        """Texts (N,) -> datetime64[ns] (N,), in UTC where they carry a zone."""
        moments = self._parse(texts)
        try:
            nanoseconds = [(moment - self._epoch) // _MICROSECOND * 1000 for moment in moments]
        except TypeError:  # Python refuses to subtract a naive moment from a zoned one, and the other way round
            found = "carry one" if self._is_zoned else "carry no zone"
            raise ValueError(f"the times before it {found}; either all of them or none must carry a zone") from None
        times = _to_int64(nanoseconds).view(_NANOSECONDS)
        if len(self._zones) < 2:  # more of them would only take memory
            self._zones |= {moment.tzinfo for moment in moments}
        return times

    def require_settled(self) -> None:
        """Refuse a column that ended with two readings. Raises ValueError: nothing settled the order of day and month."""

    def _parse(self, texts: Sequence[str]) -> list[datetime]:
        """Texts (N,) -> N moments; raises ValueError with a remedy."""
        try:
            return list(map(datetime.fromisoformat, map(str.strip, texts)))
        except ValueError:
            raise ValueError(BAD_TIME) from None


class CalendarTimes(IsoTimes):
    """Dates as people and spreadsheets write them: 31/12/2024 17:00, 12/31/2024 5:00 PM, 31-Dec-2024, Dec 31, 2024 @ 17:00:00.000.

    A date with points has its day first. Of others the first texts settle the order, or the first of the rest where the column can be
    read again; a date that contradicts a settled order is an error.
    """

    def __init__(self, texts: Sequence[str], order: DateOrder | None, may_change: bool) -> None:
        dates = [found for text in texts if (found := parse_date(text.strip()))]
        evidence: DateOrder | None = next(filter(None, (date.order for date in dates)), None)
        self._is_settled = bool(order or evidence)
        self._order: DateOrder = order or evidence or "day_first"
        self._may_change = may_change
        self._unsettled: str | None = None  # the first text with two readings
        first = texts[0].strip()
        super().__init__(first)
        date = parse_date(first)
        if not may_change and date and date.is_ordered and not (self._is_settled or date.order):
            raise ValueError(UNSETTLED)

    def require_settled(self) -> None:  # noqa: D102 - as in the base class
        if not self._is_settled and self._unsettled is not None:
            raise ValueError(f"found {self._unsettled!r}; {UNSETTLED}")

    def _parse(self, texts: Sequence[str]) -> list[datetime]:
        return [self._moment(text.strip()) for text in texts]

    def _moment(self, text: str) -> datetime:
        date = parse_date(text)
        if date is None:
            raise ValueError(BAD_TIME)
        found = date.order
        if found and found != self._order and date.separator != ".":
            if self._may_change and not self._is_settled:
                raise MustReadAgain(dates=found)
            raise ValueError(f"the times before it have the {self._order.partition('_')[0]} first")
        if found:
            self._is_settled = True
        elif not self._is_settled and self._unsettled is None and date.is_ordered and int(date.first) != int(date.second):
            self._unsettled = text
        return date.moment("day_first" if date.separator == "." else self._order)


class NumberTimes:
    """Numbers as times: an epoch where a unit is given, an index of whole numbers where it is None."""

    def __init__(self, nanoseconds: int | None) -> None:
        self._scale = nanoseconds or 1
        self._is_index = nanoseconds is None
        self.timezone = None if self._is_index else "UTC"  # an epoch counts from 1970 in UTC

    def convert(self, texts: Sequence[str]) -> Time:
        """Texts (N,) -> datetime64[ns] or an int64 index (N,)."""
        joined = "".join(texts)
        if not joined.isascii() or "_" in joined:  # only Python takes these for a part of a number
            raise ValueError(BAD_TIME)
        try:
            numbers = [int(text) * self._scale for text in texts]
        except ValueError:
            numbers = [self._from_decimal(text) for text in texts]
        index = _to_int64(numbers)
        return index if self._is_index else index.view(_NANOSECONDS)

    def require_settled(self) -> None:
        """A number has one reading."""

    def _from_decimal(self, text: str) -> int:
        # Decimal, not float: 1717156800.123456789 s has more digits than a float holds.
        try:
            number = Decimal(text.strip()) * self._scale
            if abs(number) > _INT64_MAX:
                raise ValueError(TIME_OUT_OF_RANGE)
        except DecimalException:
            raise ValueError(BAD_TIME) from None
        if self._is_index and number != int(number):
            raise ValueError("the times before it are whole numbers, so this one must be, too")
        return int(number)


TimeReader: TypeAlias = IsoTimes | NumberTimes  # reads the time column of one stream in the form of its first time


def _to_int64(numbers: Sequence[int]) -> Integers:
    if max(max(numbers), -min(numbers)) > _INT64_MAX:  # the least number, which has no negative, stands for no time
        raise ValueError(TIME_OUT_OF_RANGE)
    return np.array(numbers, dtype=np.int64)
