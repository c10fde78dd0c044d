"""Stdin and followed files: points as they arrive, through half lines, bad lines, rotation and absence."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import sleep
from typing import Any, BinaryIO, cast
from unittest.mock import Mock

import numpy as np
import pytest
from helpers.chunks import FEW, assert_same, collect, first_column
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.core.errors import InputError, SourceError
from autoencoder.sources.chunk import ignore
from autoencoder.sources.documents import is_document
from autoencoder.sources.live import FollowSource, StdinSource
from autoencoder.sources.schema import ColumnSelection


def subjects(warnings: list[str]) -> list[str]:
    """What the warnings are about, without their remedies."""
    return [warning.split(";")[0] for warning in warnings]


# --- stdin ---


class Pieces:
    """A stream that gives its bytes in the pieces it was made of."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(filter(None, pieces))

    def read(self, size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def fileno(self) -> int:
        raise io.UnsupportedOperation


def stdin_of(*pieces: bytes, warn: Any = ignore, **selection: Any) -> StdinSource:
    return StdinSource(cast(BinaryIO, Pieces(*pieces)), ColumnSelection(**selection), warn)


class Piped:
    """A stdin source over some bytes, read to its end, with what it warned of."""

    def __init__(self, *pieces: bytes, start: int = 0, **arguments: Any) -> None:
        self.warnings: list[str] = []
        source = stdin_of(*pieces, warn=self.warnings.append, **arguments)
        whole = collect(source, start)
        assert (source.length, source.rewindable) == (None, False)
        self.columns, self.timezone, self.names = source.columns, source.timezone, list(source.series)
        self.rows, self.time, self.series, self.values = whole, whole.time, whole.series, first_column(whole)


@pytest.mark.parametrize(
    ("text", "time", "zone"),
    [
        ("5\n6\n\n \n\"\"\n", [0, 1, 2], None),
        ("time,value\n7,5\n8,6\n9,\n", [7, 8, 9], None),
        ('{"time": 7, "value": 5}\n{"time": 8, "value": 6.0, "x": 1}\n{"value": null, "time": 9}\n', [7, 8, 9], None),
        ('{"value": 5, "host": "7", "up": true}\n{"value": "6"}\n{}\n', [0, 1, 2], None),
        ("1717156800,5\n1717156801,6\n1717156802,\n", None, "UTC"),
        ('{"ts": "2024-05-31T14:00:00+02:00", "cpu": 5}\n{"ts": "2024-05-31T12:00:01+00:00", "cpu": 6}\n'
         '{"ts": "2024-05-31T12:00:02Z", "cpu": null}\n', None, "+02:00"),
    ],
)  # fmt: skip
def test_the_first_line_tells_the_form(text: str, time: list[int] | None, zone: str | None) -> None:
    heard = Piped(text.encode())
    expected = np.datetime64("2024-05-31T12:00:00", "ns") + np.arange(3).astype("timedelta64[s]") if time is None else time
    np.testing.assert_array_equal(heard.time, expected)
    assert (heard.values, heard.timezone, heard.warnings) == ([5, 6, None], zone, [])


def test_rows_come_once_their_lines_are_complete() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as stream, os.fdopen(write_end, "wb", buffering=0) as producer:
        producer.write(b"time,value\n1,5\n2,6\n3,")
        source = StdinSource(stream)
        assert source.columns == ("value",)
        chunks = source.chunks()
        assert first_column(next(chunks)) == [5, 6]
        producer.write(b"7\n4,8\n")
        assert first_column(next(chunks)) == [7, 8]
        producer.write(b"5,9")
        producer.close()
        assert first_column(next(chunks)) == [9]
        assert next(chunks, None) is None


def test_a_non_blocking_pipe_is_waited_for() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with os.fdopen(read_end, "rb") as stream:
        producer = subprocess.Popen(["sh", "-c", "sleep 0.2; echo 5"], stdout=write_end)
        os.close(write_end)
        assert first_column(collect(StdinSource(stream))) == [5]
        assert producer.wait() == 0


@pytest.mark.parametrize(("text", "time"), [(b"5\n6\n", [100, 101]), (b"7,5\n8,6\n", [7, 8])])
def test_after_a_restart_rows_are_counted_on(text: bytes, time: list[int]) -> None:
    assert Piped(text, start=100).time.tolist() == time


CODES = st.sampled_from(["utf-8", "utf-16"])
LINES = st.lists(
    st.sampled_from(["2024-05-31T12:00,1,a", "2024-05-31T12:01,-2.5e-3,b", "2024-05-31T12:02,,a", "", "bad,1,c", "2024-05-31,x,d",
                     '2024-05-31T12:03,"1,234",a', '2024-05-31T12:04,"3,5",b', "2024-05-31T12:05,1.234,a", "2024-05-31T12:06,7%,b",
                     "2024-05-31T12:07,1.2k,a", "2024-05-31T12:08,unavailable,b", "2024-05-31T12:09,$5,a", "#,1,a",
                     "1", '"', "time,value,host", "2024-05-31T12:00Z,4,e", "é,é,é", "\0"]),
    max_size=12,
)  # fmt: skip


@FEW
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.lists(st.integers(0, 400), max_size=10), st.booleans(), CODES)
def test_rows_do_not_depend_on_how_bytes_are_cut(
    lines: list[str], end: str, closed: bool, places: list[int], many: bool, code: str
) -> None:
    data = end.join(["time,value,host", "2024-05-31T11:00,0,a", *lines]).encode(code) + (end.encode(code)[-2:] if closed else b"")
    bounds = [0, *sorted(place % len(data) for place in places), len(data)]
    options = {"series": "host"} if many else {}
    whole, pieces = Piped(data, **options), Piped(*(data[start:stop] for start, stop in pairwise(bounds)), **options)
    assert_same(pieces.rows, whole.rows)
    assert pieces.names == whole.names
    # the count of late rows is that of the moment it is told
    told, expected = ([warning for warning in each.warnings if "is not after" not in warning] for each in (pieces, whole))
    assert told == expected


def test_bad_lines_are_kept_as_missing_rows() -> None:
    heard = Piped(b"time,value\n10,1\n11,abc\n12,2,3\nx,4\n\xff\xfe\n13,inf\ntime,value\n14,5\n")  # a header again is no row
    assert heard.values == [1, None, None, None, None, None, 5]
    assert heard.time.tolist() == [10, 11, 11, 11, 11, 13, 14]
    assert subjects(heard.warnings) == [
        "stdin, line 3, column 'value': found 'abc'",
        "stdin, line 4: found 3 fields",
        "stdin, line 5, column 'time': found 'x'",
        "stdin, line 6: found 1 field",
        "stdin, line 7, column 'value': found 'inf'",
    ]
    assert all(warning.endswith("; the row is kept as missing") for warning in heard.warnings)
    heard = Piped(b"1\nx\n3\n{\n9", *[b"9" * 999_999] * 3, b"\n6\n")
    assert (heard.values, heard.time.tolist()) == ([1, None, 3, None, None, 6], [0, 1, 2, 3, 4, 5])
    assert heard.warnings[2].startswith(
        "stdin, line 5: found no end of the line within 1,048,576 bytes; one row must be one line"
    )
    bad = b'{"t": "2024-06-01", "v": [1]}\n[1]\n{"t": "2024-06-02"\n{"v": 2}\n'
    heard = Piped(b'{"t": "2024-05-31", "v": 1}\n' + bad + b'{"t": "2024-06-03", "v": 3}\n')
    assert heard.values == [1, None, None, None, None, 3]
    assert [str(time)[5:10] for time in heard.time] == ["05-31", "06-01", "06-01", "06-01", "06-01", "06-03"]
    assert len(heard.warnings) == 4


def test_times_out_of_order_and_a_cut_off_line_are_told_once() -> None:
    heard = Piped(b"1,0\n", b"3,0\n", b"2,0\n", b"1,0\n", b"2024-06")
    assert heard.time.tolist() == [1, 3, 2, 1]
    width = "every row must have as many as the first line, 2"
    assert heard.warnings == [
        "stdin, line 3: time 2 is not after 3 (1 such row); rows are judged in file order; sort the file or choose another --time-column",
        f"stdin, line 5: found 1 field; {width}; the line is cut off and left out",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", " is empty; it must hold at least one row with a number"),
        (b"hello\n", ": found a header ('hello') and no rows; rows of numbers must follow it"),
        (b"time,value\nsoon,1\n2,2\n", ", line 2, column 'time': found 'soon'; every time must be ISO 8601"),
        (b"time,value\n1,x\n2,2\n", ", line 2, column 'value': found 'x'; every value must be a number"),
        (b"time,value\n1\n2,2\n", ", line 2: found 1 field; every row must have as many as the first line, 2"),
        (b'{"host": "web"}\n', " has no column of numbers besides time and labels, only (none); give one with numbers"),
        (b'{"value": 1\n', ", line 1: found '{\"value\": 1'; every line must be a JSON object such as"),
        (b"9" * 2_000_000, ", line 1: found no end of the line within 1,048,576 bytes; one row must be one line"),
    ],
)
def test_a_first_row_of_no_sense_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        stdin_of(data)
    assert str(caught.value).startswith("stdin" + message)


PROMETHEUS = b"""{"status":"success","data":{"resultType":"matrix","result":[
{"metric":{"host":"a"},"values":[[1717156800,"1"],[1717156860,"x"],[1717156920,"3"]]},
{"metric":{"host":"b"},"values":[[1717156800,"4"]]}]}}"""


@pytest.mark.parametrize("data", [PROMETHEUS, PROMETHEUS.replace(b"\n", b""), PROMETHEUS + b"\n"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_document_on_a_pipe_is_read_as_a_whole(data: bytes, size: int) -> None:
    heard = Piped(*(data[start : start + size] for start in range(0, len(data), size)))
    assert (heard.names, heard.values, heard.timezone) == (["a", "b"], [1, None, 3, 4], "UTC")
    assert heard.series is not None and heard.series.tolist() == [0, 0, 0, 1]
    assert subjects(heard.warnings) == ["stdin, record 2, column 'value': found 'x'"]


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        (b'{"cpu": 5, "disks": [{"n": 1}, {"n": 2}]}', False),
        (b'{"time": 1717156800, "cpu": 5, "events": [{"time": 1717156800}, {"time": 1717156801}]}', False),
        (b'{"count": 2, "results": [{"time": 1717156800, "v": 1}, {"time": 1717156801, "v": 1}]}', True),
        (b'{"a":' * 500 + b"1" + b"}" * 500, False),
    ],
)
def test_a_first_row_with_arrays_is_no_document(line: bytes, is_one: bool) -> None:
    assert is_document(line + b"\n", is_whole=False) is is_one


def test_a_document_that_is_cut_off_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^stdin begins as a JSON document and is none"):
        stdin_of(PROMETHEUS[:-5])
    monkeypatch.setattr("autoencoder.sources.documents.MAX_BYTES", 100)
    with pytest.raises(InputError, match=r"^stdin is a JSON document of more than 100 bytes; ask for a shorter time"):
        stdin_of(PROMETHEUS)


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("3,5", "1.234", "stdin: the rows before had a decimal comma; give --set input.decimal=comma"),
        ("5%", "7", "stdin: the rows before are in %; give every row the same unit"),
        ("5", "7%", "stdin: the rows before have no unit; give every row the same unit"),
        *((before, after, None) for before, after in (("5%", "7%"), ("1.2k", "950"), ("3,5", "7"), ("1", "3,5"))),
    ],
)
def test_after_a_restart_numbers_are_read_as_before(before: str, after: str, refused: str | None) -> None:
    memory = stdin_of(f"time;value\n1;{before}\n".encode()).memory(1)
    resumed = stdin_of(f"time;value\n2;{after}\n".encode(), b"3;1.234%s\n" % (b"%" if "%" in before else b""))
    if refused:
        with pytest.raises(InputError, match=f"^{re.escape(refused)}$"):
            resumed.recall(memory)
        return
    resumed.recall(memory)
    assert first_column(collect(resumed))[-1] == (1234 if "," in before + after else 1.234)


def test_a_folder_for_stdin_is_an_error() -> None:
    folder = Mock(spec=["read", "fileno"])  # what a shell's "< folder" gives: it opens, and cannot be read
    folder.fileno.side_effect, folder.read.side_effect = OSError, IsADirectoryError(errno.EISDIR, "Is a directory")
    with pytest.raises(SourceError, match="stdin cannot be read \\(Is a directory\\); pipe lines of numbers into it"):
        StdinSource(folder)


# --- many series ---


def test_new_series_may_appear_at_any_time() -> None:
    pieces = (b"time,host,value\n1,b,5\n", b"1,a,6\n2,b,7\n", b"2, a ,8\n3,,9\n")
    heard = Piped(*pieces, series="host")
    assert heard.names == ["b", "a", ""]
    assert heard.series is not None and heard.series.tolist() == [0, 1, 0, 1, 2]
    assert (heard.values, heard.warnings) == ([5, 6, 7, 8, 9], [])
    source = stdin_of(*pieces, series="host")
    chunks = source.chunks()
    assert [(next(chunks) and list(source.series)) for _ in pieces] == [["b"], ["b", "a"], ["b", "a", ""]]


def test_a_bad_line_stays_with_its_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoencoder.sources.schema.MAX_SERIES", 3)
    heard = Piped(b"time,host,value\n1,a,5\n1,b,x\n2,a,6\nx,c,7\n3,a\n3,d,8\n2,b,9\n", series="host")
    assert heard.names == ["a", "b", "c"]
    assert heard.series is not None and heard.series.tolist() == [0, 1, 0, 2, 2, 2, 1]
    assert heard.values == [5, None, 6, None, None, None, 9]
    assert heard.time.tolist() == [1, 1, 2, 2, 2, 3, 2]
    assert subjects(heard.warnings) == [
        "stdin, line 3, column 'value': found 'x'",
        "stdin, line 5, column 'time': found 'x'",
        "stdin, line 6: found 2 fields",
        "stdin, line 7, column 'host': found 'd'",
    ]


# --- followed files ---


class Followed:
    """A followed file whose writer is the test itself; ``next`` gives the values of the next chunk."""

    def __init__(self, path: Path, text: str, **arguments: Any) -> None:
        self.path = path
        self.warnings: list[str] = []
        path.write_text(text)
        timeout = arguments.pop("idle_timeout", 30)  # a test that waits in vain fails instead of hanging
        self.source = FollowSource(path, ColumnSelection(**arguments), 0.005, self.warnings.append, timeout)
        self._chunks = self.source.chunks()

    def append(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def replace(self, text: str) -> None:
        self.path.unlink()
        self.path.write_text(text)

    def when_warned(self, do: Callable[[], object]) -> None:
        """Do something, in another thread, once a warning was heard."""

        def wait() -> None:
            while not self.warnings:
                sleep(0.005)
            do()

        threading.Thread(target=wait, daemon=True).start()

    def next(self) -> list[float | None]:
        return first_column(next(chunk for chunk in self._chunks if len(chunk)))


@pytest.fixture
def follow(tmp_path: Path) -> Callable[..., Followed]:
    """Follow a new file "cpu.log" that starts with the given text."""
    return partial(Followed, tmp_path / "cpu.log")


def test_appended_rows_follow_those_that_are_there(follow: Any) -> None:
    log = follow("time,value\n1,5\n2,6\n")
    assert (log.source.name, log.source.columns, log.source.length, log.source.timezone) == ("cpu.log", ("value",), None, None)
    assert log.next() == [5, 6]
    log.append("3,")  # half a line waits for its end
    log.append("7\n4,8\n")
    assert log.next() == [7, 8]
    resumed = follow("5\n6\n7\n", idle_timeout=0)
    assert [chunk.time.tolist() for chunk in resumed.source.chunks(start=2)] == [[2]]


def test_a_followed_file_may_gain_series(follow: Any) -> None:
    log = follow("time,host,value\n1,b,5\n", series="host")
    assert (log.next(), log.source.series) == ([5], ["b"])
    log.replace("host,time,value\na,2,6\nb,2,7\n")
    chunk = next(log.source.chunks())
    assert (first_column(chunk), chunk.series.tolist(), log.source.series) == ([6, 7], [1, 0], ["b", "a"])
    assert log.warnings == []


def test_a_rotated_file_is_finished_first(follow: Any) -> None:
    log = follow("time,value\n1,5\n")
    assert log.next() == [5]
    with log.path.open("a") as still_open:
        log.path.rename(log.path.with_suffix(".1"))
        log.path.write_text("time,value\n4,8\n")
        still_open.write("2,6\n3,7")  # the writer has not heard of the rotation yet, and stops in the middle of a line
    assert [log.next() for _ in range(3)] == [[6], [7], [8]]
    assert log.warnings == []


def test_a_new_file_may_have_columns_in_another_order(follow: Any) -> None:
    log = follow("time,cpu,disk\n1,5,0\n", columns=["cpu"])
    assert log.next() == [5]
    for text, value in (("disk,new,cpu,time\n0,0,6,2\n", 6), ("0,0,7,3\n", 7)):
        log.replace(text)
        assert log.next() == [value]
    assert log.warnings == []
    log.replace("disk,new,memory,time\n")  # of other columns
    assert log.next() == [None]
    assert subjects(log.warnings) == ["cpu.log, line 1, column 'cpu': found 'memory'"]


def test_a_file_that_is_cut_is_read_from_its_start(follow: Any) -> None:
    log = follow("value\n5\n6\n7")
    assert log.next() == [5, 6]
    os.truncate(log.path, 0)
    log.when_warned(lambda: log.append("value\n8\n"))
    assert log.next() == [8]
    assert log.warnings == ["cpu.log was cut from 11 to 0 bytes; it is read from its start again"]


def test_a_file_that_is_away_is_waited_for(follow: Any) -> None:
    log = follow("5\n")
    assert log.next() == [5]
    log.path.unlink()

    def come_back() -> None:
        log.path.with_suffix(".new").write_text("6\n")
        log.path.with_suffix(".new").rename(log.path)

    log.when_warned(come_back)
    assert log.next() == [6]
    assert log.warnings == [f"{log.path} is gone or may not be read; waiting for it to come back"]


def test_a_quiet_file_ends_with_its_last_line(follow: Any) -> None:
    log = follow("1,5\n2,6", idle_timeout=0.05)
    assert first_column(collect(log.source)) == [5, 6]
    log = follow("1,5\n2", idle_timeout=0)
    assert first_column(collect(log.source)) == [5]
    assert subjects(log.warnings) == ["cpu.log, line 2: found 1 field"]


def test_a_followed_file_needs_a_first_row(follow: Any) -> None:
    with pytest.raises(InputError, match=r"^cpu.log: found a header \('time,value'\) and no rows"):
        follow("time,value\n", idle_timeout=0)
    with pytest.raises(InputError, match=r"^cpu.log, line 2, column 'time': found 'x'"):
        follow("time,value\nx,1\n", idle_timeout=0)
    assert follow("time,value\n1,", idle_timeout=0).next() == [None]


def test_paths_that_cannot_be_followed_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path / "no.log", "no such file; check the path"),
        (tmp_path, "is a folder; give the path of one file in it"),
        (tmp_path / "pipe", "is no regular file and cannot be followed; pipe it into --source stdin instead"),
    ]:
        with pytest.raises(InputError, match=f"{message}$"):
            FollowSource(path)
