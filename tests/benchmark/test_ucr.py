"""bench ucr: the place of each anomaly, what is kept of an earlier run, and the matrix profile."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import naive_benchmark as naive
from helpers.cli import Program, run_python
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.benchmark.ucr import most_anomalous
from benchmark.folders import FOREST, GAUSSIAN, ODD, constant_at_first, property_test, read_rows, summary, values, write_ucr


def test_anomalies_are_found_and_written(program: Program, ucr: Path, tmp_path: Path) -> None:
    done = program("bench", "ucr", "--path", ucr, "--out", "out", *GAUSSIAN, *FOREST)
    assert done.code == 0, done.err
    for name in ("windowed_gaussian", "isolation_forest"):
        written = read_rows(tmp_path / f"out/{name}/results.csv")
        assert list(written[0]) == ["file", "location", "begin", "end", "hit", "seconds"]
        assert [row["file"] for row in written] == [file.name for file in sorted(ucr.iterdir())]
        assert {(row["begin"], row["end"], row["hit"]) for row in written} == {(str(ODD), str(ODD + 10), "1")}
        assert all(ODD - 5 <= int(row["location"]) < ODD + 15 for row in written)
        assert summary(tmp_path / "out")["detectors"][name]["accuracy"] == 1
    assert (tmp_path / "out/results.csv").read_bytes() == (tmp_path / "out/windowed_gaussian/results.csv").read_bytes()
    assert "| windowed_gaussian |    1.000 |     2 |      2 |" in done.out


def test_finished_series_are_kept(program: Program, ucr: Path, tmp_path: Path) -> None:
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


def test_untrained_series_is_a_miss_and_named(program: Program, tmp_path: Path) -> None:
    ucr = write_ucr(tmp_path / "ucr", constant=constant_at_first(600), fine=values())
    for _ in range(2):
        done = program("bench", "ucr", "--path", ucr, "--out", "out", *FOREST)
        assert "001_UCR_Anomaly_constant_600_900_910.txt: the training part is constant" in done.out
        found = [(row["location"] == "", row["hit"]) for row in read_rows(tmp_path / "out/results.csv")]
        assert found == [(True, "0"), (False, "1")]


@property_test
@given(seed=st.integers(0, 999), window=st.integers(1, 40), gaps=st.sampled_from([0.0, 0.3, 0.95]))
def test_most_anomalous_equals_its_naive_twin(seed: int, window: int, gaps: float) -> None:
    rng = np.random.default_rng(seed)
    errors = np.where(rng.random(60) < gaps, np.nan, rng.exponential(size=60))
    errors[17] = 1.0
    assert most_anomalous(errors, window) == naive.most_anomalous(errors.tolist(), window)


@pytest.mark.slow
def test_matrix_profile_finds_the_odd_stretch(tmp_path: Path) -> None:
    code = """
import numpy as np
from autoencoder.benchmark import ucr
values = np.sin(np.arange(800) / 3.2) + np.random.default_rng(0).normal(scale=0.05, size=800)
values[600:620] = values[600]
silent = lambda done, total, note: None
print(ucr.find_discord(values, 300, silent))
ucr.MOST_POINTS = 450  # as if it were too long
print(ucr.find_discord(values, 300, silent))
"""
    # without compilation stumpy takes no minute to start, and is fast enough for so little
    done = run_python(code, folder=tmp_path, environment={"NUMBA_DISABLE_JIT": "1"})
    assert done.code == 0, done.err
    assert len(done.out.split()) == 2
    assert all(590 <= int(place) <= 630 for place in done.out.split())


def test_without_stumpy(program: Program, ucr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stumpy", None)
    done = program("bench", "ucr", "--path", ucr, "--out", "out", "--detector", "matrix_profile")
    assert done.code == 2
    assert "pip install stumpy" in done.error
