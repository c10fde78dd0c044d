"""The body of a request: what is taken, and the line that is named where it is not."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest

from autoencoder.serve.points import Points, Refusal, inflate, read_points

LINES, DOCUMENT = "application/x-ndjson", "application/json"
GOOD = '{"series": "a", "time": "2024-05-31T12:00:00Z", "value": 1}'


def read(text: str | bytes, kind: str = LINES, columns: tuple[str, ...] = ("value",), most: int = 100) -> Points:
    return read_points(text if isinstance(text, bytes) else text.encode(), kind, columns, most)


def refusal(text: str | bytes, kind: str = LINES) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(text, kind)
    return caught.value


@pytest.mark.parametrize(
    "time",
    [
        *('"2024-05-31T12:00:00.5Z"', '"2024-05-31 14:00:00.5+02:00"', '"2024-05-31T12:00:00.5"'),
        *("1717156800.5", "1717156800500", "1717156800500000", "1717156800500000000"),
    ],
)
def test_every_usual_time_is_the_same_moment(time: str) -> None:
    points = read(f'{{"value": 1, "time": {time}}}')
    assert points.times == [np.datetime64("2024-05-31T12:00:00.5", "ns").astype(int)]
    assert points.series == ["value"]


@pytest.mark.parametrize("fraction", [".123456789", ".1234567", ",12345678", ".1234567899"])
def test_nanoseconds_stay(fraction: str) -> None:
    expected = np.datetime64(f"1969-12-31T23:59:58.{fraction[1:10]}", "ns").astype(int)
    assert read(f'{{"value": 1, "time": "1969-12-31T23:59:58{fraction}Z"}}').times == [expected]


def test_lines_arrays_and_single_points_are_the_same() -> None:
    lines = "\n".join(json.dumps({"series": name, "time": 1717156800, "cpu": None, "mem": 2}) for name in "ab")
    one = read(f"\n{lines}\r\n\n", columns=("cpu", "mem"))
    assert one.places == [2, 3]
    assert one.series == ["a", "b"]
    assert math.isnan(one.values[0][0]) and one.values[0][1] == 2.0
    other = read(f"[{lines.replace(chr(10), ',')}]", DOCUMENT, ("cpu", "mem"))
    assert (other.series, other.times) == (one.series, one.times)
    assert read(GOOD, "Application/JSON; charset=utf-8").values == [[1.0]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"series": "a", "value": 1', "is no JSON"),
        ('{"series": "a", "value": "1"}', "value is '1'; it must be a finite number without quotes"),
        ('{"series": "a", "value": NaN}', "NaN is no JSON; null stands for a missing value"),
        ('{"series": "a", "value": 1e999}', "value is Infinity"),
        (f'{{"series": "a", "value": 1{"0" * 400}}}', "it must be a finite number"),
        (f'{{"series": "a", "value": 1{"0" * 5000}}}', "limit"),
        ('{"series": "a", "value": true}', "value is true"),
        ('{"series": "a"}', "value is left out"),
        ('{"series": "a", "value": 1, "host": 2}', "unknown key 'host'"),
        ('{"series": 7, "value": 1}', "series is 7; it must be a text of 1 to 200 characters"),
        (f'{{"series": "{"é" * 34}", "value": 1}}', "what is no ASCII counts six"),
        ('{"series": "\\ud800", "value": 1}', "no Unicode text"),
        (f'{{"series": "{"x" * 201}", "value": 1}}', "series is 'xxx"),
        ('{"series": "", "value": 1}', "series is ''"),
        ("[1, 2]", "found a list; a point is an object such as"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"value": {"[" * 900 + "]" * 900}}}', "value is a list"),
        ('{"value": 1, "time": "yesterday"}', "time is 'yesterday'; a time must be ISO 8601"),
        ('{"value": 1, "time": 12}', "time is 12; a time must be ISO 8601"),
        ('{"value": 1, "time": "1500-01-01"}', "between the years 1678 and 2261"),
        ('{"value": 1, "time": true}', "time is true"),
        ('{"value": 1}', "it has no time, unlike those before it"),
        (
            '{"series": "a", "value": 1, "time": "2024-05-31T12:00:00Z"}',
            "its time is not after that of line 2 of the same series",
        ),
        (
            '{"series": "a", "value": 1, "time": "2024-05-31T11:00:00Z"}',
            "its time is not after that of line 2 of the same series",
        ),
    ],
)
def test_the_wrong_line_is_named(line: str, words: str) -> None:
    before = GOOD.replace("12:", "10:")
    found = refusal("\n".join([before, GOOD, line, GOOD.replace('"a"', '"b"')]))
    assert found.status in (400, 422)
    assert words in found.detail
    assert found.line == 3
    assert found.detail.startswith("line 3")
    assert "nothing of this request was taken" in found.detail
    assert len(found.detail) < 400


@pytest.mark.parametrize(
    ("text", "kind", "status", "words"),
    [
        (GOOD, "text/csv", 415, "'text/csv'; send application/x-ndjson"),
        (GOOD, "", 415, "none"),
        ("", LINES, 400, "holds no points"),
        ("[]", DOCUMENT, 400, "holds no points"),
        (f"{GOOD}\n{GOOD}", DOCUMENT, 400, "send JSON lines as application/x-ndjson"),
        (b'{"value": 1}\n\xff', LINES, 400, "line 2: byte 13 of the body is no UTF-8"),
        ("\n".join(['{"value": 1}'] * 101), LINES, 413, "more than 100 points"),
    ],
)
def test_the_whole_body_is_refused(text: str | bytes, kind: str, status: int, words: str) -> None:
    found = refusal(text, kind)
    assert found.status == status
    assert words in found.detail


def test_points_without_a_time() -> None:
    assert read('{"value": 1}\n{"value": 2, "time": null}').times == [None, None]


def test_gzip_is_unpacked_up_to_the_limit() -> None:
    packed = gzip.compress(GOOD.encode())
    assert inflate(packed, "gzip", 1000) == GOOD.encode()
    assert inflate(b"x", "", 1000) == b"x"
    for body, encoding, status in (
        (packed, "br", 415),
        (b"x", "gzip", 400),
        (packed[:-9], "gzip", 400),
        (gzip.compress(b" " * 10**7), "gzip", 413),
    ):
        with pytest.raises(Refusal) as caught:
            inflate(body, encoding, 1000)
        assert caught.value.status == status
