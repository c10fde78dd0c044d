"""bench budget: every threshold on clean streams."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from helpers.cli import Program

from autoencoder.benchmark.budget import KINDS, PROMISED, clean_stream, count_flags, count_scores
from autoencoder.thresholds import THRESHOLDS
from autoencoder.thresholds.base import Threshold
from benchmark.folders import GAUSSIAN, summary


def test_every_threshold_and_budget(program: Program, tmp_path: Path) -> None:
    size = ("--streams", 12, "--points", 1000)
    done = [program("bench", "budget", "--out", f"out{run}", *size, *GAUSSIAN) for run in range(2)]
    assert done[0].code == 0, done[0].err
    assert done[0].out == done[1].out
    assert summary(tmp_path / "out0") == summary(tmp_path / "out1")
    streams = summary(tmp_path / "out0")["streams"]
    budgets = {(case["threshold"], case["budget"]) for case in streams}
    assert budgets == {(kind, budget) for kind in THRESHOLDS for budget in (1e-2, 1e-3, 1e-4)}
    assert {case["judged"] for case in streams} == {750}  # the training part does not count
    assert {case["stream"] for case in streams if case["model"] == "last value"} == set(range(12))
    assert {case["stream"] for case in streams if case["model"] == "windowed_gaussian"} == {0, 11}
    figures = summary(tmp_path / "out0")["figures"]
    assert {figure["streams"] for figure in figures if figure["model"] == "last value"} == {12}
    exact = next(figure for figure in figures if figure["threshold"] == "(exact)" and figure["budget"] == 0.01)
    reliability = summary(tmp_path / "out0")["reliability"]
    assert [row["promised"] for row in reliability if row["model"] == "last value"] == list(PROMISED)
    assert "## Scores" in done[0].out
    assert 0.9 < exact["median"] < 1.1 and exact["low"] < exact["median"] < exact["high"]


@pytest.mark.parametrize(
    ("limit", "errors", "counts"), [(2.0, [1.0, np.nan, 3.0, 2.0], (3, 1)), (np.nan, [1.0, 3.0], (0, 0)), (2.0, [], (0, 0))]
)
def test_only_known_errors_are_counted(limit: float, errors: list[float], counts: tuple[int, int]) -> None:
    fixed = SimpleNamespace(fit=lambda errors: None, process=lambda errors: np.full(len(errors), limit))
    assert count_flags(cast(Threshold, fixed), np.empty(0), np.array(errors)) == counts


def test_clean_streams_differ_and_are_seeded() -> None:
    streams = [clean_stream(number, 500, seed=0) for number in range(2 * len(KINDS))]
    assert [kind for kind, _ in streams] == 2 * list(KINDS)
    assert len({stream.tobytes() for _, stream in streams}) == len(streams)
    for number, (_, stream) in enumerate(streams):
        assert np.isfinite(stream).all()
        np.testing.assert_array_equal(clean_stream(number, 500, seed=0)[1], stream)
        assert not np.array_equal(clean_stream(number, 500, seed=1)[1], stream)


def test_scores_are_counted_by_what_they_promise() -> None:
    random = np.random.default_rng(0)
    judged, points = count_scores(random.exponential(size=5000), np.append(random.exponential(size=50_000), np.nan))
    assert judged == 50_000
    assert list(points) == sorted(points, reverse=True)
    assert np.array(points[:3]) / judged == pytest.approx(PROMISED[:3], rel=0.35)
