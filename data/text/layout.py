"""Layout: which column of a table holds the time, which the values, which the labels, and which the names of series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from data.series import InputError
from data.text.cells import is_iso_time, is_missing, is_number, shorten

TIME_NAMES = ("timestamp", "datetime", "time", "date", "ds")  # compared in lower case; the first one present wins
LABEL_NAMES = ("label", "is_anomaly", "anomaly")  # never taken for values unless asked for


class Kind(Enum):
    """What a column holds, as far as its first value tells."""

    NUMBER = "number"
    TIME = "time"  # ISO 8601; whether a number is a time only its column's name can tell
    MISSING = "missing"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Request:
    """The columns a user asked for by name; empty and None mean "the obvious ones"."""

    columns: tuple[str, ...] = ()
    time: str | None = None
    label: str | None = None
    series: str | None = None

    def names(self) -> tuple[str, ...]:
        """Every name that was asked for."""
        return (*self.columns, *(name for name in (self.time, self.label, self.series) if name is not None))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a row.

    Attributes:
        names: names of all columns in the table, in their order.
        values: positions of the F value columns.
        time: position of the time column, None where rows are counted.
        label: position of the label column, None where there are no labels.
        series: position of the column that names a row's series, None where all rows are of one.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    time: int | None
    label: int | None
    series: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the F value columns."""
        return tuple(self.names[position] for position in self.values)

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of all columns that are read."""
        return tuple(position for position in (*self.values, self.time, self.label, self.series) if position is not None)

    def moved_to(self, names: Sequence[str]) -> Layout | None:
        """The same columns in a table of another order; None where one of them is not there, or is there twice."""
        if any(list(names).count(self.names[position]) != 1 for position in self.used):
            return None

        def move(position: int | None) -> int | None:
            return None if position is None else names.index(self.names[position])

        values = tuple(names.index(name) for name in self.columns)
        return Layout(tuple(names), values, move(self.time), move(self.label), move(self.series))


def kind_of(text: str) -> Kind:
    """What one text looks like."""
    if is_missing(text):
        return Kind.MISSING
    if is_number(text):
        return Kind.NUMBER
    return Kind.TIME if is_iso_time(text) else Kind.OTHER


def kinds_of(rows: Sequence[Sequence[str]], width: int) -> list[Kind]:
    """What each column looks like, by its first text that is not missing; rows of another width are passed over."""
    rows = [row for row in rows if len(row) == width]

    def first_kind(column: int) -> Kind:
        return next((kind for row in rows if (kind := kind_of(row[column])) is not Kind.MISSING), Kind.MISSING)

    return [first_kind(column) for column in range(width)]


def choose_layout(place: str, names: Sequence[str], kinds: Sequence[Kind], request: Request) -> Layout:
    """Find the time, value and label columns of a table.

    Values: the columns asked for; else the one named "value"; else the only column of numbers that has a name and is neither time
    nor label nor series. Time: the column asked for; else the one with a usual name (``TIME_NAMES``); else the only one whose first
    value is an ISO 8601 time; else none.

    Args:
        place: what errors call the table.
        names: names of all columns.
        kinds: what each of them holds.
        request: what the user asked for.

    Raises:
        InputError: a column asked for does not exist, or none or several are obvious.
    """
    asked = tuple(_find(place, names, name) for name in request.columns)
    if len(set(asked)) < len(asked):
        raise InputError(f"{place}: column {_repeated(request.columns)!r} is asked for more than once; name each column once")
    label = None if request.label is None else _find(place, names, request.label)
    series = None if request.series is None else _find(place, names, request.series)
    taken = {*asked, label, series}
    time = _choose_time(place, names, kinds, taken) if request.time is None else _find(place, names, request.time)
    if time is not None and time in asked:
        raise InputError(f"{place}: column {names[time]!r} cannot be value and time at once; choose another --time-column")
    for other, what in ((asked, "value"), ((time,), "time"), ((label,), "label")):
        if series is not None and series in other:
            raise InputError(
                f"{place}: column {names[series]!r} cannot be {what} and series at once; choose another --series-column"
            )
    values = asked or (_choose_value(place, names, kinds, {time, label, series}),)
    return Layout(tuple(names), values, time, label, series)


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


def _choose_time(place: str, names: Sequence[str], kinds: Sequence[Kind], taken: set[int | None]) -> int | None:
    free = [position for position in range(len(names)) if position not in taken]
    named = [position for usual in TIME_NAMES for position in free if names[position].lower() == usual]
    if named:
        # "date,time,value": of several usual names, one that holds whole times is better than the time of day
        return min(named, key=lambda position: kinds[position] is Kind.OTHER)
    times = [position for position in free if kinds[position] is Kind.TIME]
    if len(times) > 1:
        raise InputError(f"{place} has several columns of times ({_listed_at(names, times)}); choose with --time-column NAME")
    return times[0] if times else None


def _choose_value(place: str, names: Sequence[str], kinds: Sequence[Kind], taken: set[int | None]) -> int:
    def is_candidate(position: int) -> bool:
        name = names[position].lower()
        return position not in taken and name not in LABEL_NAMES and not _is_index_name(name)

    free = [position for position in range(len(names)) if is_candidate(position)]
    candidates: list[Callable[[int], bool]] = [
        lambda position: names[position].lower() == "value",
        lambda position: kinds[position] is Kind.NUMBER,
        lambda position: kinds[position] is Kind.MISSING,
    ]
    for is_obvious in candidates:
        obvious = [position for position in free if is_obvious(position)]
        if len(obvious) == 1:
            return obvious[0]
        if obvious:
            raise InputError(f"{place} has several columns of numbers ({_listed_at(names, obvious)}); choose with --column NAME")
    raise InputError(f"{place} has no column of numbers besides time and labels, only {_listed(names)}; give one with numbers")


def _is_index_name(name: str) -> bool:
    """Whether a name is what pandas gives to the row numbers it writes: none in csv, this one in parquet."""
    return not name or name.startswith("__index_level_")


def _repeated(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def _listed_at(names: Sequence[str], positions: Sequence[int]) -> str:
    return _listed([names[position] for position in positions])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() and 0 < len(name) <= 40 else shorten(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "(none)"
