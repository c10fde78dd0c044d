"""Points: the body of a request -> series, times and values; all of it is right, or it is refused with the line that is not."""

from __future__ import annotations

import functools
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from autoencoder.sources.cells import preview
from autoencoder.sources.times import EPOCH_UNITS

ONE_DOCUMENT, JSON_LINES = "application/json", ("application/x-ndjson", "application/jsonl", "application/json-lines")
LONE = "value"  # the series of points that name none
MAX_NAME = 200  # characters of a series' name as JSON in ASCII, where a quote counts two and what is no ASCII six
GZIP = 31  # zlib's word for a window of 32 kB with a gzip header
BAD_TIME = "a time must be ISO 8601, e.g. 2024-05-31T12:00:00Z, or an epoch in seconds, milli-, micro- or nanoseconds"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS = re.compile(r"[.,]\d{6}(\d{1,3})")  # what ``datetime`` cuts off


class Refusal(Exception):
    """A request that is not done: HTTP status, a sentence that says why and what to do, and the place that is wrong (from 1), if one is."""

    def __init__(self, status: int, detail: str, line: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.line = status, detail, line


@dataclass(frozen=True, slots=True)
class Points:
    """The N points of one request, in order; times of a series ascend."""

    unit: str  # what ``places`` count: "line" or "point"
    places: list[int] = field(default_factory=list)
    series: list[str] = field(default_factory=list)
    times: list[int | None] = field(default_factory=list)  # nanoseconds since 1970; all of them or none is None
    values: list[list[float]] = field(default_factory=list)  # (N, F) NaN where a value is null

    def refusal(self, place: int, what: str, status: int = 422) -> Refusal:
        """The refusal of the whole request because of one of its points."""
        return Refusal(status, f"{self.unit} {place}: {what}; nothing of this request was taken", place)


def read_points(body: bytes, content_type: str, columns: Sequence[str], max_points: int) -> Points:
    """The points of a body. Raises Refusal: of another content type, no JSON, a point that is wrong, too many points."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != ONE_DOCUMENT and kind not in JSON_LINES:
        found = preview(content_type) if content_type else "none"
        rule = f"send {JSON_LINES[0]} (JSON lines) or {ONE_DOCUMENT} (an array of points)"
        raise Refusal(415, f"the content type is {found}; {rule}")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Refusal(400, f"line {line}: byte {error.start:,} of the body is no UTF-8; send JSON in UTF-8", line) from None
    is_document = kind == ONE_DOCUMENT
    points, newest = Points("point" if is_document else "line"), dict[str, tuple[int, int]]()
    for place, record in _records(text, is_document):
        if len(points.series) == max_points:
            raise Refusal(413, f"the request has more than {max_points:,} points (serve.max_points); send fewer at a time")
        try:
            name, time, values = _point(record, columns)
            if points.times and (time is None) != (points.times[0] is None):
                which = "no time" if time is None else "a time"
                raise ValueError(f"it has {which}, unlike those before it; give all points of a request a time, or none")
            if time is not None:
                before, where = newest.get(name, (time - 1, 0))
                if time <= before:
                    rule = "send the points of a series in the order of their times, each once"
                    raise ValueError(f"its time is not after that of {points.unit} {where} of the same series; {rule}")
                newest[name] = time, place
        except ValueError as error:
            raise points.refusal(place, str(error)) from None
        points.places.append(place)
        points.series.append(name)
        points.times.append(time)
        points.values.append(values)
    if not points.series:
        raise Refusal(400, f"the body holds no points; send at least one, such as {_example(columns)}")
    return points


@functools.lru_cache(1 << 14)
def name_text(name: str) -> str:
    """The name of a series as JSON in ASCII. Raises ValueError: half a character, which is no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"series is {preview(name)}, which is no Unicode text; leave lone surrogates out") from None
    return json.dumps(name)


def inflate(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body as it was before its content encoding. Raises Refusal: an unknown one, damaged, or too large then."""
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() != "gzip":
        raise Refusal(415, f"the content encoding is {preview(encoding)}; send gzip, or leave it out")
    unpacker = zlib.decompressobj(GZIP)
    try:
        plain = unpacker.decompress(body, max_bytes + 1)
    except zlib.error:
        raise Refusal(
            400, "the body is no gzip, as its Content-Encoding says; compress it with gzip, or leave that out"
        ) from None
    if len(plain) > max_bytes:
        raise too_large(max_bytes)
    if not unpacker.eof:
        raise Refusal(400, "the gzip body is cut off; send all of it")
    return plain


def too_large(max_bytes: int) -> Refusal:
    """The refusal of a body."""
    return Refusal(413, f"the body is too large; send at most {max_bytes:,} bytes a request (serve.max_body_bytes)")


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON; null stands for a missing value")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _records(text: str, is_document: bool) -> Iterator[tuple[int, Any]]:
    """What may be points, each with its line, or its place in an array."""
    if is_document:
        document = _decoded(text, "the body")
        yield from enumerate(document if isinstance(document, list) else [document], 1)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace():
            yield number, _decoded(line, f"line {number}", number)


def _decoded(text: str, where: str, line: int | None = None) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError:
        fault = "it is nested too deeply"
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if line else f"line {error.lineno}, column {error.colno}"
        hint = "" if line or error.msg != "Extra data" else "; send JSON lines as application/x-ndjson"
        fault, line = f"{error.msg} at {place}{hint}", line or error.lineno
    except ValueError as error:
        fault = str(error).partition(": value has")[0]
    raise Refusal(400, f"{where} is no JSON: {fault}; nothing of this request was taken", line)


def _point(record: object, columns: Sequence[str]) -> tuple[str, int | None, list[float]]:
    """Series, time and values (F,) of a record. Raises ValueError: it is no point."""
    if type(record) is not dict:
        raise ValueError(f"found {_shown(record)}; a point is an object such as {_example(columns)}")
    name, time = record.pop("series", LONE), record.pop("time", None)
    if type(name) is not str or not 0 < len(name) <= MAX_NAME or len(name_text(name)) > MAX_NAME + 2:
        raise ValueError(
            f"series is {_shown(name)}; it must be a text of 1 to {MAX_NAME} characters (what is no ASCII counts six)"
        )
    values = [_number(record, column) for column in columns]
    if len(record) > len(columns):
        raise ValueError(
            f"unknown key {preview(min(record.keys() - {*columns}))}; a point is an object such as {_example(columns)}"
        )
    return name, None if time is None else _nanoseconds(time), values


def _number(record: Mapping[str, Any], column: str) -> float:
    """The value of a column; NaN where it is null."""
    try:
        value = record[column]
    except KeyError:
        raise ValueError(f"{column} is left out; give a number, or null where it is missing") from None
    if value is None:
        return math.nan
    if type(value) is int or type(value) is float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ValueError(f"{column} is {_shown(value)}; it must be a finite number without quotes, or null where it is missing")


def _nanoseconds(time: object) -> int:
    """A time as nanoseconds since 1970; one without a zone is UTC. Raises ValueError: it is none."""
    found = None
    if type(time) is str:
        try:
            moment = datetime.fromisoformat(time)
            found = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND * 1000
            rest = _NANOSECONDS.search(time)
            found += int(f"{rest[1]:0<3}") if rest else 0
        except (ValueError, OverflowError):
            pass
    elif type(time) is int or type(time) is float:
        for scale, low, high in EPOCH_UNITS:
            if low <= time < high:
                found = time * scale if type(time) is int else int(Decimal(repr(time)) * scale)
    if found is None or abs(found) >= 1 << 63:
        raise ValueError(f"time is {_shown(time)}; {BAD_TIME}, between the years 1678 and 2261")
    return found


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return preview(value) if isinstance(value, str) else preview(json.dumps(value)).strip("'")


def _example(columns: Sequence[str]) -> str:
    return json.dumps({"series": "host1", "time": "2024-05-31T12:00:00Z", **dict.fromkeys(columns, 1.5)})
