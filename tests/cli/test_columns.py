"""Several columns judged together: the culprit is named wherever an incident is, and neither a gap nor a constant column hinders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import TINY_LSTM, Program, write_csv

from autoencoder.reports.incidents import Incident
from autoencoder.reports.plot import draw_culprits
from autoencoder.reports.scores_csv import read_scores

POINTS, TRAINING, FAULT, GAP = 1500, 700, slice(1100, 1140), slice(800, 950)
NAMES = ("flow", "pressure", "heat", "speed", "still")


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """Four sensors of one process and one that never moves; a gap in one, and a dependence that breaks in another."""
    random = np.random.default_rng(0)
    common = np.sin(np.arange(POINTS) / 9)[:, None] + 0.5 * random.normal(size=(POINTS, 1))
    values = 50 + np.array([2.0, 5.0, 9.0, 1.0]) * (common + 0.1 * random.normal(size=(POINTS, 4)))
    values[FAULT, 1] = 100 - values[FAULT, 1]  # within its range
    values[GAP, 2] = np.nan
    times = np.datetime64("2026-01-01T00:00") + np.arange(POINTS) * np.timedelta64(1, "m")
    columns = [["" if np.isnan(value) else f"{value:.5f}" for value in column] for column in values.T]
    return write_csv(tmp_path / "plant.csv", times, *columns, [7.0] * POINTS, header=",".join(("timestamp", *NAMES)))


def test_an_incident_names_its_column(program: Program, plant: Path) -> None:
    chosen = [part for name in NAMES for part in ("--column", name)]
    done = program(plant, *chosen, "--set", f"training.points={TRAINING}", *TINY_LSTM, "--out", "o")
    assert done.code == 0, done.err
    rows, found = cli.rows(Path("o")), cli.incidents(Path("o"))
    assert all(row["error"] for row in rows[TRAINING:])  # those with a gap, too
    assert sum(row["anomaly"] == "1" for row in rows[GAP]) <= 3
    (one,) = [each for each in found if each["first_row"] < FAULT.stop and each["last_row"] >= FAULT.start]
    worst, *others = one["columns"]
    assert worst["name"] == "pressure"
    assert worst["share"] > 0.5
    assert worst["share"] + sum(each["share"] for each in others) == pytest.approx(1.0)
    assert worst["value"] == one["peak_value"][1]
    assert f"  'pressure' {100 * worst['share']:.0f} %: seen " in Path("o/anomalies.log").read_text()
    assert "'pressure'" in done.err
    assert Path("o/columns.png").read_bytes().startswith(b"\x89PNG")
    incident = Incident.from_record(one)
    figure = draw_culprits(read_scores(Path("o")), [incident], NAMES, "UTC")
    (cell,) = figure.subfigs
    assert [axes.get_title(loc="left") or axes.get_ylabel() for axes in cell.axes[:-1]] == [
        f"{each.name}: {100 * each.share:.0f} %" for each in incident.columns[:3]
    ]


def test_a_detector_without_shares_names_the_column_furthest_off(program: Program, plant: Path) -> None:
    lines = plant.read_text().splitlines()
    cells = lines[1200].split(",")
    cells[4] = "900"
    plant.write_text("\n".join([*lines[:1200], ",".join(cells), *lines[1201:]]) + "\n")
    chosen = [part for name in NAMES[:4] for part in ("--column", name)]
    gaussian = ("--detector", "windowed_gaussian", "--plot", "none", "--set", "windowed_gaussian.window=200")
    done = program(plant, *chosen, "--set", f"training.points={TRAINING}", *gaussian, "--out", "o")
    assert done.code == 0, done.err
    one = next(each for each in cli.incidents(Path("o")) if each["first_row"] <= 1199 <= each["last_row"])
    assert one["columns"][0]["name"] == "speed"
