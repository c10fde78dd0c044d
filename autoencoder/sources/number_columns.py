"""Number columns: all columns of numbers of one table, which settle together what a cell alone leaves open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from autoencoder.core.state import Reader, State
from autoencoder.sources.cells import ColumnType
from autoencoder.sources.chunk import Time
from autoencoder.sources.numbers import NumberColumn, clear_decimals
from autoencoder.sources.reading import Decimal, MustReadAgain, Reading
from autoencoder.sources.schema import Schema

MAX_WORDS = 3  # that are named of those that stand for missing values


class NumberColumns:
    """The columns of numbers of one table, by their positions."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._columns: dict[int, NumberColumn] = {}
        self._seen: set[Decimal] = set()  # decimal signs that any cell of the table showed

    def __getitem__(self, position: int) -> NumberColumn:
        return self._columns[position]

    def expect(self, schema: Schema, *, commas_group: bool, may_change: bool) -> None:
        """Begin the columns of a table."""
        self._columns = {
            position: NumberColumn(
                schema.names[position],
                self._reading.decimal or self._reading.decimals.get(schema.names[position]),
                commas_group=commas_group,
                may_change=may_change,
            )
            for position in schema.values
        }

    def move(self, places: Mapping[int, int]) -> None:
        """The same columns have other positions from here on."""
        self._columns = {places[position]: column for position, column in self._columns.items()}

    @contextmanager
    def rewound(self, *, always: bool = False) -> Iterator[None]:
        """What is done inside leaves no trace where it fails, or at all."""
        before = [(column, column.memory()) for column in self._columns.values()]
        try:
            yield
        except Exception:
            always = True
            raise
        finally:
            if always:
                for column, memory in before:
                    column.recall(memory)

    def state(self) -> State:
        """How the columns are read, in their order."""
        return {
            str(place): {"decimal": column.decimal, "unit": column.unit} for place, column in enumerate(self._columns.values())
        }

    def go_on(self, state: State) -> None:
        """Read on as ``state`` says. Raises ValueError: the first rows were read in another way; ModelFileError: damaged."""
        for place, column in enumerate(self._columns.values()):
            saved = Reader(state, "the source")
            if saved.has(str(place)):
                one = saved.state(str(place))
                decimal, unit = one.get("decimal"), one.get("unit")
                if decimal not in (None, "point", "comma") or not isinstance(unit, str | None):
                    raise saved.fault(str(place), "is no way to read a column")
                column.go_on(decimal, unit)  # type: ignore[arg-type]  # the line above says what it is

    def look_at(self, texts: Sequence[str], separator: str) -> None:
        """Look for the decimal sign in all cells of some lines, used or not."""
        if len(self._seen) < 2:
            self._seen |= clear_decimals("\n".join(texts), separator)

    def settle_by_others(self) -> None:
        """At the end of a table: read a column again whose sign is open, as the other columns show it. Raises MustReadAgain."""
        if len(self._seen) != 1:
            return
        (decimal,) = self._seen
        found = {column.name: decimal for column in self._columns.values() if column.unsettled and column.decimal != decimal}
        if found:
            raise MustReadAgain(decimals=found)

    def remarks(self) -> Iterator[str]:
        """Ends of sentences about the whole table; what was said is not said again."""
        for column in self._columns.values():
            text, decimal = column.unsettled, column.decimal
            if text and ("," in text or column.has_hundreds) and not self._seen & {decimal}:
                thousands, fraction = re.sub("[.,]", "", text), text.replace(",", ".")
                sign = "comma" if decimal == "point" else "point"
                is_fraction = ("," in text) == (decimal == "comma")
                taken, other = (fraction, thousands) if is_fraction else (thousands, fraction)
                yield f", column {column.name!r}: {text!r} is read as {taken}; if it is {other}, give --set input.decimal={sign}"
        words: Counter[str] = sum((column.words for column in self._columns.values()), Counter())
        if words:
            listed = ", ".join(f"{word!r} {count:,}" for word, count in words.most_common(MAX_WORDS))
            rest = len(words) - MAX_WORDS
            others = f" and {rest} more" if rest > 0 else ""
            count = words.total()
            yield f": {count:,} value{'' if count == 1 else 's'} taken as missing ({listed}{others})"
        for column in self._columns.values():
            column.words = Counter()


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
