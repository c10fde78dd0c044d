"""bench nab: its results, what it keeps of an earlier run, and the plot of one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.cli import Program

from autoencoder.benchmark.nab import nab_files, read_columns, read_results, write_result
from autoencoder.benchmark.nab_score import PROFILES, nab_scores, probation_points
from autoencoder.core.errors import InputError, RunError
from autoencoder.sources.chunk import Chunk
from benchmark.folders import FOREST, GAUSSIAN, ODD, POINTS, constant_at_first, read_rows, stamp, summary, values, write_nab

RESULT = "out/windowed_gaussian/real/windowed_gaussian_{}.csv"


def series_of(times: list[str], numbers: list[float], labels: list[int]) -> Chunk:
    return Chunk(np.array(times, dtype="datetime64[ns]"), np.array(numbers)[:, None], np.array(labels, dtype=bool))


def test_results_and_scores(program: Program, nab: Path, tmp_path: Path) -> None:
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN, *FOREST)
    assert done.code == 0, done.err
    for name, seed in (("one", 0), ("two", 1)):
        written = read_rows(tmp_path / RESULT.format(name))
        assert list(written[0]) == ["timestamp", "value", "anomaly_score", "label"]
        assert [row["timestamp"] for row in written] == [stamp(row) for row in range(POINTS)]
        assert [float(row["value"]) for row in written] == values(seed).tolist()
        scores = np.array([float(row["anomaly_score"]) for row in written])
        assert ((scores >= 0) & (scores <= 1)).all()
        assert not scores[: probation_points(POINTS)].any()
        assert ODD <= int(np.argmax(scores)) < ODD + 10
        assert [row["label"] for row in written] == ["1" if ODD - 20 <= row <= ODD + 40 else "0" for row in range(POINTS)]
    for name in ("windowed_gaussian", "isolation_forest"):
        best = nab_scores(read_results(tmp_path / "out", name, nab_files(nab)))
        found = {profile: round(best[profile].score, 2) for profile in PROFILES}
        assert summary(tmp_path / "out")["detectors"][name]["scores"] == found
        line = next(line for line in done.out.splitlines() if line.startswith(f"| {name} "))
        assert [float(cell) for cell in line.split("|")[2:-1]] == list(found.values())
    assert (tmp_path / "out/summary.md").read_text().startswith(done.out)


def test_published_scores_stand_beside(program: Program, nab: Path, tmp_path: Path) -> None:
    for file in nab_files(nab):
        series = file.read()
        assert series.labels is not None
        write_result(file.result(nab / "golden", "perfect"), series, series.labels * 1.0)
    write_result(file.result(nab / "golden", "partial"), series, series.values[:, 0] * 0)
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    assert summary(tmp_path / "out")["published"]["perfect"]["scores"]["standard"] == 100
    assert "| perfect (published) " in done.out
    assert "partial" not in done.out
    assert "partial is left out" in done.err


def test_finished_files_are_kept(program: Program, nab: Path, tmp_path: Path) -> None:
    command = ("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    program(*command)
    one, two = (tmp_path / RESULT.format(name) for name in ("one", "two"))
    whole = two.read_text()
    marked = one.read_text().replace(",0.0,0\n", ",0.125,0\n", 1)  # a score that no run would give
    one.write_text(marked)
    two.write_text(whole[: len(whole) // 2])  # as a run that was killed leaves it
    assert program(*command).code == 0
    assert one.read_text() == marked
    assert two.read_text() == whole
    other = write_nab(tmp_path / "other", one=values(7), two=values(1))  # the result of another series is not taken
    program("bench", "nab", "--path", other, "--out", "out", *GAUSSIAN)
    assert [float(row["value"]) for row in read_rows(one)] == values(7).tolist()


def test_untrained_file_scores_0_and_is_named(program: Program, tmp_path: Path) -> None:
    nab = write_nab(tmp_path / "nab", constant=constant_at_first(400), fine=values())
    for _ in range(2):
        done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
        assert done.code == 0
        assert "windowed_gaussian, real/constant.csv: the training part is constant" in done.out
        assert list(summary(tmp_path / "out")["detectors"]["windowed_gaussian"]["untrained"]) == ["real/constant.csv"]
    assert {row["anomaly_score"] for row in read_rows(tmp_path / RESULT.format("constant"))} == {"0.0"}


def test_plot_of_one_file(program: Program, nab: Path, tmp_path: Path) -> None:
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN, "--file", "two")
    assert done.code == 0
    assert (tmp_path / "out/windowed_gaussian/real/two.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / RESULT.format("one")).exists()
    assert not (tmp_path / "out/summary.md").exists()
    wrong = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN, "--file", "too")
    assert wrong.code == 2
    assert "one is called two" in wrong.error


def test_result_is_read_back(tmp_path: Path) -> None:
    times = ["2014-04-01T00:00", "2014-04-01T00:05", "2014-04-01T00:10", "2014-04-01T00:15"]
    series = series_of(times, [1.5, np.nan, -3, 400], [0, 1, 1, 0])
    path = write_result(tmp_path / "ours/real/ours_cpu.csv", series, np.array([np.nan, 0.1, 1 / 3, 1.0]))
    assert path.read_text().splitlines() == [
        "timestamp,value,anomaly_score,label",
        "2014-04-01 00:00:00,1.5,0.0,0",
        "2014-04-01 00:05:00,,0.1,1",
        "2014-04-01 00:10:00,-3.0,0.3333333333333333,1",
        "2014-04-01 00:15:00,400.0,1.0,0",
    ]
    found, columns = read_columns(path, "value", "anomaly_score")
    np.testing.assert_array_equal(found, series.time)
    np.testing.assert_array_equal(columns, np.column_stack([series.values[:, 0], [0, 0.1, 1 / 3, 1]]))
    fractions = series_of(["2014-04-01T00:00:00.250", "2014-04-01T00:00:01"], [0, 0], [0, 0])
    path = write_result(tmp_path / "cpu.csv", fractions, np.zeros(2))
    np.testing.assert_array_equal(read_columns(path, "value")[0], fractions.time)


def test_unwritable_or_missing_results(nab: Path, tmp_path: Path) -> None:
    (tmp_path / "ours").write_text("a file where a folder must be")
    with pytest.raises(RunError, match=r"ours_cpu\.csv cannot be written"):
        write_result(tmp_path / "ours/real/ours_cpu.csv", series_of(["2014-04-01"], [0], [0]), np.zeros(1))
    with pytest.raises(InputError, match=r"other_one\.csv: no such file"):
        read_results(tmp_path, "other", nab_files(nab))
