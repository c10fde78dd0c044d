"""Lines: bytes are cut into numbered lines of text, with bounded memory, and lines into the fields of their rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import ColumnType, column_type
from autoencoder.sources.schema import TIME_NAMES, ColumnSelection

MAX_LINE_BYTES = 1 << 20
OVERLONG = "(overlong)\n"  # stands for a longer line; no line can equal it, since it holds a line's end

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines(NamedTuple):
    """Lines of a file, none of them blank, and their numbers in it, from 1 on."""

    numbers: Sequence[int]
    texts: Sequence[str]

    def part(self, piece: slice) -> Lines:
        """Some of them."""
        return Lines(self.numbers[piece], self.texts[piece])

    def keep(self, is_wanted: Callable[[str], object]) -> Lines:
        """Those whose text is wanted."""
        kept = [row for row, text in enumerate(self.texts) if is_wanted(text)]
        return Lines([self.numbers[row] for row in kept], [self.texts[row] for row in kept])


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
        self._count = 0  # of lines so far

    def push(self, data: bytes) -> Lines:
        """Take the next bytes; give the lines they complete. Raises InputError: a line is no UTF-8 text (not tolerant only)."""
        if self._skips:
            _, newline, data = data.partition(b"\n")
            self._skips = not newline
        complete, newline, half = data.rpartition(b"\n")
        texts: list[str] = []
        if newline:
            texts = self._decode(bytes(self._half) + complete)
            self._half.clear()
        self._half += half
        if len(self._half) > MAX_LINE_BYTES:
            texts.append(OVERLONG)
            self._half.clear()
            self._skips = True
        lines = Lines(range(self._count + 1, self._count + len(texts) + 1), texts)
        self._count += len(texts)
        return lines if all(map(str.strip, texts)) else lines.keep(str.strip)

    def finish(self) -> Lines:
        """The last line, where the bytes ended without a newline; else nothing."""
        return self.push(b"\n") if self._half else Lines((), ())

    def _decode(self, block: bytes) -> list[str]:
        if self._count == 0:
            block = block.removeprefix(_BYTE_ORDER_MARK)
        text = block.decode(errors="replace") if self._tolerant else self._decode_strictly(block)
        lines = text.split("\n")
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
        if len(block) > MAX_LINE_BYTES:
            lines = [OVERLONG if len(line) > MAX_LINE_BYTES else line for line in lines]
        return lines

    def _decode_strictly(self, block: bytes) -> str:
        place, remedy = block.find(b"\0"), "a zero byte; the file must be UTF-8 text, not binary or UTF-16"
        if place < 0:
            try:
                return block.decode()
            except UnicodeDecodeError as error:
                place = error.start
                remedy = f"the byte 0x{block[place]:02x}, which is not UTF-8; the file must be UTF-8 text, plain or gzipped"
        line = self._count + block.count(b"\n", 0, place) + 1
        raise InputError(f"{self._name}, line {line}: found {remedy}")


class Delimited:
    """Rows of fields between commas, semicolons or tabs, told by the first line; one line is one row, quoted fields and all.

    A first line of nothing but numbers and times is a row already; any other without a time, or with the names that were asked for,
    is the header. Without a header one column is called "value", two "time" and "value", more "column_1", "column_2", ...
    """

    def __init__(self, first_line: str, selection: ColumnSelection) -> None:
        unquoted = re.sub(r'"[^"]*"', "", first_line)
        delimiter = max("\t;,", key=unquoted.count)  # the first of equals: "2024-05-31;3,5"
        self._dialect = csv.reader((), delimiter=delimiter, strict=True).dialect  # made once: it costs more than to read a line
        fields = [field.strip() for field in self.split((first_line,))[0]]
        asked, types = selection.names(), [column_type(field) for field in fields]
        is_header = (asked and asked <= set(fields)) or (ColumnType.OTHER in types and ColumnType.TIME not in types)
        self.header = first_line if is_header else None  # as it stands in the file
        if is_header:
            self.names = tuple(fields)
        elif len(types) > 2:
            self.names = tuple(f"column_{number}" for number in range(1, len(types) + 1))
        else:
            is_time_last = types[-1] is ColumnType.TIME and types[0] is not ColumnType.TIME
            self.names = (("value", "time") if is_time_last else ("time", "value"))[-len(types) :]  # one column: "value"

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields; a row may come out with too few or too many. Raises ValueError: a line is not one row."""
        try:
            if '"' in "".join(texts):  # line by line: a quote left open must not swallow the lines after it
                return [next(csv.reader((text,), self._dialect)) for text in texts]
            return list(csv.reader(texts, self._dialect))
        except csv.Error:
            raise ValueError("every line must be one row, with its quotes closed and no carriage return inside") from None


class JsonObjects:
    """One JSON object a line; keys that the first object does not have are passed over, and keys left out are missing.

    Of the first object the keys count whose value is a number, null or a time, and those that were asked for.
    """

    header: str | None = None

    def __init__(self, first_line: str, selection: ColumnSelection) -> None:
        asked = selection.names()
        self.names = tuple(key for key, value in _json_object(first_line).items() if key in asked or _is_usable(key, value))

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """Lines (N,) -> N rows of fields, in the order of ``names``. Raises ValueError: a line is no JSON object."""
        return [
            [cell if isinstance(cell := row.get(name, ""), str) else "" if cell is None else repr(cell) for name in self.names]
            for row in map(_json_object, texts)
        ]


def _json_object(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError('every line must be a JSON object such as {"timestamp": "2024-05-31T12:00:00Z", "value": 1.5}')
    return found


def _is_usable(key: str, value: object) -> bool:
    if isinstance(value, str):  # "7" may be the name of a machine
        return key.lower() in TIME_NAMES or column_type(value) is ColumnType.TIME
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
