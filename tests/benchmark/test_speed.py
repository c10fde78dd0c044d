"""bench speed: every contestant is measured, and the figures mean what the tables say. Nothing here depends on the time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from helpers.cli import Program

from autoencoder.benchmark.runner import Summary, at_least, at_most, targets_table
from autoencoder.benchmark.speed import QUICK, Results, speed_targets
from autoencoder.benchmark.speed_runs import Arrivals
from autoencoder.sources.live import StdinSource
from benchmark.folders import summary

CONTESTANTS = ["this program", "isolation forest", "half-space trees (river)", "Keras model.predict", "tf.function"]


def results() -> Results:
    """Figures of a machine on which every target is reached."""
    return {
        "one point, us": {"this program": [100.0, 110.0], "Keras model.predict": [40_000.0, 44_000.0]},
        "one point, us, 99th percentile": {"this program": [200.0, 220.0]},
        "in bulk, points a second": {"this program, as a process": [60_000.0, 70_000.0]},
        "many series, points a second": {"1": [9_000.0], "1,000": [50_000.0]},
        "training to the same loss, s": {"this program": [10.0], "Keras fit": [30.0]},
        "start to first detection, s": {"this program": [0.4]},
        "peak memory by points through a pipe, MB": {"10,000": [100.0], "1,000,000": [110.0]},
        "file to scores.csv by points, s": {"1,000": [0.1], "10,000": [1.0]},
    }


@pytest.mark.slow
def test_whole_run(program: Program, tmp_path: Path) -> None:
    done = program("bench", "speed", "--quick", "--out", "out")
    assert done.code == 0, done.err
    data = summary(tmp_path / "out")
    tables = data["results"]
    assert list(tables) == list(results())
    assert list(tables["one point, us"]) == CONTESTANTS
    assert list(tables["in bulk, points a second"]) == ["this program, as a process", *CONTESTANTS]
    for rows in tables.values():
        assert all(figure is not None and 0 < figure < math.inf for rounds in rows.values() for figure in rounds)
        assert all(len(rounds) == QUICK.rounds for rounds in rows.values())
        assert all(f"\n| {name} " in done.out for name in rows)
    assert all(bar["what"] in done.out for bar in data["bars"]) and "With --quick" in done.out and "numpy" in done.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["settings.yaml", "summary.json", "summary.md"]
    assert (tmp_path / "out/summary.md").read_text().startswith(done.out)


def test_targets_compare_within_rounds() -> None:
    found = {target.what: target for target in speed_targets(results())}
    assert all(target.kept for target in found.values()) and len(found) == 8
    assert found["model.predict / this program, one point"].found == Summary(400.0, 400.0, 400.0)
    assert found["points a second, 1,000 series with one model"].found.median == 50_000
    assert found["memory at 1,000,000 points / at 10,000"].found.median == pytest.approx(1.1)

    slow = results() | {"in bulk, points a second": {"this program, as a process": [20_000.0]}}
    assert [target.kept for target in speed_targets(slow)] == [True, True, False, True, True, True, True, True]


@pytest.mark.parametrize(
    ("rounds", "least", "most", "median", "extent"),
    [
        ([0.8, 0.9, 9.0], "no", "yes", "0.9", "0.8 to 9"),
        ([1.0], "yes", "yes", "1", "1 to 1"),
        ([1.1, 9.0, 0.0], "yes", "no", "1.1", "0 to 9"),
        ([], "-", "-", "-", ""),  # unmeasured is unknown and not zero
        ([math.nan], "-", "-", "-", ""),
    ],
)
def test_target_is_for_the_median(rounds: list[float], least: str, most: str, median: str, extent: str) -> None:
    found = Summary.of(rounds)
    lines = targets_table([at_least("a", 1, found), at_most("b", 1, found)]).splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows == [["a", ">= 1", median, extent, least], ["b", "<= 1", median, extent, most]]


def test_lines_arrive_one_by_one_and_are_timed() -> None:
    lines = [f"2025-01-01T00:00:{second:02}Z,{second}\n".encode() for second in range(5)]
    arrivals = Arrivals(lines, 1.0)
    chunks = list(StdinSource(arrivals).chunks())
    assert [chunk.values[:, 0].tolist() for chunk in chunks] == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert len(arrivals.nanoseconds) == 6  # the header too
    assert all(time > 0 for time in arrivals.nanoseconds)
