"""Reading NAB and UCR folders and writing NAB results."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from autoencoder.benchmark.corpora import (
    nab_files,
    read_nab_file,
    read_nab_result,
    read_nab_results,
    read_ucr_file,
    ucr_files,
    ucr_hit,
    write_nab_result,
)
from autoencoder.benchmark.nab import nab_scores
from autoencoder.core.errors import RunError
from data.chunk import InputError

BENCHMARKS = Path(os.environ.get("BENCHMARKS", Path(__file__).resolve().parents[1] / "../shared/benchmarks"))
needs_nab = pytest.mark.skipif(not (BENCHMARKS / "nab").is_dir(), reason=f"no benchmark data at {BENCHMARKS / 'nab'}")
needs_ucr = pytest.mark.skipif(not (BENCHMARKS / "ucr").is_dir(), reason=f"no benchmark data at {BENCHMARKS / 'ucr'}")

CSV = "timestamp,value\n2014-04-01 00:00:00,1.5\n2014-04-01 00:05:00,\n2014-04-01 00:10:00,-3\n2014-04-01 00:15:00,4e2\n"
WINDOW = ["2014-04-01 00:05:00.000000", "2014-04-01 00:10:00.000000"]


def nab_folder(path: Path, text: str = CSV, windows: object = (WINDOW,)) -> Path:
    """A NAB folder with one file."""
    (path / "data/real").mkdir(parents=True)
    (path / "labels").mkdir()
    (path / "data/real/cpu.csv").write_text(text)
    (path / "labels/combined_windows.json").write_text(json.dumps({"real/cpu.csv": windows}))
    return path


def ucr_folder(path: Path, name: str = "007_UCR_Anomaly_some_name2_3_5_7.txt", text: str = "1\n2\n3\n4\n5\n6\n7\n8\n") -> Path:
    (path / name).write_text(text)
    return path


def test_a_nab_file_is_read_with_its_windows_and_labels(tmp_path: Path) -> None:
    (file,) = nab_files(nab_folder(tmp_path))
    assert file.name == "real/cpu.csv"
    assert file.windows == ((np.datetime64("2014-04-01T00:05:00", "ns"), np.datetime64("2014-04-01T00:10:00", "ns")),)
    series = read_nab_file(file)
    assert series.timestamps.dtype == np.dtype("datetime64[ns]")
    assert series.timestamps[3] == np.datetime64("2014-04-01T00:15:00")
    np.testing.assert_array_equal(series.values, [1.5, np.nan, -3, 400])
    assert series.labels.tolist() == [False, True, True, False]


def test_columns_are_found_by_name_and_blank_lines_passed_over(tmp_path: Path) -> None:
    text = "\ufeffvalue,unit,timestamp\r\n7,s,2014-04-01 00:00:00\r\n\r\n8,s,2014-04-01 00:05:00\r\n"
    series = read_nab_file(nab_files(nab_folder(tmp_path, text, []))[0])
    assert series.values.tolist() == [7, 8]
    assert not series.labels.any()


def test_windows_come_in_order_of_time(tmp_path: Path) -> None:
    early = ["2014-04-01 00:00:00", "2014-04-01 00:00:00"]
    (file,) = nab_files(nab_folder(tmp_path, windows=[WINDOW, early]))
    assert file.windows[0] < file.windows[1]


def test_labels_of_files_that_are_not_there_are_passed_over(tmp_path: Path) -> None:
    folder = nab_folder(tmp_path)
    (folder / "labels/combined_windows.json").write_text(json.dumps({"real/cpu.csv": [], "real/gone.csv": [WINDOW]}))
    assert [file.name for file in nab_files(folder)] == ["real/cpu.csv"]


def test_a_result_is_written_where_and_as_nab_expects_and_read_back(tmp_path: Path) -> None:
    (file,) = nab_files(nab_folder(tmp_path))
    series = read_nab_file(file)
    scores = np.array([np.nan, 0.1, 1 / 3, 1.0])
    path = write_nab_result(tmp_path / "out", "ours", file.name, series.timestamps, series.values, scores, series.labels)
    assert path == tmp_path / "out/ours/real/ours_cpu.csv"
    assert path.read_text().splitlines() == [
        "timestamp,value,anomaly_score,label",
        "2014-04-01 00:00:00,1.5,0.0,0",
        "2014-04-01 00:05:00,,0.1,1",
        "2014-04-01 00:10:00,-3.0,0.3333333333333333,1",
        "2014-04-01 00:15:00,400.0,1.0,0",
    ]
    result = read_nab_result(path)
    np.testing.assert_array_equal(result.timestamps, series.timestamps)
    np.testing.assert_array_equal(result.values, series.values)
    np.testing.assert_array_equal(result.anomaly_scores, [0, 0.1, 1 / 3, 1])


def test_fractions_of_a_second_survive_writing(tmp_path: Path) -> None:
    times = np.array(["2014-04-01T00:00:00.250", "2014-04-01T00:00:01"], dtype="datetime64[ns]")
    path = write_nab_result(tmp_path, "ours", "real/cpu.csv", times, np.zeros(2), np.zeros(2), np.zeros(2, dtype=bool))
    np.testing.assert_array_equal(read_nab_result(path).timestamps, times)


def test_a_result_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ours").write_text("a file where a folder must be")
    times = np.array(["2014-04-01"], dtype="datetime64[ns]")
    with pytest.raises(RunError, match=r"ours_cpu\.csv: cannot be written"):
        write_nab_result(tmp_path, "ours", "real/cpu.csv", times, np.zeros(1), np.zeros(1), np.zeros(1, dtype=bool))


def test_results_of_a_corpus_come_ready_to_score(tmp_path: Path) -> None:
    files = nab_files(nab_folder(tmp_path))
    series = read_nab_file(files[0])
    scores = np.array([0.0, 1.0, 0.0, 0.0])
    write_nab_result(tmp_path, "ours", files[0].name, series.timestamps, series.values, scores, series.labels)
    assert nab_scores(read_nab_results(tmp_path, "ours", files))["standard"].score == pytest.approx(100)
    with pytest.raises(InputError, match=r"other_cpu\.csv: no such file"):
        read_nab_results(tmp_path, "other", files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV.replace("-3", "abc"), r"cpu\.csv, line 4, column 'value': found 'abc'; every value must be a number, or empty"),
        (CSV.replace("-3", "inf"), r"cpu\.csv, line 4, column 'value': found 'inf'"),
        (CSV.replace("2014-04-01 00:10:00", "noon"), r"cpu\.csv, line 4, column 'timestamp': found 'noon'"),
        (CSV.replace("2014-04-01 00:10:00", ""), r"cpu\.csv, line 4, column 'timestamp': found ''"),
        (CSV.replace("1.5", "1,5"), r"cpu\.csv, line 2: found 3 fields; there must be 2"),
        (CSV.replace("value", "cpu"), r"cpu\.csv, line 1: found the columns timestamp,cpu; there must be a column 'value'"),
        ("timestamp,value\n", r"cpu\.csv: found no row below the header"),
        ("", r"cpu\.csv: found no row below the header"),
    ],
)
def test_a_broken_nab_file_is_named_with_line_and_finding(tmp_path: Path, text: str, message: str) -> None:
    (file,) = nab_files(nab_folder(tmp_path, text))
    with pytest.raises(InputError, match=message):
        read_nab_file(file)


def test_a_nab_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (file,) = nab_files(nab_folder(tmp_path))
    file.path.write_bytes(b"\x1f\x8b\xff\xfe")
    with pytest.raises(InputError, match=r"cpu\.csv: cannot be read .* UTF-8"):
        read_nab_file(file)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ("all", r"'real/cpu\.csv': found 'all'; it must be a list"),
        ([["2014-04-01 00:05:00"]], r"a window is a pair such as"),
        ([["2014-04-01 00:05:00", 7]], r"a window is a pair such as"),
        ([["2014-04-01 00:05:00", "noon"]], r"a window is a pair such as"),
        ([WINDOW[::-1]], r"ends before it starts; swap the two"),
        ([WINDOW, WINDOW], r"windows must not overlap"),
    ],
)
def test_broken_windows_are_named(tmp_path: Path, windows: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nab_files(nab_folder(tmp_path, windows=windows))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("{\n oops", r"combined_windows\.json, line 2: not JSON"),
        ("[]", r"combined_windows\.json: found list at the top"),
        ("{}", r"combined_windows\.json: no entry 'real/cpu\.csv'; every file needs one"),
    ],
)
def test_broken_labels_are_named(tmp_path: Path, labels: str, message: str) -> None:
    folder = nab_folder(tmp_path)
    (folder / "labels/combined_windows.json").write_text(labels)
    with pytest.raises(InputError, match=message):
        nab_files(folder)


def test_a_missing_or_empty_nab_folder_says_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder; a NAB folder holds data/<category>"):
        nab_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"data: no such folder"):
        nab_files(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=r"data: found no file <category>/<file>\.csv"):
        nab_files(tmp_path)
    folder = nab_folder(tmp_path / "unlabelled")
    (folder / "labels/combined_windows.json").unlink()
    with pytest.raises(InputError, match=r"combined_windows\.json: no such file"):
        nab_files(folder)


def test_a_ucr_name_tells_what_the_series_is(tmp_path: Path) -> None:
    (file,) = ucr_files(ucr_folder(tmp_path))
    assert (file.number, file.name, file.train, file.begin, file.end) == (7, "some_name2", 3, 5, 7)
    assert read_ucr_file(file).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_ucr_values_may_stand_on_one_line(tmp_path: Path) -> None:
    (file,) = ucr_files(ucr_folder(tmp_path, text="  1.0e0  2 3 4\t5 6 7 8"))
    assert read_ucr_file(file).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_ucr_files_come_by_name_and_others_are_passed_over(tmp_path: Path) -> None:
    for name in ("002_UCR_Anomaly_b_3_5_7.txt", "001_UCR_Anomaly_c_3_5_7.txt", "README.txt", "results.csv"):
        ucr_folder(tmp_path, name)
    assert [file.number for file in ucr_files(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "007_UCR_Anomaly_x_3_5.txt",
            r"007_UCR_Anomaly_x_3_5\.txt: the name does not tell train, begin and end; files are named",
        ),
        ("007_UCR_Anomaly_x_3_5_end.txt", r"the name does not tell train, begin and end"),
        ("007_UCR_Anomaly_x_6_5_7.txt", r"the name says train 6, begin 5, end 7; it must be 0 < train <= begin <= end"),
        ("007_UCR_Anomaly_x_3_7_5.txt", r"the name says train 3, begin 7, end 5"),
        ("007_UCR_Anomaly_x_0_5_7.txt", r"the name says train 0"),
    ],
)
def test_a_malformed_ucr_name_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ucr_files(ucr_folder(tmp_path, name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\nabc\n", r"x_3_5_7\.txt, line 3: found 'abc'; every value must be a number"),
        ("1\n2\n3\n4\n5\n6\n", r"x_3_5_7\.txt: found 6 values; the name says that the anomaly ends at 7"),
        ("", r"found 0 values"),
    ],
)
def test_a_broken_ucr_file_is_named_with_its_finding(tmp_path: Path, text: str, message: str) -> None:
    (file,) = ucr_files(ucr_folder(tmp_path, "007_UCR_Anomaly_x_3_5_7.txt", text))
    with pytest.raises(InputError, match=message):
        read_ucr_file(file)


def test_a_missing_or_empty_ucr_folder_says_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder; files are named NNN_UCR_Anomaly"):
        ucr_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"found no series; files are named NNN_UCR_Anomaly"):
        ucr_files(tmp_path)


@pytest.mark.parametrize(
    ("location", "begin", "end", "hit"),
    [
        (900, 1000, 1010, True),
        (899, 1000, 1010, False),
        (1110, 1000, 1010, True),
        (1111, 1000, 1010, False),
        (700, 1000, 1300, True),
        (699, 1000, 1300, False),
        (1600, 1000, 1300, True),
        (1601, 1000, 1300, False),
    ],
)
def test_a_hit_lies_within_100_points_or_the_anomalys_length(location: int, begin: int, end: int, hit: bool) -> None:
    assert ucr_hit(location, begin, end) is hit


@needs_nab
def test_the_nab_folder_is_read_whole() -> None:
    files = nab_files(BENCHMARKS / "nab")
    assert len({file.name for file in files}) == len(files) > 0
    for file in files:
        series = read_nab_file(file)
        assert series.labels.any() == bool(file.windows)
        assert np.isfinite(series.values).all()


@needs_ucr
def test_the_ucr_folder_is_read_whole() -> None:
    files = ucr_files(BENCHMARKS / "ucr")
    assert files
    for file in files[::10]:
        assert len(read_ucr_file(file)) >= file.end
