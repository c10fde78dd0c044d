"""Lines of text become rows, whatever their form, and every bad line is named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.series import Chunk, InputError
from data.text.layout import Request
from data.text.lines import LONGEST_LINE, OVERLONG, LineBuffer
from data.text.rows import RowParser

FEW = settings(deadline=None, max_examples=50, derandomize=True)


class Reading:
    """What a parser made of some lines."""

    def __init__(self, text: str, *, columns: Sequence[str] = (), time: str | None = None, label: str | None = None) -> None:
        self.warnings: list[str] = []
        parser = RowParser("cpu.csv", Request(tuple(columns), time, label), self.warnings.append)
        chunk = parser.feed(text.split("\n"))
        parser.require_rows()
        assert isinstance(chunk, Chunk)
        self.chunk = chunk
        self.columns = parser.columns
        self.timezone = parser.timezone
        self.order_warning = parser.order_warning()

    @property
    def times(self) -> list[str]:
        return [str(np.datetime_as_string(time, unit="auto")) for time in self.chunk.time]

    @property
    def values(self) -> list[float]:
        return self.chunk.values[:, 0].tolist()


def error_of(text: str, **request: object) -> str:
    with pytest.raises(InputError) as caught:
        Reading(text, **request)  # type: ignore[arg-type]  # each test passes what Reading takes
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    ("text", "columns", "values"),
    [
        ("1\n2.5\n-3e2", ("value",), [1, 2.5, -300]),
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
        ("2024-01-01,web,5\n2024-01-02,web,6", ("column_3",), [5, 6]),
        ('{"timestamp": "2024-01-01", "value": 5, "host": "7"}\n{"timestamp": "2024-01-02", "value": 6}', ("value",), [5, 6]),
    ],
)
def test_the_obvious_value_column_is_found(text: str, columns: tuple[str, ...], values: list[float]) -> None:
    reading = Reading(text)
    assert reading.columns == columns
    assert reading.values == values


def test_columns_asked_for_come_in_the_order_asked_for() -> None:
    reading = Reading("t,a,b,label\n2024-01-01,1,2,0\n2024-01-02,3,4,1", columns=["b", "a"], time="t", label="label")
    assert reading.columns == ("b", "a")
    assert reading.chunk.values.tolist() == [[2, 1], [4, 3]]
    assert reading.chunk.labels is not None
    assert reading.chunk.labels.tolist() == [False, True]


def test_a_first_row_of_numbers_is_the_header_when_it_holds_the_names_asked_for() -> None:
    assert Reading("2019,2020\n1,2\n3,4", columns=["2020"], time="2019").values == [2, 4]


def test_a_first_row_with_a_time_is_a_row_even_if_it_holds_text() -> None:
    assert len(Reading("2024-01-01,web,5").chunk) == 1


def test_a_header_that_holds_numbers_is_said_to_be_taken_for_one() -> None:
    assert Reading("web,5\nweb,6\nweb,7").warnings == [
        "cpu.csv, line 1: 'web,5' is taken for the header; add one if it is a row",
    ]


@pytest.mark.parametrize(
    ("text", "request_", "message"),
    [
        ("t,a,b\n2024-01-01,1,2", {}, "cpu.csv has several columns of numbers (a, b); choose with --column NAME"),
        ("a,b\n2024-01-01,x", {}, "cpu.csv has no column of numbers besides time and labels, only a, b; give one with numbers"),
        ("a,b,c\n2024-01-01,2024-01-01,1", {}, "cpu.csv has several columns of times (a, b); choose with --time-column NAME"),
        (
            "time,value\n1,2",
            {"columns": ["vaule"]},
            "cpu.csv has no column 'vaule'; did you mean 'value'? the columns are time, value",
        ),
        ("time,value\n1,2", {"time": "VALU"}, "cpu.csv has no column 'VALU'; did you mean 'value'? the columns are time, value"),
        ("time,value\n1,2", {"label": "x"}, "cpu.csv has no column 'x'; the columns are time, value"),
        ("time,v,v\n1,2,3", {"columns": ["v"]}, "cpu.csv has 2 columns named 'v'; give each its own name"),
        ("a,b\n1,2", {"columns": ["a", "a"]}, "cpu.csv: column 'a' is asked for more than once; name each column once"),
        (
            "a,b\n1,2",
            {"columns": ["a"], "time": "a"},
            "cpu.csv: column 'a' cannot be value and time at once; choose another --time-column",
        ),
        ("", {}, "cpu.csv is empty; it must hold at least one row with a number"),
        ("\n \n\n", {}, "cpu.csv is empty; it must hold at least one row with a number"),
        ("time,value\n\n", {}, "cpu.csv: found a header ('time,value') and no rows; rows of numbers must follow it"),
    ],
)
def test_columns_that_are_not_obvious_are_asked_for(text: str, request_: dict[str, object], message: str) -> None:
    assert error_of(text, **request_) == message


# ------------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "NA", "N/A", "null", "None", "-", " ", '""'])
def test_missing_values_are_nan(missing: str) -> None:
    assert np.isnan(Reading(f"time,value\n1,0\n2,{missing}").values[1])


@pytest.mark.parametrize("bad", ["abc", "inf", "-Infinity", "1e999", "1_000", "٣", "3.5.1", "12%", "0x10"])
def test_a_value_that_is_no_finite_number_is_named_with_its_place(bad: str) -> None:
    rows = "\n".join(f"{row},1" for row in range(50))
    message = error_of(f"time,value\n{rows}\n\n50,{bad}\n51,1")
    assert message == (
        f"cpu.csv, line 53, column 'value': found {bad!r}; every value must be a number, or empty where it is missing"
    )


def test_a_long_text_is_shortened_in_an_error() -> None:
    assert f"found '{'x' * 39}…';" in error_of("time,value\n1,1\n2," + "x" * 500)


@pytest.mark.parametrize(("row", "found"), [("3", "1 field"), ("3,1,2", "3 fields")])
def test_a_row_with_too_few_or_too_many_fields_is_named(row: str, found: str) -> None:
    message = error_of(f"time,value\n1,1\n{row}")
    assert message == f"cpu.csv, line 3: found {found}; every row must have as many as the first line, 2"


def test_a_quote_that_is_left_open_does_not_swallow_the_lines_after_it() -> None:
    remedy = "every line must be one row, with its quotes closed and no carriage return inside"
    assert error_of('time,value\n1,1\n2,"1\n3,1\n4,1"') == f"cpu.csv, line 3: found '2,\"1'; {remedy}"
    assert error_of("value\r1\r2\r") == f"cpu.csv, line 1: found 'value\\r1\\r2\\r'; {remedy}"


@pytest.mark.parametrize("bad", ["2", "yes", ""])
def test_labels_must_be_zero_or_one(bad: str) -> None:
    message = error_of(f"time,value,label\n1,1,0\n2,1,{bad}", label="label")
    assert message == f"cpu.csv, line 3, column 'label': found {bad!r}; every label must be 0 or 1"


@FEW
@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30))
def test_numbers_come_back_bit_for_bit(numbers: list[float]) -> None:
    read = np.array(Reading("value\n" + "\n".join(map(repr, numbers))).values)
    np.testing.assert_array_equal(read, np.array(numbers))
    assert np.array_equal(np.signbit(read[~np.isnan(read)]), np.signbit([number for number in numbers if number == number]))


# -------------------------------------------------------------------------------------------------------------------- times


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
    reading = Reading("time,value\n" + "\n".join(f"{text},1" for text in texts))
    assert reading.chunk.time.dtype == "datetime64[ns]"
    assert reading.times == times
    assert reading.timezone == zone
    assert reading.order_warning is None


def test_numbers_that_are_no_epoch_are_an_index() -> None:
    reading = Reading("time,value\n10,1\n20.0,1\n1e2,1")
    assert reading.chunk.time.dtype == np.int64
    assert reading.chunk.time.tolist() == [10, 20, 100]
    assert reading.timezone is None


def test_without_times_rows_are_counted() -> None:
    assert Reading("value\n5\n5\n5").chunk.time.tolist() == [0, 1, 2]


def test_fractions_that_are_no_epoch_are_counted_and_said_to_be() -> None:
    reading = Reading("time,value\n0.0,1\n0.5,1\n1.0,1")
    assert reading.chunk.time.tolist() == [0, 1, 2]
    assert reading.warnings == [
        "cpu.csv, line 2, column 'time': found '0.0', a number with a fraction that is no epoch; rows are counted 0, 1, 2 instead"
    ]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["2024-05-31", "31/05/2024"], "every time must be ISO 8601"),
        (["2024-05-31", ""], "every time must be ISO 8601"),
        (
            ["2024-05-31T12:00", "2024-05-31T13:00Z"],
            "the times before it carry no zone; either all of them or none must carry a zone",
        ),
        (
            ["2024-05-31T12:00Z", "2024-05-31T13:00"],
            "the times before it carry one; either all of them or none must carry a zone",
        ),
        (["2024-05-31", "2500-01-01"], "a time must lie between the years 1678 and 2261"),
        (["1717156800", "99999999999999999999"], "a time must lie between the years 1678 and 2261"),
        (["1717156800", "1e30"], "a time must lie between the years 1678 and 2261"),
        (["1717156800", "1e999999"], "every time must be ISO 8601"),
        (["1717156800", "nan"], "every time must be ISO 8601"),
        (["5", "5.5"], "the times before it are whole numbers, so this one must be, too"),
        (["5", "1_0"], "every time must be ISO 8601"),
    ],
)
def test_a_time_that_cannot_be_read_is_named_with_its_place(texts: list[str], reason: str) -> None:
    message = error_of("time,value\n" + "\n".join(f"{text},1" for text in texts))
    assert message.startswith(f"cpu.csv, line 3, column 'time': found {texts[1]!r}; {reason}")


@pytest.mark.parametrize("text", ["yesterday", "nan", "inf", ""])
def test_a_column_named_like_a_time_must_hold_times(text: str) -> None:
    assert error_of(f"date,value\n{text},1").startswith(f"cpu.csv, line 2, column 'date': found {text!r}; every time must be")


def test_of_a_date_and_a_time_of_day_the_date_is_taken() -> None:
    assert Reading("time,date,value\n12:00,2024-05-31,1").times == ["2024-05-31"]


def test_times_that_do_not_ascend_are_counted_and_the_first_is_named() -> None:
    reading = Reading("time,value\n" + "\n".join(f"2024-05-{day:02},1" for day in (1, 3, 2, 2, 4, 1)))
    assert reading.times[2] == "2024-05-02"
    assert reading.order_warning == (
        "cpu.csv, line 4: time 2024-05-02 is not after 2024-05-03 (3 such rows); "
        "rows are judged in file order; sort the file or choose another --time-column"
    )


@FEW
@given(
    st.lists(st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)), min_size=1, max_size=20),
    st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=8))]),
)
def test_times_come_back_to_the_microsecond(moments: list[datetime], zone: timezone | None) -> None:
    reading = Reading("time,value\n" + "\n".join(f"{moment.replace(tzinfo=zone).isoformat()},1" for moment in moments))
    shift = zone.utcoffset(None) if zone else timedelta()
    expected = np.array([moment - shift for moment in moments], dtype="datetime64[us]")
    np.testing.assert_array_equal(reading.chunk.time, expected.astype("datetime64[ns]"))


# ------------------------------------------------------------------------------------------------------------- bytes to lines


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@FEW
@given(st.text(alphabet="a1é\r\n,\ufeff ", max_size=60), st.lists(st.integers(0, 200), max_size=8))
def test_lines_do_not_depend_on_how_the_bytes_are_cut(text: str, places: list[int]) -> None:
    data = text.encode()
    buffer, whole = LineBuffer("cut"), LineBuffer("whole")
    pieces = [line for piece in cut(data, places) for line in buffer.push(piece)] + buffer.finish()
    assert pieces == whole.push(data) + whole.finish()


def test_a_byte_order_mark_and_carriage_returns_are_dropped() -> None:
    assert LineBuffer("x").push(b"\xef\xbb\xbfvalue\r\n1\r\n") == ["value", "1"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1\n2\n3\0\n", "x, line 3: found a zero byte; the file must be UTF-8 text, not binary or UTF-16"),
        (b"1\n2\xff\n3\n", "x, line 2: found the byte 0xff, which is not UTF-8; the file must be UTF-8 text, plain or gzipped"),
        (
            b"1\n" + b"9" * (LONGEST_LINE + 1),
            "x, line 2: found no end of the line within 1,048,576 bytes; one row must be one line",
        ),
        (b"1\n" + b"9" * (LONGEST_LINE + 1) + b"\n3\n", "x, line 2: found no end of the line within 1,048,576 bytes"),
    ],
)
def test_bytes_that_are_no_lines_of_text_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LineBuffer("x").push(data)


def test_a_tolerant_buffer_goes_on_after_a_line_that_is_too_long() -> None:
    buffer = LineBuffer("x", tolerant=True)
    long = b"9" * (LONGEST_LINE // 2 + 1)
    assert [buffer.push(piece) for piece in (b"1\n" + long, long, long, b"\n2\n")] == [["1"], [], [], [OVERLONG, "2"]]
    assert buffer.push(b"3\n" + long + long + b"\n4\n") == ["3", OVERLONG, "4"]


# --------------------------------------------------------------------------------------------------------------------- fuzz

SYNTAX = [",", ";", "\t", "\n", "\r\n", '"', " ", "\0", "_", "é", "{", "}", ":", "[", '{"value": 1}']
CELLS = ["time", "value", "1", "2.5", "-", "nan", "inf", "1e999", "1717156800", "9" * 30]
TIMES = ["2024-05-31", "T12:00Z", "+02:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59"]
WORDS = st.sampled_from(SYNTAX + CELLS + TIMES)


@FEW
@given(st.one_of(st.binary(max_size=80), st.lists(WORDS, max_size=30).map(lambda words: "".join(words).encode())), st.booleans())
@example(b"[" * 100_000, False)
@example(b'{"value": ' + b"[" * 100_000, False)
@example(b'{"value": ' + b"9" * 5_000 + b"}\n", False)
@example(b"1" * 200_000, True)
@example(b'"' + b"1" * 200_000 + b'"', True)
def test_whatever_the_bytes_only_input_errors_come_out(data: bytes, tolerant: bool) -> None:
    warnings: list[str] = []
    buffer, parser = LineBuffer("x", tolerant), RowParser("x", Request(), warnings.append)
    try:
        chunks = [parser.feed(lines, tolerant) for lines in (buffer.push(data), buffer.finish())]
        parser.require_rows()
    except InputError as error:
        assert str(error).startswith("x")
        assert "\n" not in str(error)
        return
    assert all(np.isfinite(chunk.values).all(where=~np.isnan(chunk.values)) for chunk in chunks if chunk is not None)
