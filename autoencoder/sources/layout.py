"""Layout: how the lines of a table are cut into the fields of its rows, and which of the first lines are no rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from typing import TypeAlias

from autoencoder.sources.cells import ColumnType, column_type
from autoencoder.sources.lines import Lines
from autoencoder.sources.schema import ColumnSelection, is_usual_time
from autoencoder.sources.units import is_name_of_unit

MAX_TITLE_LINES = 30  # looked through for the first line of a table

_SEPARATORS = "\t;|,"  # the first of equals separates: "2024-05-31;3,5"
_PARTS_OF_ROWS = (ColumnType.NUMBER, ColumnType.TIME, ColumnType.CLOCK, ColumnType.MISSING)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # what Excel understands


def separator_of(line: str) -> str | None:
    """The separator that a first line such as ``sep=;`` names; None where it is another line."""
    found = _SEPARATOR_LINE.fullmatch(line.strip("\ufeff \r\t")) if line.lower().lstrip('\ufeff "').startswith("sep=") else None
    return found[1] if found else "\t" if line.lower().startswith("sep=\t") else None


def count_title_lines(lines: Lines) -> int:
    """How many of a file's first lines stand above its table: fewer fields than the header, which is followed by a row with a number."""
    texts = lines.texts[:MAX_TITLE_LINES]
    if len(texts) < 3 or texts[0].lstrip().startswith("{"):
        return 0
    separator = _most_frequent(texts[-1])
    counts = [_unquoted(text).count(separator) for text in texts]
    if not counts[-1] or counts[0] >= counts[-1]:
        return 0
    first = next(row for row in range(len(counts)) if set(counts[row:]) == {counts[-1]})
    if first + 1 >= len(texts) or max(counts[:first]) > counts[-1]:
        return 0
    header, *rows = ([column_type(field.strip(' "')) for field in text.split(separator)] for text in texts[first : first + 3])
    is_table = ColumnType.OTHER in header and ColumnType.NUMBER not in header and any(ColumnType.NUMBER in row for row in rows)
    return first if is_table else 0


class Delimited:
    """Rows of fields between commas, semicolons, tabs, bars or blanks, told by the first line; one line is one row, quoted or not.

    A first line of nothing but numbers and times is a row already; any other without a time, or with the names that were asked for,
    is the header. Without a header one column is called "value", two "time" and "value", more "column_1", "column_2", ...

    Args:
        first_line: of the table.
        selection: the names that were asked for.
        separator: where it is known.
        comment: the line above, which is the header where the first line is a row with as many fields.
    """

    def __init__(
        self, first_line: str, selection: ColumnSelection, separator: str | None = None, comment: str | None = None
    ) -> None:
        self.separator = separator or _most_frequent(first_line)
        self.has_quotes = False  # so far
        self._is_blank_separated = not separator and _is_blank_separated(first_line)
        # made once: it costs more than to read a line
        self._dialect = csv.reader((), delimiter=self.separator, strict=True).dialect
        fields = [field.strip() for field in self.split((first_line,))[0]]
        asked, types = selection.names(), [column_type(field) for field in fields]
        is_header = (asked and asked <= set(fields)) or (ColumnType.OTHER in types and ColumnType.TIME not in types)
        self.header = first_line if is_header else None  # as it stands in the file
        self._levels = 1  # lines of the header
        above = [field.strip() for field in self.split((comment,))[0]] if comment and not is_header else []
        if is_header:
            self.names = tuple(fields)
        elif above and len(above) == len(fields) and {column_type(name) for name in above} == {ColumnType.OTHER}:
            self.names = tuple(above)
        else:
            self.names = _usual_names(types)

    def takes_as_header(self, line: str) -> bool:
        """Whether a line below the header belongs to it: units, or the further levels of a table that pandas or yfinance wrote."""
        try:
            fields = [field.strip() for field in self.split((line,))[0]]
        except ValueError:
            return False
        first, rest = fields[0], fields[1:]
        if len(fields) != len(self.names) or not rest or self._levels > 3:
            return False
        if (self.names[0], first) in (("Price", "Ticker"), ("", "")) and all(
            column_type(each) is ColumnType.OTHER for each in rest
        ):
            if len(set(rest)) > 1 or len(set(self.names)) < len(self.names):  # of several tickers
                self.names = (first, *(f"{name}_{level}" for name, level in zip(self.names[1:], rest, strict=True)))
            self._levels += 1
            return True
        if self._levels > 1 and column_type(first) is ColumnType.OTHER and not any(rest):
            self.names = (first, *self.names[1:])  # the name of the index
            self._levels += 1
            return True
        if self._levels == 1 and _are_units(fields):
            self._levels = 4  # nothing follows the units
            return True
        return False

    def widen(self, row: Sequence[str]) -> None:
        """Learn from the first row what the header leaves open.

        A separator at the end of the row, which the header lacks, makes an empty column; blanks in the only name separate names where as
        many numbers and times stand in the row.
        """
        if self.header is not None and len(self.names) == 1 and len(row) == 1 and " " in self.names[0]:
            names, fields = self.names[0].split(), row[0].split()
            if len(names) == len(fields) and all(column_type(field) in _PARTS_OF_ROWS for field in fields):
                self.names, self._is_blank_separated = tuple(names), True
        if self.header is not None and len(row) == len(self.names) + 1 and not row[-1].strip():
            self.names = (*self.names, "")

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields; a row may come out with too few or too many. Raises ValueError: a line is not one row."""
        if self._is_blank_separated:
            return list(map(str.split, texts))
        try:
            if '"' in "".join(texts):
                self.has_quotes = True
                # line by line: a quote left open must not swallow the lines after it
                return [next(csv.reader((text,), self._dialect)) for text in texts]
            return list(csv.reader(texts, self._dialect))
        except csv.Error:
            raise ValueError("every line must be one row, with its quotes closed and no carriage return inside") from None


class JsonObjects:
    """One JSON object a line; keys that the first object does not have are passed over, and keys left out are missing.

    Of the first object the keys count whose value is a number, null or a time, and those that were asked for; where it holds no number, a
    number in quotes is one. Objects inside it are opened: {"cpu": {"user": 5}} has the key "cpu.user".
    """

    header: str | None = None
    separator = ""
    has_quotes = False

    def __init__(self, first_line: str, selection: ColumnSelection) -> None:
        found, asked = _json_object(first_line), selection.names()
        is_flat = asked <= found.keys() if asked else False
        self._is_nested = not is_flat and any(isinstance(value, dict) for value in found.values())
        row = opened(found) if self._is_nested else found
        has_number = any(_is_json_number(value) and not is_usual_time(key) for key, value in row.items())
        self.names = tuple(key for key, value in row.items() if key in asked or _is_usable(key, value, has_number))

    def takes_as_header(self, line: str) -> bool:
        """An object is never a header."""
        return False

    def widen(self, row: Sequence[str]) -> None:
        """An object has no separators."""

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields, in the order of ``names``. Raises ValueError: a line is no JSON object."""
        rows = map(_json_object, texts)
        return [
            [cell if isinstance(cell := row.get(name, ""), str) else "" if cell is None else repr(cell) for name in self.names]
            for row in (map(opened, rows) if self._is_nested else rows)
        ]


Layout: TypeAlias = Delimited | JsonObjects


def _most_frequent(line: str) -> str:
    return max(_SEPARATORS, key=_unquoted(line).count)


def _unquoted(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _are_units(fields: Sequence[str]) -> bool:
    """Whether a row names the units of its columns: "", "[°C]", "-", "bar"."""
    return any(map(is_name_of_unit, fields)) and all(is_name_of_unit(field) or field in ("", "-", "m") for field in fields)


def _is_blank_separated(line: str) -> bool:
    """Whether a row has blanks between its fields and no other separators; a header cannot be told from a name with blanks."""
    if any(separator in line for separator in _SEPARATORS) or column_type(line) is ColumnType.TIME:
        return False
    types = [column_type(field) for field in line.split()]
    return len(types) > 1 and ColumnType.NUMBER in types[1:] and set(types) <= {*_PARTS_OF_ROWS}


def _usual_names(types: Sequence[ColumnType]) -> tuple[str, ...]:
    """The names of columns that have none, by the types of the first row; behind a separator at its end there is no column."""
    count = len(types)
    if count > 1 and types[-1] is ColumnType.MISSING and count == 3:
        return (*_usual_names(types[:-1]), "")
    if count > 2:
        return tuple(f"column_{number}" for number in range(1, count + 1))
    is_time_last = types[-1] is ColumnType.TIME and types[0] is not ColumnType.TIME
    return (("value", "time") if is_time_last else ("time", "value"))[-count:]  # one column: "value"


def _json_object(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError('every line must be a JSON object such as {"timestamp": "2024-05-31T12:00:00Z", "value": 1.5}')
    return found


def opened(tree: dict[str, object], depth: int = 0) -> dict[str, object]:
    """A nested object as one level of dotted keys."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and depth < 8:
            flat |= {f"{key}.{inner}": leaf for inner, leaf in opened(value, depth + 1).items()}
        else:
            flat[key] = value
    return flat


def _is_json_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_usable(key: str, value: object, has_number: bool) -> bool:
    if isinstance(value, str):
        if is_usual_time(key) or column_type(value) is ColumnType.TIME:
            return True
        # "7" beside numbers may be the name of a machine
        return column_type(value) is ColumnType.NUMBER and (not has_number or key.lower() == "value")
    return value is None or _is_json_number(value)
