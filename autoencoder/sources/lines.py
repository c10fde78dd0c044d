"""Lines: bytes are cut into lines of text, with bounded memory, and lines into the fields of their rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence

from autoencoder.core.errors import InputError
from autoencoder.sources.schema import TIME_NAMES, ColumnSelection, ColumnType, column_type

MAX_LINE_BYTES = 1 << 20
OVERLONG = "(overlong)\n"  # stands for a longer line; no line can equal it, since it holds a line's end

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineBuffer:
    """Collects bytes until their line is complete.

    Lines end with LF or CR LF and are UTF-8, with or without a byte order mark. A line that is too long becomes ``OVERLONG`` as
    soon as that is known. Other bytes than UTF-8 are an error, or U+FFFD where the buffer is tolerant.
    """

    def __init__(self, name: str, tolerant: bool = False) -> None:
        self._name = name
        self._tolerant = tolerant
        self.clear()

    def clear(self) -> None:
        """Forget the half line, and be at the top of a file again."""
        self._half = bytearray()
        self._skips = False  # inside a line that is too long
        self._lines = 0  # given so far

    def push(self, data: bytes) -> list[str]:
        """Take the next bytes; give the lines they complete.

        Raises:
            InputError: a line is no UTF-8 text (not tolerant only).
        """
        if self._skips:
            _, newline, data = data.partition(b"\n")
            self._skips = not newline
        complete, newline, half = data.rpartition(b"\n")
        lines: list[str] = []
        if newline:
            lines = self._decode(bytes(self._half) + complete)
            self._half.clear()
        self._half += half
        if len(self._half) > MAX_LINE_BYTES:
            lines.append(OVERLONG)
            self._half.clear()
            self._skips = True
        self._lines += len(lines)
        return lines

    def finish(self) -> list[str]:
        """The last line, where the bytes ended without a newline; else nothing."""
        half = bytes(self._half)
        self._half.clear()
        return self._decode(half) if half else []

    def _decode(self, block: bytes) -> list[str]:
        if self._lines == 0:
            block = block.removeprefix(_BYTE_ORDER_MARK)
        text = block.decode(errors="replace") if self._tolerant else self._decode_strictly(block)
        lines = text.split("\n")
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
        if len(block) > MAX_LINE_BYTES:
            lines = [OVERLONG if len(line) > MAX_LINE_BYTES else line for line in lines]
        return lines

    def _decode_strictly(self, block: bytes) -> str:
        if (zero := block.find(b"\0")) >= 0:
            raise InputError(f"{self._place(block, zero)}: found a zero byte; the file must be UTF-8 text, not binary or UTF-16")
        try:
            return block.decode()
        except UnicodeDecodeError as error:
            found = f"{self._place(block, error.start)}: found the byte 0x{block[error.start]:02x}"
            raise InputError(f"{found}, which is not UTF-8; the file must be UTF-8 text, plain or gzipped") from None

    def _place(self, block: bytes, offset: int) -> str:
        earlier = block.count(b"\n", 0, offset)
        return f"{self._name}, line {self._lines + earlier + 1}"


class Delimited:
    """Rows of fields between commas, semicolons or tabs, told by the first line.

    One line is one row: a quoted field cannot run on to the next line.
    """

    def __init__(self, first_line: str) -> None:
        unquoted = re.sub(r'"[^"]*"', "", first_line)
        delimiter = max("\t;,", key=unquoted.count)  # the first of equals: "2024-05-31;3,5"
        self._dialect = csv.reader((), delimiter=delimiter, strict=True).dialect  # made once: it costs more than to read a line

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields; a row may come out with too few or too many.

        Raises:
            ValueError: a line is not one row.
        """
        try:
            if '"' in "".join(lines):  # line by line: a quote left open must not swallow the lines after it
                return [next(csv.reader((line,), self._dialect)) for line in lines]
            return list(csv.reader(lines, self._dialect))
        except csv.Error:
            raise ValueError("every line must be one row, with its quotes closed and no carriage return inside") from None


class JsonObjects:
    """One JSON object a line; keys that the first object does not have are passed over, and keys left out are missing.

    Of the first object the keys count whose value is a number, null or a time, and those that were asked for.
    """

    def __init__(self, first_line: str, selection: ColumnSelection) -> None:
        asked = selection.names()
        self.names = tuple(key for key, value in _json_object(first_line).items() if key in asked or _is_usable(key, value))

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields, in the order of ``names``.

        Raises:
            ValueError: a line is no JSON object.
        """
        return [[_json_text(row.get(name)) for name in self.names] for row in map(_json_object, lines)]


def is_header(fields: Sequence[str], selection: ColumnSelection) -> bool:
    """Whether a first row holds names: it holds those asked for, or a text that is no number, and no time."""
    if selection.names() and set(selection.names()) <= {field.strip() for field in fields}:
        return True
    types = {column_type(field) for field in fields}
    return ColumnType.OTHER in types and ColumnType.TIME not in types


def default_names(fields: Sequence[str]) -> tuple[str, ...]:
    """Names for a table without a header, told by its first row: "value"; "time", "value"; or "column_1", "column_2", ..."""
    if len(fields) == 1:
        return ("value",)
    if len(fields) > 2:
        return tuple(f"column_{position}" for position in range(1, len(fields) + 1))
    time_is_last = column_type(fields[1]) is ColumnType.TIME and column_type(fields[0]) is not ColumnType.TIME
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
        return key.lower() in TIME_NAMES or column_type(value) is ColumnType.TIME
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
