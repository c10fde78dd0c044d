"""Schema: which column of a table holds the time, which the values, which the labels, and which the names of series."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.core.types import Integers, Time
from autoencoder.sources.cells import ColumnType, preview

# Of columns with times, the first one present wins. Compared in lower case, without signs and what stands in brackets: "Time (UTC)".
TIME_NAMES = tuple("timestamp datetime time date ds ts".split())
# Names of times that may be those of something else: taken where the first value is a time or a number, or nothing else is a time.
LIKELY_TIME_NAMES = tuple(
    (
        "epoch unixtime unix unixtimestamp epochtime timestamputc timeutc datetimeutc utctime utc timestampms epochms timems localtime "
        "eventtime createdat recordedat measuredat observedat sampledat lastchanged lastupdated starttime periodstart "
        "zeit datumuhrzeit datumzeit zeitstempel datum fecha fechahora horodatage dataora"
    ).split()
)
PERIOD_NAMES = tuple("year quarter month week day jahr quartal monat woche tag mois mes".split())  # or categories
CLOCK_NAMES = tuple("time timeofday hour clock uhrzeit zeit hora heure ora".split())  # beside a column with dates
LABEL_NAMES = ("label", "is_anomaly", "anomaly")  # never taken for values unless asked for
ALL = "all"  # asks for every column of numbers, where no column has this name
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
    clock: int | None = None  # of the time of day, where the time is a date; None: the time is whole
    clock_width: int | None = None  # digits of a time of day without colons; None: it has them

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the F value columns."""
        return tuple(self.names[position] for position in self.values)

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of all columns that are read."""
        return tuple(
            position for position in (*self.values, self.time, self.label, self.series, self.clock) if position is not None
        )

    def moved_to(self, names: Sequence[str]) -> Schema | None:
        """The same columns in a table of another order; None where one of them is not there, or is there twice."""
        if any(names.count(self.names[position]) != 1 for position in self.used):
            return None
        places: dict[int | None, int] = {position: names.index(self.names[position]) for position in self.used}
        values = tuple(places[position] for position in self.values)
        time, label, series, clock = (places.get(position) for position in (self.time, self.label, self.series, self.clock))
        return replace(self, names=tuple(names), values=values, time=time, label=label, series=series, clock=clock)


class SeriesIndex:
    """Numbers the series of a table in order of first appearance; an empty name is one like any other."""

    def __init__(self) -> None:
        self.names: list[str] = []  # grows in place
        self._positions: dict[str, int] = {}

    def positions(self, texts: Sequence[str]) -> Integers:
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


def is_usual_time(name: str) -> bool:
    """Whether a column of this name usually holds times."""
    return plain_name(name) in (*TIME_NAMES, *LIKELY_TIME_NAMES)


def choose_schema(place: str, names: Sequence[str], types: Sequence[ColumnType], selection: ColumnSelection) -> Schema:
    """Find the time, value, label and series columns of a table.

    Values: the columns asked for; else the one named "value"; else the only column of numbers that has a name and is neither time
    nor label nor series. Time: the column asked for; else the one with a usual name (``TIME_NAMES``); else the only one whose first
    value is a time; else one of a usual name, which is refused when it is read; else none. Values of the name ``ALL``: every column
    of numbers that is not taken.

    Raises:
        InputError: a column asked for does not exist, or none or several are obvious.
    """
    takes_all = tuple(selection.columns) == (ALL,) and ALL not in names
    asked = () if takes_all else tuple(_find(place, names, name) for name in selection.columns)
    if len(set(asked)) < len(asked):
        repeated = next(name for name in selection.columns if selection.columns.count(name) > 1)
        raise InputError(f"{place}: column {repeated!r} is asked for more than once; name each column once")
    label = None if selection.label is None else _find(place, names, selection.label)
    series = None if selection.series is None else _find(place, names, selection.series)
    taken = {*asked, label, series}
    time = _choose_time(place, names, types, taken) if selection.time is None else _find(place, names, selection.time)
    for beside, what, position, role in (
        (asked, "value", time, "time"),
        (asked, "value", series, "series"),
        ((time,), "time", series, "series"),
        ((label,), "label", series, "series"),
    ):
        if position is not None and position in beside:
            name = names[position]
            raise InputError(f"{place}: column {name!r} cannot be {what} and {role} at once; choose another --{role}-column")
    clock = _choose_clock(names, types, time, {*asked, label, series})
    others = {time, label, series, clock}
    if takes_all:
        found = [position for position in _free(names, others) if types[position] is ColumnType.NUMBER]
        asked = tuple(_find(place, names, names[position]) for position in found)  # which refuses a name that several have
    values = asked or (_choose_value(place, names, types, others),)
    return Schema(tuple(names), values, time, label, series, clock)


def find_uncounted_period(schema: Schema, types: Sequence[ColumnType], row: Sequence[str]) -> str | None:
    """The end of a sentence on a column of months or the like that cannot be read, in a table whose rows are counted."""
    for position, (name, found) in enumerate(zip(schema.names, types, strict=True)):
        if schema.time is None and position not in schema.used and found is ColumnType.OTHER and plain_name(name) in PERIOD_NAMES:
            return f", column {name!r}: found {preview(row[position])}, which is no time; rows are counted 0, 1, 2 instead"
    return None


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
    by_name: dict[str, list[int]] = {}
    for position in free:
        by_name.setdefault(plain_name(names[position]), []).append(position)
    named = [position for usual in TIME_NAMES for position in by_name.get(usual, ())]
    likely = [position for usual in LIKELY_TIME_NAMES for position in by_name.get(usual, ())]
    named += [position for position in likely if types[position] in (ColumnType.TIME, ColumnType.NUMBER)]
    if named:
        # "date,time,value": of several usual names, one that holds whole times is better than the time of day
        return min(named, key=lambda position: types[position] in (ColumnType.OTHER, ColumnType.CLOCK))
    times = [position for position in free if types[position] is ColumnType.TIME]
    found = _only(place, names, times, "times", "--time-column NAME")
    unread = [position for position in likely if types[position] is not ColumnType.MISSING]
    return unread[0] if found is None and unread else found  # which is refused when it is read, and not passed over in silence


def _choose_clock(names: Sequence[str], types: Sequence[ColumnType], time: int | None, taken: set[int | None]) -> int | None:
    """The column with the time of day that goes with a column of dates: by its name, or next to it where columns have none."""
    if time is None:
        return None
    clocks = [position for position, found in enumerate(types) if found is ColumnType.CLOCK and position not in {*taken, time}]
    named = [position for position in clocks if plain_name(names[position]) in CLOCK_NAMES]
    return next(
        iter(named or [position for position in clocks if position == time + 1 and names[position].startswith("column_")]), None
    )


def _free(names: Sequence[str], taken: set[int | None]) -> list[int]:
    """Positions of the columns that may hold values unasked; "" and "__index_level_0__" are what pandas calls row numbers."""
    return [
        position
        for position, name in enumerate(map(str.lower, names))
        if position not in taken and name not in (*LABEL_NAMES, "", "unnamed: 0") and not name.startswith("__index_level_")
    ]


def _choose_value(place: str, names: Sequence[str], types: Sequence[ColumnType], taken: set[int | None]) -> int:
    free = _free(names, taken)
    tests: list[Callable[[int], bool]] = [
        lambda position: plain_name(names[position]) == "value",
        lambda position: types[position] is ColumnType.NUMBER,
        lambda position: types[position] is ColumnType.MISSING,
    ]
    for is_obvious in tests:
        found = _only(place, names, list(filter(is_obvious, free)), "numbers", "--column NAME, or take each with --column all")
        if found is not None:
            return found
    raise InputError(f"{place} has no column of numbers besides time and labels, only {_listed(names)}; give one with numbers")


def _only(place: str, names: Sequence[str], found: Sequence[int], what: str, option: str) -> int | None:
    if len(found) > 1:
        listed = _listed([names[position] for position in found])
        raise InputError(f"{place} has several columns of {what} ({listed}); choose with {option}")
    return found[0] if found else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() and 0 < len(name) <= 40 else preview(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "(none)"


def plain_name(name: str) -> str:
    """A column's name without what exports put around it: "_time", "@timestamp", "Time (UTC)", "value [°C]"."""
    return re.sub(r"[\[(].*?[\])]|[^a-z0-9]", "", name.lower()) or name.lower()


def find_series_column(schema: Schema, types: Sequence[ColumnType], rows: Sequence[Sequence[str]], time: Time) -> str | None:
    """The end of a sentence on a column of names, where times ascend among the rows (N,) of each name and not among all of them."""
    if np.all(np.diff(time.view(np.int64)) > 0):
        return None
    for position, found in enumerate(types):
        names = [row[position].strip() for row in rows]
        if found is not ColumnType.OTHER or position in schema.used or not _ascends_in_each(names, time):
            continue
        several, name = list(dict.fromkeys(names)), schema.names[position]
        listed = ", ".join(each[:40] for each in several[:3]) + (", ..." if len(several) > 3 else "")
        return f" holds rows of {len(several):,} series (column {name!r}: {listed}) and all are judged as one; add --series-column {name}"
    return None


def _ascends_in_each(names: Sequence[str], time: Time) -> bool:
    newest: dict[str, int] = {}
    for name, moment in zip(names, time.view(np.int64).tolist(), strict=True):
        if moment <= newest.get(name, moment - 1):
            return False
        newest[name] = moment
    return 1 < len(newest) <= len(names) / 2 + 1
