"""Schema: which column of a table holds the time, which the values, which the labels, and which the names of series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import ColumnType, preview

TIME_NAMES = ("timestamp", "datetime", "time", "date", "ds")  # compared in lower case; the first one present wins
LABEL_NAMES = ("label", "is_anomaly", "anomaly")  # never taken for values unless asked for
MAX_SERIES = 10_000  # each has a detector of its own in memory
MAX_SERIES_NAME = 200  # characters; a name is written with every row

TOO_MANY_SERIES = f"at most {MAX_SERIES:,} series are judged together; choose another --series-column, or split the file"


@dataclass(frozen=True, slots=True)
class ColumnSelection:
    """The columns a user asked for by name."""

    columns: Sequence[str] = ()  # of values; empty: the obvious one (see ``choose_schema``)
    time: str | None = None  # None: the obvious one, or rows are counted
    label: str | None = None  # of 0 and 1, which marks anomalies; None: no labels
    series: str | None = None  # says which series a row belongs to; None: all rows are of one

    def names(self) -> set[str]:
        """Every name that was asked for."""
        return {*self.columns, *(name for name in (self.time, self.label, self.series) if name is not None)}


OBVIOUS = ColumnSelection()


@dataclass(frozen=True, slots=True)
class Schema:
    """Where things are in a row: the positions of its columns."""

    names: tuple[str, ...]  # of all columns, in their order
    values: tuple[int, ...]  # of the F value columns
    time: int | None  # None: rows are counted
    label: int | None
    series: int | None  # None: all rows are of one

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
        if any(names.count(self.names[position]) != 1 for position in self.used):
            return None
        places: dict[int | None, int] = {position: names.index(self.names[position]) for position in self.used}
        values = tuple(places[position] for position in self.values)
        return Schema(tuple(names), values, places.get(self.time), places.get(self.label), places.get(self.series))


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
        names = [text.strip() for text in texts]
        for name in dict.fromkeys(names):
            if name not in self._positions:
                if len(name) > MAX_SERIES_NAME:
                    raise ValueError(f"the name of a series has {MAX_SERIES_NAME} characters at most")
                if len(self.names) == MAX_SERIES:
                    raise ValueError(TOO_MANY_SERIES)
                self._positions[name] = len(self.names)
                self.names.append(name)
        return np.array([self._positions[name] for name in names], dtype=np.int64)


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
    for others, what, position, role in (
        (asked, "value", time, "time"),
        (asked, "value", series, "series"),
        ((time,), "time", series, "series"),
        ((label,), "label", series, "series"),
    ):
        if position is not None and position in others:
            name = names[position]
            raise InputError(f"{place}: column {name!r} cannot be {what} and {role} at once; choose another --{role}-column")
    values = asked or (_choose_value(place, names, types, {time, label, series}),)
    return Schema(tuple(names), values, time, label, series)


def _find(place: str, names: Sequence[str], name: str) -> int:
    """Position of a column that was asked for."""
    if (times := names.count(name)) > 1:
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
    return _only(place, names, times, "times", "--time-column")


def _choose_value(place: str, names: Sequence[str], types: Sequence[ColumnType], taken: set[int | None]) -> int:
    free = [
        position
        for position, name in enumerate(map(str.lower, names))  # "" and "__index_level_0__" are what pandas calls row numbers
        if position not in taken and name not in (*LABEL_NAMES, "") and not name.startswith("__index_level_")
    ]
    tests: list[Callable[[int], bool]] = [
        lambda position: names[position].lower() == "value",
        lambda position: types[position] is ColumnType.NUMBER,
        lambda position: types[position] is ColumnType.MISSING,
    ]
    for is_obvious in tests:
        found = _only(place, names, list(filter(is_obvious, free)), "numbers", "--column")
        if found is not None:
            return found
    raise InputError(f"{place} has no column of numbers besides time and labels, only {_listed(names)}; give one with numbers")


def _only(place: str, names: Sequence[str], found: Sequence[int], what: str, option: str) -> int | None:
    if len(found) > 1:
        listed = _listed([names[position] for position in found])
        raise InputError(f"{place} has several columns of {what} ({listed}); choose with {option} NAME")
    return found[0] if found else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() and 0 < len(name) <= 40 else preview(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "(none)"
