"""Formats: how a line of text holds the fields of a row, and whether the first line is a header."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from data.text.layout import TIME_NAMES, Kind, Request, kind_of


class Format(Protocol):
    """How a line holds the fields of its row."""

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields; a row may come out with too few or too many.

        Raises:
            ValueError: a line is not of this form.
        """
        ...


class Delimited:
    """Fields between commas, semicolons or tabs, told by the first line.

    One line is one row: a quoted field cannot run on to the next line.
    """

    def __init__(self, first_line: str) -> None:
        unquoted = re.sub(r'"[^"]*"', "", first_line)
        delimiter = max("\t;,", key=unquoted.count)  # the first of equals: "2024-05-31;3,5"
        self._dialect = csv.reader((), delimiter=delimiter, strict=True).dialect  # made once: it costs more than to read a line

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields."""
        try:
            if '"' in "".join(lines):  # line by line: a quote left open must not swallow the lines after it
                return [next(self._reader((line,))) for line in lines]
            return list(self._reader(lines))
        except csv.Error:
            raise ValueError("every line must be one row, with its quotes closed and no carriage return inside") from None

    def _reader(self, lines: Sequence[str]) -> Iterator[list[str]]:
        return csv.reader(lines, self._dialect)


class JsonObjects:
    """One JSON object a line; keys that the first object does not have are passed over, and keys left out are missing.

    Of the first object the keys count whose value is a number, null or a time, and those that were asked for.
    """

    def __init__(self, first_line: str, request: Request) -> None:
        asked = request.names()
        self.names = tuple(key for key, value in _json_object(first_line).items() if key in asked or _is_usable(key, value))

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields, in the order of ``names``."""
        return [[_json_text(row.get(name)) for name in self.names] for row in map(_json_object, lines)]


def is_header(fields: Sequence[str], request: Request) -> bool:
    """Whether a first row holds names: it holds those asked for, or a text that is no number, and no time."""
    if request.names() and set(request.names()) <= {field.strip() for field in fields}:
        return True
    kinds = {kind_of(field) for field in fields}
    return Kind.OTHER in kinds and Kind.TIME not in kinds


def positional_names(fields: Sequence[str]) -> tuple[str, ...]:
    """Names for a table without a header, told by its first row: "value"; "time", "value"; or "column_1", "column_2", ..."""
    if len(fields) == 1:
        return ("value",)
    if len(fields) > 2:
        return tuple(f"column_{position}" for position in range(1, len(fields) + 1))
    time_is_last = kind_of(fields[1]) is Kind.TIME and kind_of(fields[0]) is not Kind.TIME
    return ("value", "time") if time_is_last else ("time", "value")


def _json_object(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError('every line must be a JSON object such as {"timestamp": "2024-05-31T12:00:00Z", "value": 1.5}')
    return found


def _json_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else repr(value)


def _is_usable(key: str, value: object) -> bool:
    if isinstance(value, str):  # "7" may be the name of a machine
        return key.lower() in TIME_NAMES or kind_of(value) is Kind.TIME
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
