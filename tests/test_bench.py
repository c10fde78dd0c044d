"""The command bench: what it writes, what it keeps, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import naive
from hypothesis import given, settings
from hypothesis import strategies as st
from program import ROOT, Outcome, run_python

from autoencoder.benchmark.corpora import nab_files, read_nab_file, read_nab_results, write_nab_result
from autoencoder.benchmark.matrix_profile import down_sample
from autoencoder.benchmark.nab import PROFILES, nab_scores, probation_points
from autoencoder.benchmark.run_budget import count_flags
from autoencoder.benchmark.run_ucr import most_anomalous
from autoencoder.benchmark.streams import KINDS, clean_stream
from autoencoder.core.state import State
from autoencoder.thresholds import THRESHOLDS, Array

Program = Callable[..., Outcome]

BENCHMARKS = Path(os.environ.get("BENCHMARKS", ROOT / "../shared/benchmarks"))
POINTS = 1200
ODD = 900  # the row of the one anomaly
GAUSSIAN = ("--detector", "windowed_gaussian")
FOREST = ("--detector", "isolation_forest", "--set", "forest.trees=10")
property_test = settings(deadline=None, max_examples=40, derandomize=True)


def values(seed: int = 0) -> Array:
    """A noisy season with one anomaly, ten points long."""
    series = np.sin(np.arange(POINTS) / 8) + np.random.default_rng(seed).normal(scale=0.2, size=POINTS)
    series[ODD : ODD + 10] += 6
    return series


def times() -> np.ndarray:
    return np.datetime64("2014-04-01T00:00:00", "s") + np.timedelta64(300, "s") * np.arange(POINTS)


def stamp(row: int) -> str:
    return str(times()[row]).replace("T", " ")


def write_nab(folder: Path, **series: Array) -> Path:
    """A folder laid out like NAB with these files in one category; each is labelled around the anomaly."""
    data, labels = folder / "data/real", folder / "labels"
    data.mkdir(parents=True)
    labels.mkdir()
    for name, column in series.items():
        lines = [f"{stamp(row)},{value}" for row, value in enumerate(column.tolist())]
        (data / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    windows = {f"real/{name}.csv": [[stamp(ODD - 20), stamp(ODD + 40)]] for name in series}
    (labels / "combined_windows.json").write_text(json.dumps(windows))
    return folder


def write_ucr(folder: Path, **series: Array) -> Path:
    """A folder with series of the UCR archive, trained on the first 600 points."""
    folder.mkdir()
    for number, (name, column) in enumerate(series.items(), start=1):
        text = "\n".join(f"{value:.6f}" for value in column.tolist())
        (folder / f"{number:03}_UCR_Anomaly_{name}_600_{ODD}_{ODD + 10}.txt").write_text(text)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def summary(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return content


@pytest.fixture
def nab(tmp_path: Path) -> Path:
    return write_nab(tmp_path / "nab", one=values(), two=values(1))


@pytest.fixture
def ucr(tmp_path: Path) -> Path:
    return write_ucr(tmp_path / "ucr", one=values(), two=values(1))


# --- nab ---


def test_every_file_gets_a_row_a_point_in_the_benchmarks_own_format(program: Program, nab: Path, tmp_path: Path) -> None:
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    assert done.code == 0, done.err
    for name, seed in (("one", 0), ("two", 1)):
        written = rows(tmp_path / f"out/windowed_gaussian/real/windowed_gaussian_{name}.csv")
        assert list(written[0]) == ["timestamp", "value", "anomaly_score", "label"]
        assert [row["timestamp"] for row in written] == [stamp(row) for row in range(POINTS)]
        assert [float(row["value"]) for row in written] == values(seed).tolist()
        scores = np.array([float(row["anomaly_score"]) for row in written])
        assert ((scores >= 0) & (scores <= 1)).all()
        assert not scores[: probation_points(POINTS)].any()
        assert ODD <= int(np.argmax(scores)) < ODD + 10
        assert [row["label"] for row in written] == ["1" if ODD - 20 <= row <= ODD + 40 else "0" for row in range(POINTS)]


def test_the_score_printed_is_that_of_the_files_written(program: Program, nab: Path, tmp_path: Path) -> None:
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN, *FOREST)
    for name in ("windowed_gaussian", "isolation_forest"):
        scores = nab_scores(read_nab_results(tmp_path / "out", name, nab_files(nab)))
        found = {profile: round(scores[profile].score, 2) for profile in PROFILES}
        assert summary(tmp_path / "out")["detectors"][name]["scores"] == found
        line = next(line for line in done.out.splitlines() if line.startswith(f"| {name} "))
        assert [float(cell) for cell in line.split("|")[2:-1]] == list(found.values())
    assert (tmp_path / "out/summary.md").read_text().startswith(done.out)


def test_published_scores_stand_beside_and_incomplete_ones_are_left_out(program: Program, nab: Path, tmp_path: Path) -> None:
    for file in nab_files(nab):
        series = read_nab_file(file)
        write_nab_result(
            nab / "golden", "perfect", file.name, series.timestamps, series.values, series.labels * 1.0, series.labels
        )
    write_nab_result(nab / "golden", "partial", file.name, series.timestamps, series.values, series.values * 0, series.labels)
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    assert summary(tmp_path / "out")["published"]["perfect"]["scores"]["standard"] == 100
    assert "| perfect (published) " in done.out
    assert "partial" not in done.out
    assert "partial is left out" in done.err


def test_what_is_done_is_not_done_again(program: Program, nab: Path, tmp_path: Path) -> None:
    command = ("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    program(*command)
    one, two = (tmp_path / f"out/windowed_gaussian/real/windowed_gaussian_{name}.csv" for name in ("one", "two"))
    whole = two.read_text()
    marked = one.read_text().replace(",0.0,0\n", ",0.125,0\n", 1)  # a score that no run would give
    one.write_text(marked)
    two.write_text(whole[: len(whole) // 2])  # as a run that was killed leaves it
    assert program(*command).code == 0
    assert one.read_text() == marked
    assert two.read_text() == whole


def test_a_result_of_another_series_is_not_taken(program: Program, nab: Path, tmp_path: Path) -> None:
    program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    other = write_nab(tmp_path / "other", one=values(7), two=values(1))
    program("bench", "nab", "--path", other, "--out", "out", *GAUSSIAN)
    written = rows(tmp_path / "out/windowed_gaussian/real/windowed_gaussian_one.csv")
    assert [float(row["value"]) for row in written] == values(7).tolist()


def test_results_of_other_settings_are_refused_and_the_difference_is_named(program: Program, nab: Path, tmp_path: Path) -> None:
    command = ("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    program(*command, "--set", "threshold.window=700")
    before = (tmp_path / "out/summary.json").read_bytes()
    done = program(*command, "--set", "threshold.window=500")
    assert done.code == 2
    assert "threshold.window was 700, now it is 500" in done.error
    assert "benchmark was 'nab', now it is 'budget'" in program("bench", "budget", "--out", "out", *GAUSSIAN).error
    assert (tmp_path / "out/summary.json").read_bytes() == before


def test_a_folder_with_other_things_is_refused(program: Program, nab: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    assert done.code == 2
    assert "holds something other than results of a benchmark" in done.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_file_that_cannot_train_scores_0_and_is_named_each_time(program: Program, tmp_path: Path) -> None:
    constant = values()
    constant[:400] = 3.0
    nab = write_nab(tmp_path / "nab", constant=constant, fine=values())
    for _ in range(2):
        done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
        assert done.code == 0
        assert "windowed_gaussian, real/constant.csv: the training part is constant" in done.out
        assert list(summary(tmp_path / "out")["detectors"]["windowed_gaussian"]["untrained"]) == ["real/constant.csv"]
    written = rows(tmp_path / "out/windowed_gaussian/real/windowed_gaussian_constant.csv")
    assert {row["anomaly_score"] for row in written} == {"0.0"}


def test_the_picture_of_one_file_is_drawn_on_request(program: Program, nab: Path, tmp_path: Path) -> None:
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN, "--file", "two")
    assert done.code == 0
    assert (tmp_path / "out/windowed_gaussian/real/two.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "out/windowed_gaussian/real/windowed_gaussian_one.csv").exists()
    assert not (tmp_path / "out/summary.md").exists()
    wrong = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN, "--file", "too")
    assert wrong.code == 2
    assert "one is called two" in wrong.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nab", "--path", "nowhere"), "nowhere: no such folder; a NAB folder holds"),
        (("nab", "--path", "."), "data: no such folder; a NAB folder holds"),
        (("ucr", "--path", "nowhere"), "nowhere: no such folder; files are named"),
        (("ucr", "--path", "."), "found no series; files are named"),
    ],
)
def test_without_data_nothing_is_written(program: Program, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = program("bench", *arguments, "--out", "out")
    assert done.code == 2
    assert message in done.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nab|ucr|budget"),
        (("drfit",), "invalid choice: 'drfit'"),
        (("drift", "--out", "out", "--kind", "storm"), "invalid choice: 'storm'"),
        (("nab", "--out", "out"), "--path"),
        (("nab", "--path", "."), "--out"),
        (("nab", "--path", ".", "--out", "out", "--detector", "oracle"), "invalid choice: 'oracle'"),
        (("nab", "--path", ".", "--out", "out", "--detector", "matrix_profile"), "invalid choice: 'matrix_profile'"),
        (("budget", "--out", "out", "--streams", "0"), "found '0'; give a whole number of at least 1"),
        (("budget", "--out", "out", "--points", "many"), "found 'many'; give a whole number of at least 1,000"),
    ],
)
def test_wrong_usage_is_told(program: Program, arguments: tuple[str, ...], message: str) -> None:
    done = program("bench", *arguments)
    assert done.code == 2
    assert message in done.err


# --- ucr ---


def test_the_place_of_each_anomaly_is_found_and_written(program: Program, ucr: Path, tmp_path: Path) -> None:
    done = program("bench", "ucr", "--path", ucr, "--out", "out", *GAUSSIAN, *FOREST)
    assert done.code == 0, done.err
    for name in ("windowed_gaussian", "isolation_forest"):
        written = rows(tmp_path / f"out/{name}/results.csv")
        assert list(written[0]) == ["file", "location", "begin", "end", "hit", "seconds"]
        assert [row["file"] for row in written] == [file.name for file in sorted(ucr.iterdir())]
        assert {(row["begin"], row["end"], row["hit"]) for row in written} == {(str(ODD), str(ODD + 10), "1")}
        assert all(ODD - 5 <= int(row["location"]) < ODD + 15 for row in written)
        assert summary(tmp_path / "out")["detectors"][name]["accuracy"] == 1
    assert (tmp_path / "out/results.csv").read_bytes() == (tmp_path / "out/windowed_gaussian/results.csv").read_bytes()
    assert "| windowed_gaussian |    1.000 |     2 |      2 |" in done.out


def test_series_that_are_done_are_not_searched_again(program: Program, ucr: Path, tmp_path: Path) -> None:
    command = ("bench", "ucr", "--path", ucr, "--out", "out", *GAUSSIAN)
    program(*command)
    path = tmp_path / "out/windowed_gaussian/results.csv"
    header, one, two = path.read_text().splitlines()
    marked = f"{one.split(',')[0]},700,{ODD},{ODD + 10},0,99.00"  # a place that no run would give
    path.write_text("\n".join([header, marked, two[:-9]]))  # the last row was cut off
    program(*command)
    again = path.read_text().splitlines()
    assert again[:2] == [header, marked]
    assert again[2].rsplit(",", 1)[0] == two.rsplit(",", 1)[0]
    assert summary(tmp_path / "out")["detectors"]["windowed_gaussian"]["accuracy"] == 0.5


def test_a_series_that_cannot_train_is_a_miss_and_named_each_time(program: Program, tmp_path: Path) -> None:
    constant = values()
    constant[:600] = 3.0
    ucr = write_ucr(tmp_path / "ucr", constant=constant, fine=values())
    for _ in range(2):
        done = program("bench", "ucr", "--path", ucr, "--out", "out", *FOREST)
        assert "001_UCR_Anomaly_constant_600_900_910.txt: the training part is constant" in done.out
        assert [(row["location"] == "", row["hit"]) for row in rows(tmp_path / "out/results.csv")] == [(True, "0"), (False, "1")]


@property_test
@given(seed=st.integers(0, 999), span=st.integers(1, 40), gaps=st.sampled_from([0.0, 0.3, 0.95]))
def test_the_most_anomalous_place_equals_its_naive_twin(seed: int, span: int, gaps: float) -> None:
    rng = np.random.default_rng(seed)
    errors = np.where(rng.random(60) < gaps, np.nan, rng.exponential(size=60))
    errors[17] = 1.0
    assert most_anomalous(errors, span) == naive.most_anomalous(errors.tolist(), span)


def test_a_lasting_oddity_outweighs_a_single_higher_point() -> None:
    errors = np.ones(100)
    errors[20], errors[60:70] = 9.0, 5.0
    assert most_anomalous(errors, span=1) == 20
    assert 62 <= most_anomalous(errors, span=20) <= 68
    with pytest.raises(ValueError, match="no error is known"):
        most_anomalous(np.full(5, np.nan), span=4)


def test_the_matrix_profile_finds_the_odd_stretch_in_full_and_down_sampled_series(tmp_path: Path) -> None:
    code = """
import numpy as np
from autoencoder.benchmark import matrix_profile
values = np.sin(np.arange(800) / 3.2) + np.random.default_rng(0).normal(scale=0.05, size=800)
values[600:620] = values[600]
silent = lambda done, total, note: None
print(matrix_profile.find_discord(values, 300, silent))
matrix_profile.MOST_POINTS = 450
print(matrix_profile.find_discord(values, 300, silent))
"""
    # without compilation stumpy takes no minute to start, and is fast enough for so little
    done = run_python(code, folder=tmp_path, environment={"NUMBA_DISABLE_JIT": "1"})
    assert done.code == 0, done.err
    assert len(done.out.split()) == 2
    assert all(590 <= int(place) <= 630 for place in done.out.split())


def test_down_sampling_takes_means_and_drops_what_is_left_over() -> None:
    np.testing.assert_array_equal(down_sample(np.arange(7.0), 3), [1, 4])
    np.testing.assert_array_equal(down_sample(np.arange(4.0), 1), np.arange(4.0))


def test_without_stumpy_the_matrix_profile_says_what_to_install(
    program: Program, ucr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stumpy", None)
    done = program("bench", "ucr", "--path", ucr, "--out", "out", "--detector", "matrix_profile")
    assert done.code == 2
    assert "pip install stumpy" in done.error


# --- budget ---


def test_every_threshold_and_budget_is_measured_and_the_same_each_time(program: Program, tmp_path: Path) -> None:
    size = ("--streams", 12, "--points", 1000)
    done = [program("bench", "budget", "--out", f"out{run}", *size, *GAUSSIAN) for run in range(2)]
    assert done[0].code == 0, done[0].err
    assert done[0].out == done[1].out
    assert summary(tmp_path / "out0") == summary(tmp_path / "out1")
    streams = summary(tmp_path / "out0")["streams"]
    assert {(case["threshold"], case["budget"]) for case in streams} == {
        (kind, budget) for kind in THRESHOLDS for budget in (1e-2, 1e-3, 1e-4)
    }
    assert {case["judged"] for case in streams} == {750}  # the training part does not count
    assert {case["stream"] for case in streams if case["model"] == "last value"} == set(range(12))
    assert {case["stream"] for case in streams if case["model"] == "windowed_gaussian"} == {0, 11}
    figures = summary(tmp_path / "out0")["figures"]
    assert {figure["streams"] for figure in figures if figure["model"] == "last value"} == {12}
    exact = next(figure for figure in figures if figure["threshold"] == "(exact)" and figure["budget"] == 0.01)
    assert 0.9 < exact["median"] < 1.1 and exact["low"] < exact["median"] < exact["high"]


class Fixed:
    """A limit that never moves."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def fit(self, errors: Array) -> None:
        pass

    def process(self, errors: Array) -> Array:
        return np.where(np.isnan(errors), np.nan, self.limit)

    def state(self) -> State:
        return {}

    def load(self, state: State) -> None:
        pass


def test_only_errors_that_are_known_are_counted() -> None:
    assert count_flags(Fixed(2.0), np.empty(0), np.array([1.0, np.nan, 3.0, 2.0])) == (3, 1)
    assert count_flags(Fixed(np.nan), np.empty(0), np.array([1.0, 3.0])) == (0, 0)


def test_clean_streams_differ_from_each_other_and_by_seed_only() -> None:
    streams = [clean_stream(number, 500, seed=0) for number in range(2 * len(KINDS))]
    assert [kind for kind, _ in streams] == 2 * list(KINDS)
    assert len({stream.tobytes() for _, stream in streams}) == len(streams)
    for number, (_, stream) in enumerate(streams):
        assert np.isfinite(stream).all()
        np.testing.assert_array_equal(clean_stream(number, 500, seed=0)[1], stream)
        assert not np.array_equal(clean_stream(number, 500, seed=1)[1], stream)


# --- real data ---


@pytest.mark.skipif(not (BENCHMARKS / "nab").is_dir(), reason=f"no benchmark data at {BENCHMARKS / 'nab'}")
def test_real_files_are_scored_beside_the_published_detectors(program: Program, tmp_path: Path) -> None:
    chosen = ("realTraffic/speed_7578.csv", "realAdExchange/exchange-3_cpc_results.csv")
    whole, part = (BENCHMARKS / "nab").resolve(), tmp_path / "nab"
    for name in chosen:
        for folder in ("data", "golden/numenta"):
            source = name if folder == "data" else name.replace("/", "/numenta_")
            (part / folder / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(whole / folder / source, part / folder / source)
    shutil.copytree(whole / "labels", part / "labels")
    done = program("bench", "nab", "--path", part, "--out", "out", *GAUSSIAN)
    assert done.code == 0, done.err
    found = summary(tmp_path / "out")
    assert found["windows"] == 7
    assert found["published"]["numenta"]["scores"]["standard"] > 50
    assert sorted(found["detectors"]["windowed_gaussian"]["files"]) == sorted(chosen)
