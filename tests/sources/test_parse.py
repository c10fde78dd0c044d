"""Bytes become rows, whatever their form, and every bad line is named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from helpers.chunks import FEW, first_column
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.lines import MAX_LINE_BYTES
from autoencoder.sources.parse import RowParser
from autoencoder.sources.schema import ColumnSelection


class Parsed:
    """What a parser made of some lines."""

    def __init__(self, text: str, columns: Sequence[str] = (), **selection: Any) -> None:
        self.warnings: list[str] = []
        parser = RowParser("cpu.csv", ColumnSelection(tuple(columns), **selection), self.warnings.append)
        chunks = [parser.feed(text.encode()), parser.finish()]
        parser.require_rows()
        self.chunk = Chunk.concatenate([chunk for chunk in chunks if chunk])
        self.columns, self.timezone = parser.columns, parser.timezone
        self.values = first_column(self.chunk)

    @property
    def times(self) -> list[str]:
        return [str(np.datetime_as_string(time, unit="auto")) for time in self.chunk.time]


def error_of(text: str, **selection: Any) -> str:
    with pytest.raises(InputError) as caught:
        Parsed(text, **selection)
    return str(caught.value)


# --- columns ---


@pytest.mark.parametrize(
    ("text", "columns", "values"),
    [
        ("1\n2.5\n-3e2", ("value",), [1, 2.5, -300]),
        ("\ufeffvalue\r\n\r\n1\r\n2", ("value",), [1, 2]),
        ("value\n1\n2", ("value",), [1, 2]),
        ("2024-01-01,5\n2024-01-02,6", ("value",), [5, 6]),
        ("5,2024-01-01\n6,2024-01-02", ("value",), [5, 6]),
        ("timestamp,cpu\n2024-01-01,5\n2024-01-02,6", ("cpu",), [5, 6]),
        ("timestamp,Value,limit\n2024-01-01,5,9\n2024-01-02,6,9", ("Value",), [5, 6]),
        ("host,when,cpu\na,2024-01-01,5\nb,2024-01-02,6", ("cpu",), [5, 6]),
        ("timestamp,cpu,label,is_anomaly,anomaly\n2024-01-01,5,0,0,0\n2024-01-02,6,1,1,1", ("cpu",), [5, 6]),
        (",cpu\n0,5\n1,6", ("cpu",), [5, 6]),
        ("timestamp;cpu\n2024-01-01;5\n2024-01-02;6", ("cpu",), [5, 6]),
        ("timestamp\tcpu\n2024-01-01\t5\n2024-01-02\t6", ("cpu",), [5, 6]),
        ('"time, UTC","cpu"\n"2024-01-01","5"\n2024-01-02,6', ("cpu",), [5, 6]),
        (" timestamp , cpu \n 2024-01-01 , 5 \n2024-01-02 , 6", ("cpu",), [5, 6]),
        ("2024-01-01,web,5", ("column_3",), [5]),
        ('{"timestamp": "2024-01-01", "value": 5, "host": "7"}\n{"timestamp": "2024-01-02", "value": 6}', ("value",), [5, 6]),
    ],
)
def test_the_obvious_value_column_is_found(text: str, columns: tuple[str, ...], values: list[float]) -> None:
    parsed = Parsed(text)
    assert (parsed.columns, parsed.values, parsed.warnings) == (columns, values, [])


@pytest.mark.parametrize(
    ("text", "selection", "values"),
    [
        (
            "t,a,b,label\n2024-01-01,1,2,0\n2024-01-02,3,4,1",
            {"columns": ["b", "a"], "time": "t", "label": "label"},
            [[2, 1], [4, 3]],
        ),
        ('{"a": 1, "b": 2, "c": 3}\n{"c": 6, "a": 4}', {"columns": ["c", "a"]}, [[3, 1], [6, 4]]),
        ("2019,2020\n1,2\n3,4", {"columns": ["2020"], "time": "2019"}, [[2], [4]]),  # names asked for make numbers a header
    ],
)
def test_columns_come_in_the_order_asked_for(text: str, selection: dict[str, Any], values: list[list[float]]) -> None:
    parsed = Parsed(text, **selection)
    assert parsed.columns == tuple(selection["columns"])
    assert parsed.chunk.values.tolist() == values
    assert parsed.chunk.labels is None or parsed.chunk.labels.tolist() == [False, True]


def test_a_header_that_holds_numbers_is_told() -> None:
    assert Parsed("web,5\nweb,6\nweb,7").warnings == [
        "cpu.csv, line 1: 'web,5' is taken for the header; add one if it is a row",
    ]


@pytest.mark.parametrize(
    ("text", "selection", "message"),
    [
        (
            "t,a,b\n2024-01-01,1,2",
            {},
            " has several columns of numbers (a, b); choose with --column NAME, or take each with --column all",
        ),
        ("a,b\n2024-01-01,x", {}, " has no column of numbers besides time and labels, only a, b; give one with numbers"),
        ("a,b,c\n2024-01-01,2024-01-01,1", {}, " has several columns of times (a, b); choose with --time-column NAME"),
        ("time,value\n1,2", {"columns": ["vaule"]}, " has no column 'vaule'; did you mean 'value'? the columns are time, value"),
        ("time,value\n1,2", {"time": "VALU"}, " has no column 'VALU'; did you mean 'value'? the columns are time, value"),
        ("time,value\n1,2", {"label": "x"}, " has no column 'x'; the columns are time, value"),
        ("time,v,v\n1,2,3", {"columns": ["v"]}, " has 2 columns named 'v'; give each its own name"),
        ("a,b\n1,2", {"columns": ["a", "a"]}, ": column 'a' is asked for more than once; name each column once"),
        (
            "a,b\n1,2",
            {"columns": ["a"], "time": "a"},
            ": column 'a' cannot be value and time at once; choose another --time-column",
        ),
        ("", {}, " is empty; it must hold at least one row with a number"),
        ("\n \n\n", {}, " is empty; it must hold at least one row with a number"),
        ("time,value\n\n", {}, ": found a header ('time,value') and no rows; rows of numbers must follow it"),
    ],
)
def test_columns_that_are_not_obvious_are_refused(text: str, selection: dict[str, Any], message: str) -> None:
    assert error_of(text, **selection) == "cpu.csv" + message


# --- values ---


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "NA", "N/A", "null", "None", "-", " ", '""'])
def test_missing_values_are_nan(missing: str) -> None:
    assert Parsed(f"time,value\n1,0\n2,{missing}").values == [0, None]


NUMBER = "every value must be a number, or empty where it is missing"
WIDTH = "every row must have as many as the first line, 2"
QUOTES = "every line must be one row, with its quotes closed and no carriage return inside"
FIFTY = "time,value\n" + "".join(f"{row},1\n" for row in range(50))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (f"{FIFTY}\n50,{bad}\n51,1", f"line 53, column 'value': found {bad!r}; {NUMBER}")
            for bad in ("abc", "inf", "-Infinity", "1e999", "1_000", "٣", "3.5.1", "0x10", "12abc")
        ),
        (f"{FIFTY}50,12%", f"line 52, column 'value': found '12%'; the numbers before it (1) have no unit; {NUMBER}"),
        ("time,value\n1,1\n2," + "x" * 500, f"line 3, column 'value': found '{'x' * 39}…'; {NUMBER}"),
        ("time,value\n1,1\n3", f"line 3: found 1 field; {WIDTH}"),
        ("time,value\n1,1\n3,1,2", f"line 3: found 3 fields; {WIDTH}"),
        ('time,value\n1,1\n2,"1\n3,1\n4,1"', f"line 3: found '2,\"1'; {QUOTES}"),  # an open quote swallows no lines
        ("value\r1\r2\r ", f"line 1: found 'value\\r1\\r2\\r '; {QUOTES}"),
        *(
            (f"time,value,label\n1,1,0\n2,1,{bad}", f"line 3, column 'label': found {bad!r}; every label must be 0 or 1")
            for bad in ("2", "yes", "")
        ),
    ],
)
def test_a_bad_row_is_named_with_its_place(text: str, message: str) -> None:
    assert error_of(text, label="label" if "label" in text else None) == f"cpu.csv, {message}"


@FEW
@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30))
def test_numbers_come_back_bit_for_bit(numbers: list[float]) -> None:
    read = Parsed("value\n" + "\n".join(map(repr, numbers))).chunk.values[:, 0]
    np.testing.assert_array_equal(read, np.array(numbers))
    assert np.array_equal(np.signbit(read[~np.isnan(read)]), np.signbit([number for number in numbers if number == number]))


# --- times ---


def with_times(*texts: str) -> str:
    return "time,value\n" + "\n".join(f"{text},1" for text in texts)


@pytest.mark.parametrize(
    ("texts", "times", "zone"),
    [
        (["2024-05-31", "2024-06-01"], ["2024-05-31", "2024-06-01"], None),
        (["20240531", "20240601"], ["2024-05-31", "2024-06-01"], None),
        (["2024-05-31 12:00", "2024-05-31T12:00:00.25"], ["2024-05-31T12:00", "2024-05-31T12:00:00.250"], None),
        (["2024-05-31T12:00Z", "2024-05-31T13:00+00:00"], ["2024-05-31T12:00", "2024-05-31T13:00"], "UTC"),
        (["2024-05-31T12:00+02:00", "2024-05-31T13:00+02:00"], ["2024-05-31T10:00", "2024-05-31T11:00"], "+02:00"),
        (["2024-05-31T12:00-03:30"], ["2024-05-31T15:30"], "-03:30"),
        (["2024-10-27T02:30+02:00", "2024-10-27T02:00+01:00"], ["2024-10-27T00:30", "2024-10-27T01:00"], "UTC"),
        (["1717156800", "1717156801"], ["2024-05-31T12:00", "2024-05-31T12:00:01"], "UTC"),
        (["1717156800.5", "1717156801"], ["2024-05-31T12:00:00.500", "2024-05-31T12:00:01"], "UTC"),
        (["1717156800500"], ["2024-05-31T12:00:00.500"], "UTC"),
        (["1717156800000001"], ["2024-05-31T12:00:00.000001"], "UTC"),
        (["1717156800000000001"], ["2024-05-31T12:00:00.000000001"], "UTC"),
    ],
)
def test_times_are_read_in_utc(texts: list[str], times: list[str], zone: str | None) -> None:
    parsed = Parsed(with_times(*texts))
    assert parsed.chunk.time.dtype == "datetime64[ns]"
    assert (parsed.times, parsed.timezone, parsed.warnings) == (times, zone, [])


@pytest.mark.parametrize(("text", "index"), [("time,value\n10,1\n20.0,1\n1e2,1", [10, 20, 100]), ("value\n5\n5\n5", [0, 1, 2])])
def test_numbers_and_rows_are_an_index(text: str, index: list[int]) -> None:
    parsed = Parsed(text)
    assert (parsed.chunk.time.dtype, parsed.chunk.time.tolist(), parsed.timezone) == (np.int64, index, None)


def test_fractions_that_are_no_epoch_are_counted() -> None:
    parsed = Parsed(with_times("0.0", "0.5", "1.0"))
    assert parsed.chunk.time.tolist() == [0, 1, 2]
    assert parsed.warnings == [
        "cpu.csv, line 2, column 'time': found '0.0', a number with a fraction that is no epoch; rows are counted 0, 1, 2 instead"
    ]


RANGE = "a time must lie between the years 1678 and 2261"
ISO = "every time must be ISO 8601"
ZONES = "either all of them or none must carry a zone"


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["2024-05-31", "31/05/2024"], ISO),
        (["2024-05-31", ""], ISO),
        (["2024-05-31T12:00", "2024-05-31T13:00Z"], f"the times before it carry no zone; {ZONES}"),
        (["2024-05-31T12:00Z", "2024-05-31T13:00"], f"the times before it carry one; {ZONES}"),
        (["2024-05-31", "2500-01-01"], RANGE),
        (["1717156800", "99999999999999999999"], RANGE),
        (["1717156800", "1e30"], RANGE),
        (["1717156800", "1e999999"], ISO),
        (["1717156800", "nan"], ISO),
        (["5", "5.5"], "the times before it are whole numbers, so this one must be, too"),
        (["5", "1_0"], ISO),
        *(([text], ISO) for text in ("yesterday", "nan", "inf", "")),  # a column named like a time holds times
    ],
)
def test_a_bad_time_is_named_with_its_place(texts: list[str], reason: str) -> None:
    place = f"cpu.csv, line {len(texts) + 1}, column 'time'"
    assert error_of(with_times(*texts)).startswith(f"{place}: found {texts[-1]!r}; {reason}")


def test_a_date_and_a_time_of_day_are_one_time() -> None:
    assert Parsed("time,date,value\n12:00,2024-05-31,1").times == ["2024-05-31T12:00"]


@FEW
@given(
    st.lists(st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)), min_size=1, max_size=20),
    st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=8))]),
)
def test_times_come_back_to_the_microsecond(moments: list[datetime], zone: timezone | None) -> None:
    parsed = Parsed(with_times(*(moment.replace(tzinfo=zone).isoformat() for moment in moments)))
    shift = zone.utcoffset(None) if zone else timedelta()
    expected = np.array([moment - shift for moment in moments], dtype="datetime64[us]")
    np.testing.assert_array_equal(parsed.chunk.time, expected.astype("datetime64[ns]"))


# --- bytes to lines ---


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1\n2\n3\0\n", "x, line 3: found a zero byte; the file must be UTF-8 text, not binary or UTF-16"),
        (b"1\n2\xff\n3\n", "x, line 2: found the byte 0xff, which is not UTF-8; the file must be UTF-8 text, plain or gzipped"),
        (b"1\n" + b"9" * (MAX_LINE_BYTES + 1), "x, line 2: found no end of the line within 1,048,576 bytes; one row must be"),
        (b"1\n" + b"9" * (MAX_LINE_BYTES + 1) + b"\n3\n", "x, line 2: found no end of the line within 1,048,576 bytes"),
    ],
)
def test_bytes_that_are_no_lines_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RowParser("x", ColumnSelection()).feed(data)
