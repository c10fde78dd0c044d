"""Schema: which column of a table holds the time, which the values, which the labels, and which the names of series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import is_iso_time, is_missing, is_number, preview

TIME_NAMES = ("timestamp", "datetime", "time", "date", "ds")  # compared in lower case; the first one present wins
LABEL_NAMES = ("label", "is_anomaly", "anomaly")  # never taken for values unless asked for
MAX_SERIES = 10_000  # each has a detector of its own in memory
MAX_SERIES_NAME = 200  # characters; a name is written with every row

TOO_MANY_SERIES = f"at most {MAX_SERIES:,} series are judged together; choose another --series-column, or split the file"
SERIES_NAME_TOO_LONG = f"the name of a series has {MAX_SERIES_NAME} characters at most"


class ColumnType(Enum):
    """What a column holds, as far as its first value tells."""

    NUMBER = "number"
    TIME = "time"  # ISO 8601; whether a number is a time only its column's name can tell
    MISSING = "missing"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnSelection:
    """The columns a user asked for by name; empty and None mean "the obvious ones"."""

    columns: tuple[str, ...] = ()
    time: str | None = None
    label: str | None = None
    series: str | None = None

    def names(self) -> tuple[str, ...]:
        """Every name that was asked for."""
        return (*self.columns, *(name for name in (self.time, self.label, self.series) if name is not None))


@dataclass(frozen=True, slots=True)
class Schema:
    """Where things are in a row: the positions of its columns."""

    names: tuple[str, ...]  # of all columns, in their order
    values: tuple[int, ...]  # of the F value columns
    time: int | None  # None: rows are counted
    label: int | None
    series: int | None = None  # None: all rows are of one

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the F value columns."""
        return tuple(self.names[position] for position in self.values)

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of all columns that are read."""
        return tuple(position for position in (*self.values, self.time, self.label, self.series) if position is not None)

    def moved_to(self, names: Sequence[str]) -> Schema | None:
        """The same columns in a table of another order; None where one of them is not there, or is there twice."""
        if any(list(names).count(self.names[position]) != 1 for position in self.used):
            return None

        def move(position: int | None) -> int | None:
            return None if position is None else names.index(self.names[position])

        values = tuple(names.index(name) for name in self.columns)
        return Schema(tuple(names), values, move(self.time), move(self.label), move(self.series))


class SeriesIndex:
    """Numbers the series of a table in order of first appearance; an empty name is one like any other."""

    def __init__(self) -> None:
        self.names: list[str] = []  # grows in place
        self._positions: dict[str, int] = {}

    def positions(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Names (N,), blanks around them left out -> positions (N,) of their series.

        Raises:
            ValueError: a name is too long, or there are too many.
        """
        return np.array([self._position(text.strip()) for text in texts], dtype=np.int64)

    def _position(self, name: str) -> int:
        known = self._positions.get(name)
        if known is not None:
            return known
        if len(name) > MAX_SERIES_NAME:
            raise ValueError(SERIES_NAME_TOO_LONG)
        if len(self.names) == MAX_SERIES:
            raise ValueError(TOO_MANY_SERIES)
        self.names.append(name)
        return self._positions.setdefault(name, len(self.names) - 1)


def column_type(text: str) -> ColumnType:
    """What one text looks like."""
    if is_missing(text):
        return ColumnType.MISSING
    if is_number(text):
        return ColumnType.NUMBER
    return ColumnType.TIME if is_iso_time(text) else ColumnType.OTHER


def column_types(rows: Sequence[Sequence[str]], width: int) -> list[ColumnType]:
    """What each column looks like, by its first text that is not missing; rows of another width are passed over."""

    def first_type(texts: Sequence[str]) -> ColumnType:
        return next((found for text in texts if (found := column_type(text)) is not ColumnType.MISSING), ColumnType.MISSING)

    return [first_type(column) for column in zip(*(row for row in rows if len(row) == width), strict=True)]


def choose_schema(place: str, names: Sequence[str], types: Sequence[ColumnType], selection: ColumnSelection) -> Schema:
    """Find the time, value, label and series columns of a table.

    Values: the columns asked for; else the one named "value"; else the only column of numbers that has a name and is neither time
    nor label nor series. Time: the column asked for; else the one with a usual name (``TIME_NAMES``); else the only one whose first
    value is an ISO 8601 time; else none.

    Raises:
        InputError: a column asked for does not exist, or none or several are obvious.
    """
    asked = tuple(_find(place, names, name) for name in selection.columns)
    if len(set(asked)) < len(asked):
        repeated = next(name for name in selection.columns if selection.columns.count(name) > 1)
        raise InputError(f"{place}: column {repeated!r} is asked for more than once; name each column once")
    label = None if selection.label is None else _find(place, names, selection.label)
    series = None if selection.series is None else _find(place, names, selection.series)
    taken = {*asked, label, series}
    time = _choose_time(place, names, types, taken) if selection.time is None else _find(place, names, selection.time)
    if time is not None and time in asked:
        raise InputError(f"{place}: column {names[time]!r} cannot be value and time at once; choose another --time-column")
    for others, what in ((asked, "value"), ((time,), "time"), ((label,), "label")):
        if series is not None and series in others:
            raise InputError(
                f"{place}: column {names[series]!r} cannot be {what} and series at once; choose another --series-column"
            )
    values = asked or (_choose_value(place, names, types, {time, label, series}),)
    return Schema(tuple(names), values, time, label, series)


def _find(place: str, names: Sequence[str], name: str) -> int:
    """Position of a column that was asked for."""
    if (times := list(names).count(name)) > 1:
        raise InputError(f"{place} has {times} columns named {name!r}; give each its own name")
    if times == 1:
        return names.index(name)
    lowered = {known.lower(): known for known in names}
    nearest = get_close_matches(name.lower(), lowered, n=1)
    guess = f"did you mean {lowered[nearest[0]]!r}? " if nearest else ""
    raise InputError(f"{place} has no column {name!r}; {guess}the columns are {_listed(names)}")


def _choose_time(place: str, names: Sequence[str], types: Sequence[ColumnType], taken: set[int | None]) -> int | None:
    free = [position for position in range(len(names)) if position not in taken]
    named = [position for usual in TIME_NAMES for position in free if names[position].lower() == usual]
    if named:
        # "date,time,value": of several usual names, one that holds whole times is better than the time of day
        return min(named, key=lambda position: types[position] is ColumnType.OTHER)
    times = [position for position in free if types[position] is ColumnType.TIME]
    if len(times) > 1:
        listed = _listed([names[position] for position in times])
        raise InputError(f"{place} has several columns of times ({listed}); choose with --time-column NAME")
    return times[0] if times else None


def _choose_value(place: str, names: Sequence[str], types: Sequence[ColumnType], taken: set[int | None]) -> int:
    def is_candidate(position: int) -> bool:
        name = names[position].lower()
        is_index = not name or name.startswith("__index_level_")  # what pandas names the row numbers in csv and in parquet
        return position not in taken and name not in LABEL_NAMES and not is_index

    free = [position for position in range(len(names)) if is_candidate(position)]
    tests: list[Callable[[int], bool]] = [
        lambda position: names[position].lower() == "value",
        lambda position: types[position] is ColumnType.NUMBER,
        lambda position: types[position] is ColumnType.MISSING,
    ]
    for is_obvious in tests:
        obvious = [position for position in free if is_obvious(position)]
        if len(obvious) == 1:
            return obvious[0]
        if obvious:
            listed = _listed([names[position] for position in obvious])
            raise InputError(f"{place} has several columns of numbers ({listed}); choose with --column NAME")
    raise InputError(f"{place} has no column of numbers besides time and labels, only {_listed(names)}; give one with numbers")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() and 0 < len(name) <= 40 else preview(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "(none)"
