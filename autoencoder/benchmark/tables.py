"""CSV files with a column of timestamps and columns of numbers, read with errors that name the line and the field."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from data.chunk import InputError

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]
Row: TypeAlias = tuple[int, list[str]]  # line number, fields
Parsed = TypeVar("Parsed")

TIME_RULE = "every timestamp must be a time such as 2014-04-10 16:15:00"
NUMBER_RULE = "every value must be a number, or empty where it is missing"


def read_text(path: Path) -> str:
    """Read a whole file.

    Raises:
        InputError: it is missing or not readable as text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the folder's layout") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); it must be a readable text file in UTF-8") from None


def read_columns(path: Path, columns: Sequence[str]) -> tuple[Times, list[Array]]:
    """Read the column "timestamp" (N,) as datetime64[ns] and the named columns of numbers, each (N,), NaN where a field is empty.

    Raises:
        InputError: the file cannot be read, a column is missing, or a field is not what its column holds.
    """
    header, rows = _read_rows(path)
    missing = [column for column in ("timestamp", *columns) if column not in header]
    if missing:
        raise InputError(f"{path}, line 1: found the columns {','.join(header)}; there must be a column '{missing[0]}'")
    times = _parse_column(path, rows, header, "timestamp", parse_time, TIME_RULE)
    numbers = [_parse_column(path, rows, header, column, parse_number, NUMBER_RULE) for column in columns]
    return np.array(times, dtype="datetime64[ns]"), [np.array(column) for column in numbers]


def parse_time(text: str) -> np.datetime64:
    """Parse a time such as 2014-04-10 16:15:00.

    Raises:
        ValueError: the text is no time; the message says what was found.
    """
    try:
        time: np.datetime64 = np.datetime64(text, "ns")
    except ValueError:
        raise ValueError(f"found '{text}'") from None
    if np.isnat(time):  # as for "" and "NaT"
        raise ValueError(f"found '{text}'")
    return time


def parse_number(text: str) -> float:
    """Parse a finite number; NaN for an empty text.

    Raises:
        ValueError: the text is no finite number; the message says what was found.
    """
    try:
        number = float(text) if text else math.nan
    except ValueError:
        raise ValueError(f"found '{text}'") from None
    if math.isinf(number):
        raise ValueError(f"found '{text}'")
    return number


def _read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows, all as long as the header; blank lines are passed over."""
    reader = csv.reader(read_text(path).splitlines())
    try:
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error}); restore the file") from None
    if not rows:
        raise InputError(f"{path}: found no row below the header; there must be at least one point")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: found {len(row)} fields; there must be {len(header)}, as in the header")
    return header, rows


def _parse_column(
    path: Path, rows: Iterable[Row], header: Sequence[str], column: str, parse: Callable[[str], Parsed], rule: str
) -> list[Parsed]:
    index = header.index(column)
    fields = []
    for line, row in rows:
        try:
            fields.append(parse(row[index]))
        except ValueError as error:
            raise InputError(f"{path}, line {line}, column '{column}': {error}; {rule}") from None
    return fields
