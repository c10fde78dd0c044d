"""Cells: columns of texts become arrays of numbers, labels and times.

Every conversion takes a whole column and raises ``ValueError`` with a remedy; ``convert_column`` then finds the text that is to blame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, DecimalException
from enum import Enum
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import Time

Result = TypeVar("Result")

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})  # compared in lower case, without blanks around

BAD_NUMBER = "every value must be a number, or empty where it is missing"
BAD_LABEL = "every label must be 0 or 1"
BAD_TIME = "every time must be ISO 8601 (2024-05-31T12:00:00Z) or, in the whole column, a number such as epoch seconds"
NO_INDEX = "a number with a fraction that is no epoch; rows are counted 0, 1, 2 instead"
TIME_OUT_OF_RANGE = "a time must lie between the years 1678 and 2261"

_LABELS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS = np.dtype("datetime64[ns]")  # made once: making it takes longer than viewing an array as it
_INT64_MAX = int(np.iinfo(np.int64).max)
# Nanoseconds in a unit, each with the range of numbers that are read as that unit: 1973 to 2255 in all four.
_EPOCH_UNITS = ((10**9, 1e8, 9e9), (10**6, 1e11, 9e12), (10**3, 1e14, 9e15), (1, 1e17, 9e18))


class ColumnType(Enum):
    """What a column holds, as far as its first value tells."""

    NUMBER = "number"
    TIME = "time"  # ISO 8601; whether a number is a time only its column's name can tell
    MISSING = "missing"
    OTHER = "other"


def column_type(text: str) -> ColumnType:
    """What one text looks like; nan is missing, inf a number."""
    if text.strip().lower() in MISSING:
        return ColumnType.MISSING
    if _is_valid(float, text) and _is_plain((text,)):
        return ColumnType.NUMBER
    return ColumnType.TIME if _is_valid(datetime.fromisoformat, text.strip()) else ColumnType.OTHER


def convert_column(convert: Callable[[Sequence[str]], Result], texts: Sequence[str], place: Callable[[int], str]) -> Result:
    """Convert texts (N,) at once; where that fails, name the first text that fails on its own.

    ``convert`` raises ValueError with a remedy; ``place`` says where the text at a position stands.

    Raises:
        InputError: one of the texts cannot be converted.
    """
    try:
        return convert(texts)
    except ValueError:
        for position, text in enumerate(texts):
            try:
                convert((text,))
            except ValueError as error:
                raise InputError(f"{place(position)}: found {preview(text)}; {error}") from None
        raise


def preview(text: str) -> str:
    """What an error shows of a text: at most 40 characters, as Python would write it."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def to_floats(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Texts (N,) -> numbers (N,), NaN where missing."""
    numbers = _parse(texts, float, lambda text: math.nan if text.strip().lower() in MISSING else float(text), BAD_NUMBER)
    values = np.array(numbers, dtype=np.float64)
    if not _is_plain(texts) or np.count_nonzero(np.isinf(values)):
        raise ValueError(BAD_NUMBER)
    return values


def to_labels(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Texts (N,) of 0 and 1 (or false and true) -> labels (N,)."""
    try:
        return np.array([_LABELS[text.strip().lower()] for text in texts], dtype=np.bool_)
    except KeyError:
        raise ValueError(BAD_LABEL) from None


def time_reader(first: str) -> TimeReader | None:
    """The reader for a time column that starts with this text; None where rows have to be counted instead.

    Numbers are times where they are plausible as an epoch in seconds, milli-, micro- or nanoseconds (1973 to 2255); eight digits
    that spell a date (20240531) are that date; other whole numbers are an index. A number with a fraction (0.0) that is no epoch
    starts no index: rows are counted.

    Raises:
        ValueError: the text is neither a time nor a number.
    """
    first = first.strip()
    is_date = len(first) == 8 and first.isdecimal() and "1900" <= first[:4] <= "2100"
    if column_type(first) is not ColumnType.NUMBER or (is_date and _is_valid(datetime.fromisoformat, first)):
        return IsoTimes(first)
    number = float(first)
    if not math.isfinite(number):
        raise ValueError(BAD_TIME)
    for nanoseconds, low, high in _EPOCH_UNITS:
        if low <= number < high:
            return NumberTimes(nanoseconds)
    return NumberTimes(None) if first.lstrip("+-").isdecimal() else None


class IsoTimes:
    """ISO 8601 times as ``datetime.fromisoformat`` takes them, to the microsecond (further digits are cut)."""

    def __init__(self, first: str) -> None:
        self._is_zoned = _parse_iso((first,))[0].tzinfo is not None
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
        moments = _parse_iso(texts)
        try:
            nanoseconds = [(moment - self._epoch) // _MICROSECOND * 1000 for moment in moments]
        except TypeError:  # Python refuses to subtract a naive moment from a zoned one, and the other way round
            found = "carry one" if self._is_zoned else "carry no zone"
            raise ValueError(f"the times before it {found}; either all of them or none must carry a zone") from None
        times = _to_int64(nanoseconds).view(_NANOSECONDS)
        if len(self._zones) < 2:  # more of them would only take memory
            self._zones |= {moment.tzinfo for moment in moments}
        return times


class NumberTimes:
    """Numbers as times: an epoch where a unit is given, an index of whole numbers where it is None."""

    def __init__(self, nanoseconds: int | None) -> None:
        self._scale = nanoseconds or 1
        self._is_index = nanoseconds is None
        self.timezone = None if self._is_index else "UTC"  # an epoch counts from 1970 in UTC

    def convert(self, texts: Sequence[str]) -> Time:
        """Texts (N,) -> datetime64[ns] or an int64 index (N,)."""
        if not _is_plain(texts):
            raise ValueError(BAD_TIME)
        try:
            numbers = [int(text) * self._scale for text in texts]
        except ValueError:
            numbers = [self._from_decimal(text) for text in texts]
        index = _to_int64(numbers)
        return index if self._is_index else index.view(_NANOSECONDS)

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


TimeReader: TypeAlias = IsoTimes | NumberTimes  # reads the time column of one stream in the form that its first time had


def _to_int64(numbers: Sequence[int]) -> npt.NDArray[np.int64]:
    if max(max(numbers), -min(numbers)) > _INT64_MAX:  # the least number, which has no negative, stands for no time
        raise ValueError(TIME_OUT_OF_RANGE)
    return np.array(numbers, dtype=np.int64)


def _is_plain(texts: Sequence[str]) -> bool:
    """Whether no text has what only Python takes for a part of a number: 1_000, or digits of other scripts."""
    joined = "".join(texts)
    return joined.isascii() and "_" not in joined


def _is_valid(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _parse(texts: Sequence[str], parse: Callable[[str], Result], patiently: Callable[[str], Result], rule: str) -> list[Result]:
    """Texts (N,) parsed in the quick way where that suits all of them, else in the patient one."""
    try:
        return list(map(parse, texts))
    except ValueError:
        pass
    try:
        return list(map(patiently, texts))
    except ValueError:
        raise ValueError(rule) from None


def _parse_iso(texts: Sequence[str]) -> list[datetime]:
    return _parse(texts, datetime.fromisoformat, lambda text: datetime.fromisoformat(text.strip()), BAD_TIME)
