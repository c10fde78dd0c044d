"""Stdin and followed files: points as they arrive, through half lines, bad lines, rotation and absence."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import sleep
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.live import FollowSource, StdinSource
from data.series import Chunk, DataError, InputError

FEW = settings(deadline=None, max_examples=50, derandomize=True)
ROOT = Path(__file__).parent.parent


def values(chunk: Chunk) -> list[float | None]:
    """The first column, None where missing."""
    return [None if np.isnan(value) else value for value in chunk.values[:, 0].tolist()]


def all_values(source: StdinSource | FollowSource) -> list[float | None]:
    return [value for chunk in source.chunks() for value in values(chunk)]


# ----------------------------------------------------------------------------------------------------------------------- stdin


class Pieces(io.RawIOBase):
    """A raw stream that gives its bytes in the pieces it was made of."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._pieces.pop(0) if self._pieces else b""
        taken = min(len(piece), len(buffer))
        buffer[:taken] = piece[:taken]
        if taken < len(piece):
            self._pieces.insert(0, piece[taken:])
        return taken


class Listened:
    """A stdin source over some bytes, read to its end, with what it warned of."""

    def __init__(self, *pieces: bytes, **arguments: Any) -> None:
        self.warnings: list[str] = []
        source = StdinSource(io.BufferedReader(Pieces(list(pieces))), warn=self.warnings.append, **arguments)
        chunks = list(source.chunks())
        assert source.points is None
        self.columns, self.timezone = source.columns, source.timezone
        self.time = np.concatenate([chunk.time for chunk in chunks])
        self.rows = np.concatenate([chunk.values for chunk in chunks])
        self.values = [value for chunk in chunks for value in values(chunk)]


@pytest.mark.parametrize(
    ("text", "time", "zone"),
    [
        ("5\n6\n\nnull\n", [0, 1, 2], None),
        ("value\n5\n6\nnan\n", [0, 1, 2], None),
        ("7,5\n8,6\n9,\n", [7, 8, 9], None),
        ("time,value\n7,5\n8,6\n9,-\n", [7, 8, 9], None),
        ('{"time": 7, "value": 5}\n{"time": 8, "value": 6.0, "x": 1}\n{"value": null, "time": 9}\n', [7, 8, 9], None),
        ('{"value": 5, "host": "7", "up": true}\n{"value": "6"}\n{}\n', [0, 1, 2], None),
        ("1717156800,5\n1717156801,6\n1717156802,\n", None, "UTC"),
        ("2024-05-31T12:00:00Z;5\n2024-05-31T12:00:01Z;6\n2024-05-31T12:00:02Z;NA\n", None, "UTC"),
        ('{"ts": "2024-05-31T14:00:00+02:00", "cpu": 5}\n{"ts": "2024-05-31T12:00:01+00:00", "cpu": 6}\n'
         '{"ts": "2024-05-31T12:00:02Z", "cpu": null}\n', None, "+02:00"),
    ],
)  # fmt: skip
def test_the_form_of_stdin_is_told_by_its_first_line(text: str, time: list[int] | None, zone: str | None) -> None:
    heard = Listened(text.encode())
    assert heard.values == [5, 6, None]
    expected = np.datetime64("2024-05-31T12:00:00", "ns") + np.arange(3).astype("timedelta64[s]") if time is None else time
    np.testing.assert_array_equal(heard.time, expected)
    assert heard.timezone == zone
    assert heard.warnings == []


def test_several_columns_come_from_a_header_or_from_keys() -> None:
    for text in (b"a,b,c\n1,2,3\n4,5,6\n", b'{"a": 1, "b": 2, "c": 3}\n{"c": 6, "a": 4}\n'):
        heard = Listened(text, columns=["c", "a"])
        assert heard.columns == ("c", "a")
        assert heard.rows.tolist() == [[3, 1], [6, 4]]


def test_rows_come_as_soon_as_their_lines_are_complete() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as stream, os.fdopen(write_end, "wb", buffering=0) as producer:
        producer.write(b"time,value\n1,5\n2,6\n3,")
        source = StdinSource(stream)
        assert source.columns == ("value",)
        chunks = source.chunks()
        assert values(next(chunks)) == [5, 6]
        producer.write(b"7\n4,8\n")
        assert values(next(chunks)) == [7, 8]
        producer.write(b"5,9")
        producer.close()
        assert values(next(chunks)) == [9]
        assert next(chunks, None) is None


def test_a_pipe_that_was_left_non_blocking_is_waited_for() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with os.fdopen(read_end, "rb") as stream:
        producer = subprocess.Popen(["sh", "-c", "sleep 0.2; echo 5"], stdout=write_end)
        os.close(write_end)
        assert all_values(StdinSource(stream)) == [5]
        assert producer.wait() == 0


def test_a_pipe_without_a_buffer_is_read_as_well() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"5\n6\n")
    os.close(write_end)
    with os.fdopen(read_end, "rb", buffering=0) as stream:
        assert all_values(StdinSource(stream)) == [5, 6]


LINES = st.lists(
    st.sampled_from(["2024-05-31T12:00,1", "2024-05-31T12:01,-2.5e-3", "2024-05-31T12:02,", "", "bad,1", "2024-05-31,x", "1", '"',
                     "time,value", "2024-05-31T12:00Z,4", "é,é", "\0"]),
    max_size=12,
)  # fmt: skip


@FEW
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.lists(st.integers(0, 400), max_size=10))
def test_rows_do_not_depend_on_how_the_stream_is_cut(lines: list[str], end: str, is_closed: bool, places: list[int]) -> None:
    data = end.join(["time,value", "2024-05-31T11:00,0", *lines]).encode() + (end.encode() if is_closed else b"")
    bounds = [0, *sorted(place % len(data) for place in places), len(data)]
    whole, pieces = Listened(data), Listened(*(data[start:stop] for start, stop in pairwise(bounds)))
    np.testing.assert_array_equal(pieces.time, whole.time)
    np.testing.assert_array_equal(pieces.rows, whole.rows)

    def about_lines(warnings: list[str]) -> list[str]:  # the count of late rows is that of the moment it is told
        return [warning for warning in warnings if "is not after" not in warning]

    assert about_lines(pieces.warnings) == about_lines(whole.warnings)


def test_bad_lines_are_warned_about_and_kept_as_missing_rows() -> None:
    heard = Listened(b"time,value\n10,1\n11,abc\n12,2,3\nx,4\n\xff\xfe\n13,inf\n14,5\n")
    assert heard.values == [1, None, None, None, None, None, 5]
    assert heard.time.tolist() == [10, 11, 11, 11, 11, 13, 14]
    assert [warning.split(";")[0] for warning in heard.warnings] == [
        "stdin, line 3, column 'value': found 'abc'",
        "stdin, line 4: found 3 fields",
        "stdin, line 5, column 'time': found 'x'",
        "stdin, line 6: found 1 field",
        "stdin, line 7, column 'value': found 'inf'",
    ]
    assert all(warning.endswith("; the row is kept as missing") for warning in heard.warnings)


def test_bad_lines_without_times_are_counted_like_all_others() -> None:
    heard = Listened(b"1\nx\n3\n{\n" + b"9" * 2_000_000 + b"\n6\n")
    assert heard.values == [1, None, 3, None, None, 6]
    assert heard.time.tolist() == [0, 1, 2, 3, 4, 5]
    assert "found '(a line of more than 1,048,576 bytes)'" in heard.warnings[2]


def test_bad_json_lines_are_kept_as_missing_rows() -> None:
    bad = b'{"t": "2024-06-01", "v": [1]}\n[1]\n{"t": "2024-06-02"\n{"v": 2}\n'
    heard = Listened(b'{"t": "2024-05-31", "v": 1}\n' + bad + b'{"t": "2024-06-03", "v": 3}\n')
    assert heard.values == [1, None, None, None, None, 3]
    assert [str(time)[5:10] for time in heard.time] == ["05-31", "06-01", "06-01", "06-01", "06-01", "06-03"]
    assert len(heard.warnings) == 4


def test_times_that_do_not_ascend_are_warned_about_once() -> None:
    heard = Listened(b"1,0\n", b"3,0\n", b"2,0\n", b"1,0\n")
    assert heard.time.tolist() == [1, 3, 2, 1]
    assert [warning.split(";")[0] for warning in heard.warnings] == ["stdin, line 3: time 2 is not after 3 (1 such row)"]


def test_a_header_that_is_repeated_is_passed_over() -> None:
    heard = Listened(b"time,value\ntime,value\n1,5\ntime,value\n2,6\n")
    assert (heard.values, heard.warnings) == ([5, 6], [])


def test_a_last_line_that_is_cut_off_is_left_out_with_a_warning() -> None:
    heard = Listened(b"2024-05-31,1\n2024-06-01,2\n2024-06")
    assert heard.values == [1, 2]
    assert heard.warnings == [
        "stdin, line 3: found 1 field; every row must have as many as the first line, 2; the line is cut off and left out"
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "stdin is empty; it must hold at least one row with a number"),
        (b"\n\n", "stdin is empty; it must hold at least one row with a number"),
        (b"hello\n", "stdin: found a header ('hello') and no rows; rows of numbers must follow it"),
        (b"hello\nworld\n1\n", "stdin has no column of numbers besides time and labels, only hello; give one with numbers"),
        (b"time,value\nsoon,1\n2,2\n", "stdin, line 2, column 'time': found 'soon'; every time must be ISO 8601"),
        (b"time,value\n1,x\n2,2\n", "stdin, line 2, column 'value': found 'x'; every value must be a number"),
        (b"time,value\n1\n2,2\n", "stdin, line 2: found 1 field; every row must have as many as the first line, 2"),
        (b'{"a": 1, "b": 2}\n', "stdin has several columns of numbers (a, b); choose with --column NAME"),
        (b'{"host": "web"}\n', "stdin has no column of numbers besides time and labels, only (none); give one with numbers"),
        (b'{"value": 1\n', "stdin, line 1: found '{\"value\": 1'; every line must be a JSON object such as"),
        (b"9" * 2_000_000, "stdin, line 1: found (a line of more than 1,048,576 bytes); one row must be one line"),
    ],
)
def test_a_first_row_that_cannot_be_understood_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        StdinSource(io.BytesIO(data))
    assert str(caught.value).startswith(message)


def test_a_folder_for_stdin_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(DataError, match="stdin cannot be read \\(Is a directory\\)"):
            StdinSource(Descriptor(descriptor))
    finally:
        os.close(descriptor)


class Descriptor(io.RawIOBase, BinaryIO):  # type: ignore[misc]  # typing's BinaryIO and io's classes disagree on small things
    """A folder's descriptor as a stream; open() itself would refuse it, but a shell's "< folder" does not."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def readinto(self, buffer: Any) -> int:
        return os.readv(self._descriptor, [buffer])


def test_an_interrupt_passes_through_a_waiting_source() -> None:
    code = """
import sys
from data.live import StdinSource
source = StdinSource(sys.stdin.buffer)
try:
    for chunk in source.chunks():
        print(chunk.values[:, 0].tolist(), flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""
    program = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdin is not None
    assert program.stdout is not None
    with program:
        program.stdin.write(b"1\n2\n")
        program.stdin.flush()
        assert program.stdout.readline() == b"[1.0, 2.0]\n"
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=30) == 130


# ------------------------------------------------------------------------------------------------------------- followed files


class Followed:
    """A followed file whose writer is the test itself; ``next`` gives the values of the next chunk."""

    def __init__(self, path: Path, text: str, **arguments: Any) -> None:
        self.path = path
        self.warnings: list[str] = []
        path.write_text(text)
        patience = {"idle_timeout": 30} | arguments  # a test that waits in vain fails instead of hanging
        self.source = FollowSource(path, poll=0.005, warn=self.warnings.append, **patience)
        self._chunks = self.source.chunks()

    def append(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def when_warned(self, do: Callable[[], object]) -> None:
        """Do something, in another thread, once a warning was heard."""

        def wait() -> None:
            while not self.warnings:
                sleep(0.005)
            do()

        threading.Thread(target=wait, daemon=True).start()

    def next(self) -> list[float | None]:
        return values(next(self._chunks))

    def rest(self) -> list[float | None]:
        return [value for chunk in self._chunks for value in values(chunk)]


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Any]:
    """Follow a new file "cpu.log" that starts with the given text."""
    opened: list[Followed] = []

    def start(text: str, **arguments: Any) -> Followed:
        opened.append(Followed(tmp_path / "cpu.log", text, **arguments))
        return opened[-1]

    yield start
    for followed in opened:
        followed.source.close()


def test_what_is_there_comes_first_and_then_what_is_appended(follow: Any) -> None:
    log = follow("time,value\n1,5\n2,6\n")
    assert (log.source.name, log.source.columns, log.source.points, log.source.timezone) == ("cpu.log", ("value",), None, None)
    assert log.next() == [5, 6]
    log.append("3,7\n")
    assert log.next() == [7]


def test_half_a_line_waits_for_its_end(follow: Any) -> None:
    log = follow("1\n2")
    assert log.next() == [1]
    log.append("5\n3\n")
    assert log.next() == [25, 3]


def test_only_new_rows_come_when_not_from_the_start(follow: Any) -> None:
    log = follow("time,value\n1,5\n2,6\n3,", from_start=False)
    assert log.source.columns == ("value",)
    log.append("7\n4,bad\n")
    assert log.next() == [7, None]
    assert [warning.split(";")[0] for warning in log.warnings] == ["cpu.log, line 5, column 'value': found 'bad'"]


def test_rows_without_times_are_counted_from_the_first_new_one(follow: Any) -> None:
    log = follow("5\n6\n7\n", from_start=False, idle_timeout=0.05)
    log.append("8\n9\n")
    assert [chunk.time.tolist() for chunk in log.source.chunks()] == [[0, 1]]


def test_a_file_without_rows_is_waited_for_even_when_not_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "cpu.log"
    path.write_text("time,value\n")
    script = f"for i in $(seq 1 400); do echo $i,5 >> {path}; sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", script]) as writer:
        source = FollowSource(path, poll=0.005, from_start=False)
        assert values(next(source.chunks()))[0] == 5
        source.close()
        writer.kill()


def test_a_rotated_file_is_finished_before_the_new_one_is_read(follow: Any) -> None:
    log = follow("time,value\n1,5\n")
    assert log.next() == [5]
    with log.path.open("a") as still_open:
        log.path.rename(log.path.with_suffix(".1"))
        log.path.write_text("time,value\n4,8\n")
        still_open.write("2,6\n3,7")  # the writer has not heard of the rotation yet, and stops in the middle of a line
    assert log.next() == [6]
    assert log.next() == [7]
    assert log.next() == [8]
    assert log.warnings == []


def test_a_new_file_may_have_its_columns_in_another_order(follow: Any) -> None:
    log = follow("time,cpu,disk\n1,5,0\n", columns=["cpu"])
    assert log.next() == [5]
    log.path.unlink()
    log.path.write_text("disk,new,cpu,time\n0,0,6,2\n")
    assert log.next() == [6]
    log.path.unlink()
    log.path.write_text("0,0,7,3\n")
    assert log.next() == [7]
    assert log.warnings == []


def test_a_new_file_of_other_columns_gives_missing_rows_and_warnings(follow: Any) -> None:
    log = follow("time,cpu\n1,5\n", columns=["cpu"])
    assert log.next() == [5]
    log.path.unlink()
    log.path.write_text("time,memory\n")
    assert log.next() == [None]
    assert [warning.split(";")[0] for warning in log.warnings] == ["cpu.log, line 1, column 'cpu': found 'memory'"]


def test_a_file_that_is_cut_is_read_from_its_start_again(follow: Any) -> None:
    log = follow("value\n5\n6\n7")
    assert log.next() == [5, 6]
    os.truncate(log.path, 0)
    log.when_warned(lambda: log.append("value\n8\n"))
    assert log.next() == [8]
    assert log.warnings == ["cpu.log was cut from 11 to 0 bytes; it is read from its start again"]


def test_a_file_that_is_away_is_waited_for_and_missed_once(follow: Any) -> None:
    log = follow("5\n")
    assert log.next() == [5]
    log.path.unlink()

    def come_back() -> None:
        log.path.with_suffix(".new").write_text("6\n")
        log.path.with_suffix(".new").rename(log.path)

    log.when_warned(come_back)
    assert log.next() == [6]
    assert log.warnings == [f"{log.path} is gone or may not be read; waiting for it to come back"]


def test_a_quiet_file_ends_the_stream_after_its_timeout_with_the_last_line(follow: Any) -> None:
    log = follow("1,5\n2,6", idle_timeout=0.05)
    assert log.rest() == [5, 6]
    log = follow("1,5\n2", idle_timeout=0)
    assert log.rest() == [5]
    assert [warning.split(";")[0] for warning in log.warnings] == ["cpu.log, line 2: found 1 field"]


def test_rotation_by_another_process_loses_no_row(tmp_path: Path) -> None:
    path = tmp_path / "cpu.log"
    path.write_text("time,value\n0,0\n")
    script = f"""
        for i in $(seq 1 300); do
            if [ $((i % 50)) = 0 ]; then mv {path} {path}.$i; echo time,value > {path}; fi
            echo "$i,$i" >> {path}
            if [ $((i % 50)) = 0 ]; then read go_on; fi
        done"""
    warnings: list[str] = []
    source = FollowSource(path, poll=0.001, warn=warnings.append, idle_timeout=30)
    seen: list[float | None] = []
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        for chunk in source.chunks():
            seen += values(chunk)
            if seen[-1] == 300:
                break
            if seen[-1] and seen[-1] % 50 == 0:  # the new file is open: the next rotation cannot overtake it
                writer.stdin.write(b"go on\n")
                writer.stdin.flush()
    source.close()
    assert seen == list(range(301))
    assert all("is gone" in warning for warning in warnings)  # between mv and echo


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cpu.log is empty; it must hold at least one row with a number"),
        ("time,value\n", "cpu.log: found a header ('time,value') and no rows; rows of numbers must follow it"),
        ("time,value\nx,1\n", "cpu.log, line 2, column 'time': found 'x'; every time must be ISO 8601"),
        ("time,value\n1,", None),
    ],
)
def test_a_followed_file_needs_a_first_row_that_is_understood(follow: Any, text: str, message: str | None) -> None:
    if message is None:
        assert follow(text, idle_timeout=0).next() == [None]
        return
    with pytest.raises(InputError) as caught:
        follow(text, idle_timeout=0)
    assert str(caught.value).startswith(message)


def test_paths_that_cannot_be_followed_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path / "no.log", "no such file; check the path"),
        (tmp_path, "is a folder; give the path of one file in it"),
        (tmp_path / "pipe", "is no regular file and cannot be followed; pipe it into --source stdin instead"),
    ]:
        with pytest.raises(InputError) as caught:
            FollowSource(path)
        assert str(caught.value).endswith(message)
