"""Reading NAB and UCR folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autoencoder.benchmark.datasets import UcrFile, nab_files, read_nab_file, read_ucr_file, ucr_files
from autoencoder.core.errors import InputError

CSV = "timestamp,value\n2014-04-01 00:00:00,1.5\n2014-04-01 00:05:00,\n2014-04-01 00:10:00,-3\n2014-04-01 00:15:00,4e2\n"
WINDOW = ["2014-04-01 00:05:00.000000", "2014-04-01 00:10:00.000000"]
EARLY = ["2014-04-01 00:00:00", "2014-04-01 00:00:00"]


def nab_folder(path: Path, text: str = CSV, windows: object = (WINDOW,), **others: object) -> Path:
    """A NAB folder with one file, and labels of this one and of others."""
    (path / "data/real").mkdir(parents=True)
    (path / "labels").mkdir()
    (path / "data/real/cpu.csv").write_text(text)
    (path / "labels/combined_windows.json").write_text(json.dumps({"real/cpu.csv": windows, **others}))
    return path


def ucr_folder(path: Path, name: str = "007_UCR_Anomaly_some_name2_3_5_7.txt", text: str = "1\n2\n3\n4\n5\n6\n7\n8\n") -> Path:
    (path / name).write_text(text)
    return path


def test_nab_file_with_windows_and_labels(tmp_path: Path) -> None:
    (file,) = nab_files(nab_folder(tmp_path, windows=[WINDOW, EARLY], gone=[WINDOW]))
    assert file.name == "real/cpu.csv"
    assert file.windows[0] == (np.datetime64("2014-04-01T00:00:00", "ns"),) * 2  # in order of time
    assert file.windows[1] == (np.datetime64("2014-04-01T00:05:00", "ns"), np.datetime64("2014-04-01T00:10:00", "ns"))
    series = read_nab_file(file)
    assert series.timestamps.dtype == np.dtype("datetime64[ns]")
    assert series.timestamps[3] == np.datetime64("2014-04-01T00:15:00")
    np.testing.assert_array_equal(series.values, [1.5, np.nan, -3, 400])
    assert series.labels.tolist() == [True, True, True, False]


def test_columns_go_by_name_and_time_may_jump(tmp_path: Path) -> None:
    text = "\ufeffvalue,unit,timestamp\r\n7,s,2014-04-01 00:05:00\r\n\r\n8,s,2014-04-01 00:00:00\r\n"
    series = read_nab_file(nab_files(nab_folder(tmp_path, text, []))[0])
    assert series.values.tolist() == [7, 8]
    assert not series.labels.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV.replace("-3", "abc"), r"cpu\.csv, line 4, column 'value': found 'abc'; every value must be a number, or empty"),
        (CSV.replace("-3", "inf"), r"cpu\.csv, line 4, column 'value': found 'inf'"),
        (CSV.replace("2014-04-01 00:10:00", "noon"), r"cpu\.csv, line 4, column 'timestamp': found 'noon'"),
        (CSV.replace("2014-04-01 00:10:00", ""), r"cpu\.csv, line 4, column 'timestamp': found ''"),
        (CSV.replace("1.5", "1,5"), r"cpu\.csv, line 2"),
        (CSV.replace("value", "cpu"), r"cpu\.csv.* 'value'"),
        ("timestamp,value\n1,2\n", r"cpu\.csv: the column 'timestamp' holds numbers"),
        ("timestamp,value\n", r"cpu\.csv"),
        ("", r"cpu\.csv"),
    ],
)
def test_broken_nab_file(tmp_path: Path, text: str, message: str) -> None:
    (file,) = nab_files(nab_folder(tmp_path, text))
    with pytest.raises(InputError, match=message):
        read_nab_file(file)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ("all", r"'real/cpu\.csv': found 'all'; it must be a list"),
        ([["2014-04-01 00:05:00"]], r"a window is a pair such as"),
        ([["2014-04-01 00:05:00", 7]], r"a window is a pair such as"),
        ([["2014-04-01 00:05:00", "noon"]], r"a window is a pair such as"),
        ([7], r"found 7; a window is a pair such as"),
        ([WINDOW[::-1]], r"ends before it starts; swap the two"),
        ([WINDOW, WINDOW], r"windows must not overlap"),
    ],
)
def test_broken_windows(tmp_path: Path, windows: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nab_files(nab_folder(tmp_path, windows=windows))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (b"{\n oops", r"combined_windows\.json, line 2: not JSON"),
        (b"[]", r"combined_windows\.json: found list at the top"),
        (b"{}", r"combined_windows\.json: no entry 'real/cpu\.csv'; every file needs one"),
        (b"\xff\xfe", r"combined_windows\.json: cannot be read .* UTF-8"),
        (None, r"combined_windows\.json: no such file"),
    ],
)
def test_broken_labels(tmp_path: Path, labels: bytes | None, message: str) -> None:
    path = nab_folder(tmp_path) / "labels/combined_windows.json"
    path.unlink() if labels is None else path.write_bytes(labels)
    with pytest.raises(InputError, match=message):
        nab_files(tmp_path)


def test_missing_or_empty_folders(tmp_path: Path) -> None:
    for files, layout in ((nab_files, "a NAB folder holds data/<category>"), (ucr_files, "files are named NNN_UCR_Anomaly")):
        with pytest.raises(InputError, match=f"nowhere: no such folder; {layout}"):
            files(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"data: no such folder"):
        nab_files(tmp_path)
    with pytest.raises(InputError, match=r"found no series; files are named NNN_UCR_Anomaly"):
        ucr_files(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=r"data: found no file <category>/<file>\.csv"):
        nab_files(tmp_path)


@pytest.mark.parametrize("text", ["1\n2\n3\n4\n5\n6\n7\n8\n", "  1.0e0  2 3 4\t5 6 7 8"])
def test_ucr_file_is_one_column_or_one_line(tmp_path: Path, text: str) -> None:
    (file,) = ucr_files(ucr_folder(tmp_path, text=text))
    assert (file.train, file.begin, file.end) == (3, 5, 7)
    assert read_ucr_file(file).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_ucr_files_come_by_name(tmp_path: Path) -> None:
    names = ("002_UCR_Anomaly_b_3_5_7.txt", "001_UCR_Anomaly_c_3_5_7.txt", "README.txt", "results.csv")
    for name in names:
        ucr_folder(tmp_path, name)
    assert [file.path.name for file in ucr_files(tmp_path)] == [names[1], names[0]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x_3_5.txt", r"x_3_5\.txt: the name does not tell train, begin and end; files are named"),
        ("x_3_5_end.txt", r"the name does not tell train, begin and end"),
        ("x_6_5_7.txt", r"the name says train 6, begin 5, end 7; it must be 0 < train <= begin <= end"),
        ("x_3_7_5.txt", r"the name says train 3, begin 7, end 5"),
        ("x_0_5_7.txt", r"the name says train 0"),
    ],
)
def test_malformed_ucr_name(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ucr_files(ucr_folder(tmp_path, f"007_UCR_Anomaly_{name}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\nabc\n", r"name2_3_5_7\.txt, line 3: found 'abc'; every value must be a number"),
        ("1\n2 inf\n", r"line 2: found 'inf'; every value must be a number"),
        ("1\n2\n3\n4\n5\n6\n", r"name2_3_5_7\.txt: found 6 values; the name says that the anomaly ends at 7"),
        ("", r"found 0 values"),
    ],
)
def test_broken_ucr_file(tmp_path: Path, text: str, message: str) -> None:
    (file,) = ucr_files(ucr_folder(tmp_path, text=text))
    with pytest.raises(InputError, match=message):
        read_ucr_file(file)


@pytest.mark.parametrize(("end", "tolerance"), [(1010, 100), (1300, 300)])
def test_hit_within_100_points_or_its_length(end: int, tolerance: int) -> None:
    file = UcrFile(Path(), 500, 1000, end)
    places = (1000 - tolerance - 1, 1000 - tolerance, end + tolerance, end + tolerance + 1)
    assert [file.is_hit(place) for place in places] == [False, True, True, False]
