"""Reading NAB and UCR folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoencoder.benchmark.nab import nab_files
from autoencoder.benchmark.ucr import UcrFile, read_ucr_file, ucr_files
from autoencoder.core.errors import InputError

CSV = "timestamp,value\n2014-04-01 00:00:00,1.5\n2014-04-01 00:05:00,\n2014-04-01 00:10:00,-3\n2014-04-01 00:15:00,4e2\n"
WINDOW = ["2014-04-01 00:05:00.000000", "2014-04-01 00:10:00.000000"]
EARLY = ["2014-04-01 00:00:00", "2014-04-01 00:00:00"]
VALUES = "1\n2\n3\n4\n5\n6\n7\n8\n"


def nab_folder(path: Path, text: str = CSV, windows: object = (WINDOW,), labels: bytes | None = None) -> Path:
    """A NAB folder with one file, and labels of this one and of another."""
    (path / "data/real").mkdir(parents=True)
    (path / "labels").mkdir()
    (path / "data/real/cpu.csv").write_text(text)
    known = json.dumps({"real/cpu.csv": windows, "gone": [WINDOW]}).encode()
    (path / "labels/combined_windows.json").write_bytes(known if labels is None else labels)
    return path


def ucr_folder(path: Path, name: str = "some_name2_3_5_7.txt", text: str = VALUES) -> Path:
    (path / f"007_UCR_Anomaly_{name}").write_text(text)
    return path


def test_nab_file_with_windows_and_labels(tmp_path: Path) -> None:
    (file,) = nab_files(nab_folder(tmp_path, windows=[WINDOW, EARLY]))
    assert file.name == "real/cpu.csv"
    assert file.windows[0] == (np.datetime64("2014-04-01T00:00:00", "ns"),) * 2  # in order of time
    assert file.windows[1] == (np.datetime64("2014-04-01T00:05:00", "ns"), np.datetime64("2014-04-01T00:10:00", "ns"))
    series = file.read()
    assert series.time.dtype == np.dtype("datetime64[ns]")
    assert series.time[3] == np.datetime64("2014-04-01T00:15:00")
    np.testing.assert_array_equal(series.values[:, 0], [1.5, np.nan, -3, 400])
    assert series.labels is not None and series.labels.tolist() == [True, True, True, False]


def test_columns_go_by_name_and_time_may_jump(tmp_path: Path) -> None:
    text = "\ufeffvalue,unit,timestamp\r\n7,s,2014-04-01 00:05:00\r\n\r\n8,s,2014-04-01 00:00:00\r\n"
    series = nab_files(nab_folder(tmp_path, text, []))[0].read()
    assert series.values[:, 0].tolist() == [7, 8]
    assert series.labels is not None and not series.labels.any()


@pytest.mark.parametrize("text", [VALUES, "  1.0e0  2 3 4\t5 6 7 8"])
def test_ucr_file_is_one_column_or_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.txt").touch()
    (file,) = ucr_files(ucr_folder(tmp_path, text=text))
    assert (file.train, file.begin, file.end) == (3, 5, 7)
    assert read_ucr_file(file).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(("end", "tolerance"), [(1010, 100), (1300, 300)])
def test_hit_within_100_points_or_its_length(end: int, tolerance: int) -> None:
    file = UcrFile(Path(), 500, 1000, end)
    places = (1000 - tolerance - 1, 1000 - tolerance, end + tolerance, end + tolerance + 1)
    assert [file.is_hit(place) for place in places] == [False, True, True, False]


def read_all_nab(path: Path) -> None:
    for file in nab_files(path):
        file.read()


def read_all_ucr(path: Path) -> None:
    for file in ucr_files(path):
        read_ucr_file(file)


BROKEN_NAB: list[tuple[dict[str, object], str]] = [
    (
        {"text": CSV.replace("-3", "abc")},
        r"cpu\.csv, line 4, column 'value': found 'abc'; every value must be a number, or empty",
    ),
    ({"text": CSV.replace("-3", "inf")}, r"cpu\.csv, line 4, column 'value': found 'inf'"),
    ({"text": CSV.replace("2014-04-01 00:10:00", "noon")}, r"cpu\.csv, line 4, column 'timestamp': found 'noon'"),
    ({"text": CSV.replace("2014-04-01 00:10:00", "")}, r"cpu\.csv, line 4, column 'timestamp': found ''"),
    ({"text": CSV.replace("1.5", "1,5")}, r"cpu\.csv, line 2"),
    ({"text": CSV.replace("value", "cpu")}, r"cpu\.csv.* 'value'"),
    ({"text": "timestamp,value\n1,2\n"}, r"cpu\.csv: the column 'timestamp' holds numbers"),
    ({"text": "timestamp,value\n"}, r"cpu\.csv"),
    ({"text": ""}, r"cpu\.csv"),
    ({"windows": "all"}, r"'real/cpu\.csv': found 'all'; it must be a list"),
    ({"windows": [["2014-04-01 00:05:00"]]}, r"a window is a pair such as"),
    ({"windows": [["2014-04-01 00:05:00", 7]]}, r"a window is a pair such as"),
    ({"windows": [["2014-04-01 00:05:00", "noon"]]}, r"a window is a pair such as"),
    ({"windows": [7]}, r"found 7; a window is a pair such as"),
    ({"windows": [WINDOW[::-1]]}, r"ends before it starts; swap the two"),
    ({"windows": [WINDOW, WINDOW]}, r"windows must not overlap"),
    ({"labels": b"{\n oops"}, r"combined_windows\.json, line 2: not JSON"),
    ({"labels": b"[]"}, r"combined_windows\.json: found list at the top"),
    ({"labels": b"{}"}, r"combined_windows\.json: no entry 'real/cpu\.csv'; every file needs one"),
    ({"labels": b"\xff\xfe"}, r"combined_windows\.json: cannot be read .* UTF-8"),
]
BROKEN_UCR: list[tuple[dict[str, object], str]] = [
    ({"name": "x_3_5.txt"}, r"x_3_5\.txt: the name does not tell train, begin and end; files are named"),
    ({"name": "x_3_5_end.txt"}, r"the name does not tell train, begin and end"),
    ({"name": "x_6_5_7.txt"}, r"the name says train 6, begin 5, end 7; it must be 0 < train <= begin <= end"),
    ({"name": "x_3_7_5.txt"}, r"the name says train 3, begin 7, end 5"),
    ({"name": "x_0_5_7.txt"}, r"the name says train 0"),
    ({"text": "1\n2\nabc\n"}, r"name2_3_5_7\.txt, line 3: found 'abc'; every value must be a number"),
    ({"text": "1\n2 inf\n"}, r"line 2: found 'inf'; every value must be a number"),
    ({"text": "1\n2\n3\n4\n5\n6\n"}, r"name2_3_5_7\.txt: found 6 values; the name says that the anomaly ends at 7"),
    ({"text": ""}, r"found 0 values"),
]
BROKEN = [(read_all_nab, nab_folder, *case) for case in BROKEN_NAB] + [(read_all_ucr, ucr_folder, *case) for case in BROKEN_UCR]


@pytest.mark.parametrize(("read", "make", "options", "message"), BROKEN)
def test_broken_folder(
    tmp_path: Path, read: Callable[[Path], None], make: Callable[..., Path], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(make(tmp_path, **options))


def test_missing_or_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "empty/data").mkdir(parents=True)
    (nab_folder(tmp_path / "unlabelled") / "labels/combined_windows.json").unlink()
    for read, folder, message in (
        (nab_files, "nowhere", r"nowhere: no such folder; a NAB folder holds data/<category>"),
        (nab_files, "", r"data: no such folder"),
        (nab_files, "empty", r"data: found no file <category>/<file>\.csv"),
        (nab_files, "unlabelled", r"combined_windows\.json: no such file"),
        (ucr_files, "nowhere", r"nowhere: no such folder; files are named NNN_UCR_Anomaly"),
        (ucr_files, "", r"found no series; files are named NNN_UCR_Anomaly"),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path / folder)
