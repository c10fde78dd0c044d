"""bench fleet: everything is measured, and the figures mean what the tables say. Nothing here depends on the time."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from helpers.cli import finish, start

from autoencoder.benchmark.fleet import (
    ALONE,
    BATCH,
    FLAGGED,
    HOT,
    ON_SPARK,
    RELOADED,
    RESIDENT,
    ROWS,
    SMALL,
    STATE,
    Results,
    fleet_targets,
    million,
)
from benchmark.folders import summary

SHAPES = (
    "1,000 series x 100 rows",
    "10,000 series x 100 rows",
    "1,000 series x 10 rows",
    "10,000 series x 10 rows",
    "a table of 1,000 series x 300 rows",
)


def results() -> Results:
    """Figures of a machine on which every target is reached."""
    return {
        FLAGGED: {"with a change": [0.1]},
        STATE: {"after 500 points": [20.0], "after 20,000 points": [60.0]},
        HOT: {"after 500 points": [4.0], "after 20,000 points": [3.0]},
        ROWS: {f"{shape}, {how}": [120.0 if how == ON_SPARK else 100.0] for shape in SHAPES for how in (ON_SPARK, ALONE)},
        BATCH: {SHAPES[0]: [14.0], SHAPES[1]: [122.0], SHAPES[2]: [3.2], SHAPES[3]: [14.0], SMALL: [2.0, 2.0]},
        RESIDENT: {SHAPES[3]: [50.0]},
        RELOADED: {SHAPES[3]: [4.0]},
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, and there is none")
def test_whole_run(tmp_path: Path) -> None:
    done = finish(start("bench", "fleet", "--quick", "--out", "out", folder=tmp_path), patience=800.0)
    assert done.code == 0, done.err
    data = summary(tmp_path / "out")
    assert sorted(data["results"]) == sorted(results())
    for rows in data["results"].values():
        assert all(figure is not None and 0 <= figure < math.inf for rounds in rows.values() for figure in rounds)
        assert all(f"| {name} " in done.out for name in rows)
    assert all(bar["what"] in done.out for bar in data["bars"]) and "With --quick" in done.out


def test_targets_compare_with_one_process() -> None:
    found = fleet_targets(results())
    assert all(target.kept for target in found) and len(found) == 8
    assert found[0].found.median == pytest.approx(1.2) and found[-1].found.median == pytest.approx(0, abs=1e-9)
    slow = fleet_targets(results() | {BATCH: {**results()[BATCH], SMALL: [2.5]}, STATE: {"after 500 points": [61.0]}})
    assert [target.kept for target in slow][3:5] == [False, False]


def test_a_million_series_are_reckoned_from_the_figures() -> None:
    words = million(results())
    assert "16,667 rows a second: 2.0 cores like these at 120 us a row, 50 GB of memory" in words and "60 GB of state" in words
