"""Csv, gzip and parquet files: what they give, and what they are refused for."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.chunks import collect, first_column

from autoencoder.core.errors import InputError
from autoencoder.sources.chunk import ignore
from autoencoder.sources.files import FileSource
from autoencoder.sources.schema import ColumnSelection
from autoencoder.sources.several import SeveralFiles

Save = Callable[[str, str | bytes], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a file of the given name and content; give its path."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "x.parquet", row_group_size=2)
    return folder / "x.parquet"


def read(path: Path, *, chunk_size: int = 4, warn: Any = ignore, max_bytes: int = 1 << 32, **columns: Any) -> FileSource:
    return FileSource(path, ColumnSelection(**columns), chunk_size, warn, max_bytes)


def refusal(path: Path, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **arguments)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what they give ---


def test_a_file_gives_all_its_points_in_chunks(save: Save) -> None:
    source = read(save("cpu.csv", "timestamp,value,label\n" + "\n".join(f"{row},{row * 10},{row % 2}" for row in range(10))))
    assert (source.name, source.columns, source.length, source.timezone) == ("cpu.csv", ("value",), 10, None)
    assert (source.rewindable, source.mutable, source.throttled, source.events(10)) == (True, False, False, [])
    assert [chunk.time.tolist() for chunk in source.chunks()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [chunk.time.tolist() for chunk in source.chunks(start=3)] == [[3], [4, 5, 6, 7], [8, 9]]
    assert [chunk.time.tolist() for chunk in source.chunks(start=8)] == [[8, 9]]
    assert list(source.chunks(start=10)) == []
    assert first_column(collect(source)) == [row * 10 for row in range(10)]
    assert collect(source).labels is None
    assert np.array_equal(
        collect(read(save("cpu.csv", "value,label\n5,0\n6,1\n7,0"), label="label")).labels, [False, True, False]
    )


def test_gzip_is_told_by_content(save: Save) -> None:
    text = b"value\n1\n2\n"
    packed = gzip.compress(text, mtime=0)
    for name, content in (("a.csv.gz", packed), ("b.csv", packed), ("c.csv.gz", text)):
        assert first_column(collect(read(save(name, content)))) == [1, 2]


def test_a_bad_row_is_found_across_blocks(save: Save) -> None:
    rows = [f"2024-01-01T00:00:00.{row:06},{row / 7!r}" for row in range(20_000)]
    whole = collect(read(save("long.csv", "time,value\n" + "\n".join(rows))))
    np.testing.assert_array_equal(whole.values[:, 0], np.arange(20_000) / 7)
    np.testing.assert_array_equal(whole.time, np.datetime64("2024-01-01") + np.arange(20_000).astype("timedelta64[us]"))
    rows[18_999] = rows[18_999].replace(",", ",x")
    found = refusal(save("long.csv", "time,value\n" + "\n".join(rows)))
    assert found.startswith("long.csv, line 19001, column 'value': found 'x2714.1428571428573'; every value must be a number")


def test_times_out_of_order_give_one_warning(save: Save, tmp_path: Path) -> None:
    warnings: list[str] = []
    table = read(save("cpu.csv", "time,value\n1,0\n3,5\n3,6\n2,7\n"), warn=warnings.append)
    assert first_column(collect(table)) == [0, 5, 6, 7]
    read(parquet(tmp_path, time=[1, 1], value=[1, 2]), warn=warnings.append)
    remedy = "rows are judged in file order; sort the file or choose another --time-column"
    assert warnings == [
        f"cpu.csv, line 4: time 3 is not after 3 (2 such rows); {remedy}",
        f"x.parquet, row 2: time 1 is not after 1 (1 such row); {remedy}",
    ]


def test_a_pipe_can_be_read_like_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", f"printf 'value\\n1\\n2\\n' > {tmp_path}/pipe"])
    assert read(tmp_path / "pipe").length == 2
    assert writer.wait() == 0


# --- series ---

HOSTS = ["b", "a", "b", None, "a ", "b"]
NUMBERS = [1.0, 2.0, None, 4.0, 5.0, 6.0]
BY_HOST = (("b", "a", ""), [0, 1, 0, 2, 1, 0])


def series_of(path: Path, column: str) -> tuple[tuple[str, ...], list[int]]:
    source = read(path, columns=["value"], time="at", series=column)
    whole = collect(source)
    assert whole.series is not None and first_column(whole) == NUMBERS
    return tuple(source.series), whole.series.tolist()


def test_every_kind_of_file_names_the_series(save: Save, tmp_path: Path) -> None:
    rows = [{"at": at, "value": number, "host": host} for at, (host, number) in enumerate(zip(HOSTS, NUMBERS, strict=True))]
    cells = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows]
    assert series_of(save("x.csv", "at,value,host\n" + "\n".join(cells)), "host") == BY_HOST
    assert series_of(save("x.jsonl", "\n".join(map(json.dumps, rows))), "host") == BY_HOST
    encoded = pa.array(HOSTS).dictionary_encode()
    twice = pa.DictionaryArray.from_arrays(pa.array([3, 1, 0, None, 1, 3]), pa.array(["b", "a ", "unused", "b"]))
    columns = {"at": np.arange(6), "value": pa.array(NUMBERS), "host": HOSTS, "coded": encoded, "twice": twice}
    path = parquet(tmp_path, **columns, id=[7, 8, 7, 9, 8, 7])
    assert [series_of(path, column) for column in ("host", "coded", "twice")] == [BY_HOST] * 3
    assert series_of(path, "id") == (("7", "8", "9"), BY_HOST[1])


def test_times_must_ascend_within_a_series_only(save: Save) -> None:
    warnings: list[str] = []
    for rows in ("1,a\n1,b\n2,a\n2,b\n", "1,b\n2,b\n1,a\n2,a\n", "1,a\n2,b\n2,a\n1,b\n"):
        read(save("x.csv", "time,host,value\n" + rows.replace("\n", ",0\n")), series="host", warn=warnings.append)
    assert [warning.split(";")[0] for warning in warnings] == ["x.csv, line 5: time 1 is not after 2 (1 such row)"]


def test_too_many_series_or_long_names_are_refused(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoencoder.sources.schema.MAX_SERIES", 3)
    words = "column 'host': found 'host-3'; at most 10,000 series are judged together"
    path = save("x.csv", "host,value\n" + "".join(f"host-{row % 4},{row}\n" for row in range(9)))
    assert refusal(path, series="host").startswith(f"x.csv, line 5, {words}")
    path = parquet(tmp_path, host=[f"host-{row % 4}" for row in range(9)], value=range(9))
    assert refusal(path, series="host").startswith(f"x.parquet, row 4, {words}")
    path = save("x.csv", "host,value\na,1\n" + "b" * 201 + ",1\n")
    assert f"'{'b' * 39}…'; the name of a series has 200 characters at most" in refusal(path, series="host")


def test_several_files_are_series(save: Save) -> None:
    one, two = save("a.csv", "time,value\n1,5\n2,6\n"), save("b.csv", "time,value\n1,7\n")
    source = SeveralFiles([read(one), read(two)])
    whole = collect(source)
    assert (source.name, source.columns, source.length, list(source.series)) == ("a.csv and 1 more", ("value",), 3, ["a", "b"])
    assert whole.series is not None and whole.series.tolist() == [0, 0, 1]
    assert first_column(whole) == [5, 6, 7]
    assert collect(source, 2).values.tolist() == [[7]]
    two = save("b.csv", "time,host,value\n1,x,7\n1,y,8\n")
    assert list(SeveralFiles([read(two, series="host"), read(two, series="host")]).series) == [
        *(f"{two} {host}" for host in ("x", "y", "x", "y")),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,cpu\n1,7\n", "has the columns cpu and "),
        ("time,value\n2024-01-01,7\n", "has times without a zone and "),
        ("time,value\n2024-01-01T00:00Z,7\n", "has times with the zone UTC and "),
    ],
)
def test_files_that_do_not_go_together_are_refused(save: Save, text: str, message: str) -> None:
    one, two = save("a.csv", "time,value\n1,5\n"), save("b.csv", text)
    with pytest.raises(InputError, match=message):
        SeveralFiles([read(one), read(two)])


# --- what they are refused for ---


def test_paths_that_are_no_readable_file_are_refused(tmp_path: Path, save: Save) -> None:
    assert refusal(tmp_path / "no.csv") == f"{tmp_path}/no.csv: no such file; check the path"
    assert refusal(tmp_path) == f"{tmp_path} is a folder; give the path of one file in it"
    assert "cannot be read (File name too long)" in refusal(tmp_path / ("x" * 300))
    assert "cannot be read (Not a directory)" in refusal(Path(__file__) / "x.csv")
    assert "cannot be read (embedded null byte)" in refusal(tmp_path / "a\0b")
    path = save("secret.csv", "1\n")
    with without_rights(path):
        assert refusal(path).startswith(f"{path}: permission to read is denied;")


@contextmanager
def without_rights(path: Path) -> Iterator[None]:
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything, nobody may not
    try:
        yield
    finally:
        os.seteuid(user)


PACKED = gzip.compress(b"1\n2\n" * 9, mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " is empty; it must hold at least one row with a number"),
        (b"\xef\xbb\xbf", " is empty; it must hold at least one row with a number"),
        (b"a,value\n1,2\n1,2,3\n", ", line 3: found 3 fields; every row must have as many as the first line, 2"),
        (b"\x89PNG\r\n\x1a\n\0\0", ", line 1: found the byte 0x89, which is not UTF-8; the file must be UTF-8 text, plain or gz"),
        ("1\n2\n".encode("utf-16-le"), ", line 1: found a zero byte; the file must be UTF-8 text, not binary or UTF-16 without"),
        (PACKED[:-4], " is a damaged gzip file (Compressed file ended before the end-of-stream marker"),
        (PACKED[:-8] + b"\0" * 8, " is a damaged gzip file (CRC check failed"),
        (b"\x1f\x8b\x07\0\0\0\0\0\0\0", " is a damaged gzip file (Unknown compression method"),
        (PACKED[:10] + b"\xff" * 20, " is a damaged gzip file (Error -3 while decompressing data"),
        (gzip.compress(b"1\n" * 4_000_000, mtime=0), " holds more than 1,000,000 bytes of rows; split it into smaller files"),
        (b"1," + b" " * 999_999, " holds more than 1,000,000 bytes of text; split it into smaller files"),
    ],
)
def test_content_that_is_no_table_is_refused(save: Save, content: bytes, message: str) -> None:
    assert refusal(save("x.csv", content), max_bytes=1_000_000).startswith("x.csv" + message)


# --- parquet ---

NOON = 1_717_156_800  # 2024-05-31T12:00:00Z


@pytest.mark.parametrize(
    ("times", "zone"),
    [
        (pa.array([NOON, NOON + 1], pa.timestamp("s")), None),
        (pa.array([NOON * 10**3, NOON * 10**3 + 1000], pa.timestamp("ms", tz="Europe/Paris")), "Europe/Paris"),
        (pa.array([NOON * 10**9, NOON * 10**9 + 10**9], pa.timestamp("ns", tz="+00:00")), "UTC"),
        (pa.array([NOON, NOON + 1]), "UTC"),
        (pa.array([NOON + 0.0, NOON + 1.0]), "UTC"),
        (pa.array(["2024-05-31T14:00+02:00", "2024-05-31T14:00:01+02:00"]), "+02:00"),
    ],
)
def test_parquet_times_are_read_in_utc(tmp_path: Path, times: Any, zone: str | None) -> None:
    source = read(parquet(tmp_path, time=times, host=["a", "b"], value=[1.0, None]), series="host")
    whole = collect(source)
    assert source.timezone == zone
    np.testing.assert_array_equal(whole.time, np.array(["2024-05-31T12:00:00", "2024-05-31T12:00:01"], "datetime64[ns]"))
    np.testing.assert_array_equal(whole.values, [[1.0], [np.nan]])
    chunk = next(source.chunks())
    assert chunk.series is not None and all(array.flags.writeable for array in (chunk.time, chunk.values, chunk.series))


def test_parquet_columns_are_found_like_csv_ones(tmp_path: Path) -> None:
    days = [date(2024, 5, day) for day in (1, 2, 3)]
    columns = {"when": days, "cpu": pa.array([1, None, 3], pa.int8()), "host": ["a"] * 3, "anomaly": [False, True, False]}
    source = read(parquet(tmp_path, **columns), label="anomaly", chunk_size=2)
    assert (source.name, source.columns, source.length, source.timezone) == ("x.parquet", ("cpu",), 3, None)
    whole = collect(source)
    assert np.array_equal(whole.labels, [False, True, False])
    assert first_column(whole) == [1, None, 3]
    np.testing.assert_array_equal(whole.time, np.array(days, "datetime64[ns]"))
    path = parquet(tmp_path, b=[1, 2, 3], a=[4.0, 5.0, 6.0], __index_level_0__=[7, 8, 9])
    whole = collect(read(path, columns=["a", "b"]))
    assert (whole.time.tolist(), whole.values.tolist()) == ([0, 1, 2], [[4, 1], [5, 2], [6, 3]])  # without times rows are counted


SECONDS = pa.timestamp("s")


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        ({"value": [1.0, np.inf]}, {}, ", row 2, column 'value': found 'inf'; every value must be a number"),
        ({"value": ["a"]}, {}, ": column 'value' holds string; choose a column of numbers with --column NAME"),
        ({"host": ["a"]}, {}, " has no column of numbers besides time and labels, only host; give one with numbers"),
        ({"time": [1, None], "value": [1, 2]}, {}, ", row 2, column 'time': found 'None'; every row must have a time"),
        ({"time": ["2024-01-01", "x"], "value": [1, 2]}, {}, ", row 2, column 'time': found 'x'; every time must be ISO 8601"),
        ({"time": [True], "value": [1]}, {}, ": column 'time' holds bool, not times; choose another one with --time-column NAME"),
        (
            {"time": pa.array([10**11], SECONDS), "value": [1]},
            {},
            ": column 'time' holds a time that is out of range; a time must lie between the years 1678 and 2261",
        ),
        ({"value": pa.array([], pa.float64())}, {}, " has columns (value) and no rows; it must hold at least one row"),
        ({}, {}, " has no column of numbers besides time and labels, only (none); give one with numbers"),
        ({"value": [1], "label": [2]}, {"label": "label"}, ", row 1, column 'label': found '2'; every label must be 0 or 1"),
        ({"value": [1], "text": ["a"]}, {"label": "text"}, ": column 'text' holds string; every label must be 0 or 1"),
        (
            {"value": [1], "host": [[1]]},
            {"series": "host"},
            ": column 'host' holds list<element: int64>, not names; choose another",
        ),
        ({"value": [0] * 1000}, {"max_bytes": 999}, " holds more than 999 bytes of values; split it into smaller files"),
    ],
)
def test_parquet_columns_of_no_use_are_refused(tmp_path: Path, columns: Any, arguments: Any, message: str) -> None:
    assert refusal(parquet(tmp_path, **columns), **arguments).startswith("x.parquet" + message)


def test_damaged_parquet_is_refused(tmp_path: Path, save: Save) -> None:
    sound = parquet(tmp_path, value=np.arange(100.0)).read_bytes()
    damaged = [b"", b"value\n1\n", sound[:-20], sound[: len(sound) // 2], b"PAR1" + bytes(50) + sound[54:]]
    for content in damaged:
        assert refusal(save("x.parquet", content)).startswith("x.parquet is not a sound parquet file (")
