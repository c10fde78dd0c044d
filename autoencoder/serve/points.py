"""Points: the body of a request -> series, times and values; all of it is right, or it is refused with the line that is not."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from autoencoder.sources.cells import preview
from autoencoder.sources.times import EPOCH_UNITS

ONE_DOCUMENT, JSON_LINES = "application/json", ("application/x-ndjson", "application/jsonl", "application/json-lines")
LONE = "value"  # the series of points that name none
MAX_NAME = 200  # characters of a series' name
GZIP = 31  # zlib's word for a window of 32 kB with a gzip header
BAD_TIME = "a time must be ISO 8601, e.g. 2024-05-31T12:00:00Z, or an epoch in seconds, milli-, micro- or nanoseconds"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Refusal(Exception):
    """A request that is not done: HTTP status, a sentence that says why and what to do, and the place that is wrong (from 1), if one is."""

    def __init__(self, status: int, detail: str, line: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.line = status, detail, line


@dataclass(frozen=True, slots=True)
class Points:
    """The N points of one request, in order; times of a series ascend."""

    unit: str  # what ``places`` count: "line" or "point"
    places: Sequence[int]
    series: Sequence[str]
    times: Sequence[int] | None  # nanoseconds since 1970; None: no point has one
    values: Sequence[Sequence[float]]  # (N, F) NaN where a value is null

    def refuse(self, row: int, what: str, status: int = 422) -> NoReturn:
        """Raise the refusal of the whole request because of one of its points."""
        raise Refusal(status, f"{self.unit} {self.places[row]}: {what}; nothing of this request was taken", self.places[row])


def read_points(body: bytes, content_type: str, columns: Sequence[str], max_points: int) -> Points:
    """The points of a body. Raises Refusal: of another content type, no JSON, a point that is wrong, too many points."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != ONE_DOCUMENT and kind not in JSON_LINES:
        found = preview(content_type) if content_type else "none"
        raise Refusal(
            415, f"the content type is {found}; send application/x-ndjson (JSON lines) or application/json (an array of points)"
        )
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Refusal(400, f"line {line}: byte {error.start:,} of the body is no UTF-8; send JSON in UTF-8", line) from None
    unit, records = ("point", list(_of_document(text))) if kind == ONE_DOCUMENT else ("line", list(_of_lines(text)))
    if not records:
        raise Refusal(
            400, 'the body holds no points; send at least one, e.g. {"series": "host1", "time": 1717156800, "value": 1.5}'
        )
    if len(records) > max_points:
        raise Refusal(
            413, f"{len(records):,} points are too many for one request; send at most {max_points:,} (serve.max_points)"
        )
    places = [place for place, _ in records]
    series, times, values, fault = _read(records, columns)
    points = Points(unit, places, series, None if None in times else times, values)  # type: ignore[arg-type]
    if fault:
        points.refuse(len(series), fault)
    if points.times is None and (given := [row for row, time in enumerate(times) if time is not None]):
        points.refuse(given[0], "it has a time, and others of this request have none; give all of them a time, or none")
    _require_ascending(points)
    return points


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


def _of_lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace():
            yield number, _decoded(line, f"line {number}", number)


def _of_document(text: str) -> Iterator[tuple[int, Any]]:
    document = _decoded(text, "the body")
    return enumerate(document if isinstance(document, list) else [document], 1)


def _decoded(text: str, where: str, line: int | None = None) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError:
        fault = "it is nested too deeply"
    except json.JSONDecodeError as error:
        line = line or error.lineno
        hint = "; send JSON lines as application/x-ndjson" if error.msg == "Extra data" else ""
        fault = f"{error.msg} at line {error.lineno}, column {error.colno}{hint}" if where == "the body" else f"{error.msg}{hint}"
    except ValueError as error:
        fault = str(error).partition(";")[0] if "digits" in str(error) else str(error)
    raise Refusal(400, f"{where} is no JSON: {fault}; nothing of this request was taken", line)


def _read(
    records: Sequence[tuple[int, Any]], columns: Sequence[str]
) -> tuple[list[str], list[int | None], list[list[float]], str]:
    """Series, times and values (N, F) of the records up to the first that is wrong, and what is wrong with it; empty: all are right."""
    series: list[str] = []
    times: list[int | None] = []
    values: list[list[float]] = []
    known = {"series", "time", *columns}
    for _, record in records:
        try:
            if type(record) is not dict:
                raise ValueError(f"found {_shown(record)}; a point is an object such as {_example(columns)}")
            if not record.keys() <= known:
                other = min(record.keys() - known)
                raise ValueError(f"unknown key {preview(other)}; a point is an object such as {_example(columns)}")
            name = record.get("series", LONE)
            if type(name) is not str or not 0 < len(name) <= MAX_NAME:
                raise ValueError(f"series is {_shown(name)}; it must be a text of 1 to {MAX_NAME} characters")
            row = [_number(record, column) for column in columns]
            time = record.get("time")
            times.append(None if time is None else _nanoseconds(time))
        except ValueError as error:
            return series, [*times, *[None] * (len(records) - len(times))], values, str(error)
        series.append(name)
        values.append(row)
    return series, times, values, ""


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
        except (ValueError, OverflowError):
            pass
    elif type(time) is int or type(time) is float:
        scale = next((scale for scale, low, high in EPOCH_UNITS if low <= time < high), None)
        if scale is not None:
            found = time * scale if type(time) is int else int(Decimal(repr(time)) * scale)
    if found is None or abs(found) >= 1 << 63:
        raise ValueError(f"time is {_shown(time)}; {BAD_TIME}, between the years 1678 and 2261")
    return found


def _require_ascending(points: Points) -> None:
    """Refuse a request in which a time of a series does not come after the one before."""
    newest: dict[str, tuple[int, int]] = {}
    for row, (name, time) in enumerate(zip(points.series, points.times or (), strict=False)):
        before = newest.get(name)
        if before and time <= before[0]:
            where = f"that of {points.unit} {points.places[before[1]]} of the same series"
            points.refuse(
                row, f"its time is not after {where}; send the points of a series in the order of their times, each once"
            )
        newest[name] = time, row


def _shown(value: object) -> str:
    return preview(value) if isinstance(value, str) else preview(json.dumps(value)[:60]).strip("'")


def _example(columns: Sequence[str]) -> str:
    return json.dumps({"series": "host1", "time": "2024-05-31T12:00:00Z", **dict.fromkeys(columns, 1.5)})
