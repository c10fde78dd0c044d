"""What the chart is sent: few rows, but every flag and every extreme."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoencoder.core.types import Detections
from autoencoder.dashboard.chart import BINS, View, describe, stretch_of
from autoencoder.dashboard.follow import Snapshot
from autoencoder.reports.incidents import Incident


@pytest.fixture(scope="module")
def long_run() -> Snapshot:
    """A run of 50,000 points with 100 incidents of three points."""
    rows, random = np.arange(50_000), np.random.default_rng(1)
    anomalies = (rows % 500 < 3) & (rows >= 10_000)
    errors = np.where(rows < 10_000, np.nan, np.where(anomalies, 100.0, np.abs(random.normal(size=len(rows)))))
    thresholds = np.where(rows < 10_000, np.nan, 5.0)
    time = np.datetime64("2025-01-01", "ns") + rows * np.timedelta64(1, "m")
    values = random.normal(size=(len(rows), 1))
    detections = Detections(time, values, values, errors, thresholds, np.zeros(len(rows)), anomalies)
    starts = range(10_000, len(rows), 500)
    incidents = tuple(Incident(i, "", "", "", (0.0,), (0.0,), 1.0, 3, row, row + 2, True) for i, row in enumerate(starts))
    known = {"columns": ("value",), "labels": anomalies, "incidents": incidents}
    return Snapshot("", Path(), detections=detections, points=len(rows), training_points=10_000, **known)


def unpacked(text: str) -> np.ndarray[Any, Any]:
    """The numbers that the chart is sent."""
    return np.frombuffer(base64.b64decode(text), "<f8")


def test_many_points_are_drawn_from_few_rows(long_run: Snapshot) -> None:
    assert describe(Snapshot("", Path()), View()) is None  # nothing is there yet
    drawn = describe(long_run, View())
    json.dumps(drawn, allow_nan=False)
    x, flags = unpacked(drawn["x"]), np.frombuffer(base64.b64decode(drawn["flags"]), np.uint8)
    assert (drawn["points"], drawn["dates"], drawn["log"]) == (50_000, True, True)
    assert len(x) < 16 * (BINS + 1) + drawn["flagged"]
    assert flags.sum() == drawn["flagged"] == 240
    assert x[0] == long_run.detections.time[0].astype("datetime64[ms]").astype(float)
    errors = unpacked(drawn["panels"][1]["line"])
    assert len(errors) == len(x) and np.nanmin(errors) == np.nanmin(long_run.detections.errors) and np.nanmax(errors) == 100
    assert [len(drawn["bands"][name]) for name in ("training", "known", "incident", "chosen")] == [1, 80, 80, 0]


def test_a_zoomed_stretch_is_drawn_from_all_its_points(long_run: Snapshot) -> None:
    rows = long_run.incidents[40].first_row, long_run.incidents[40].last_row
    stretch = stretch_of(long_run, *rows)
    drawn = describe(long_run, View(zoom=stretch, focus=3, chosen=rows))
    x = unpacked(drawn["x"])
    inside = np.count_nonzero((x >= stretch[0]) & (x <= stretch[1]))
    assert inside == 2 * 30 + 3 and len(x) <= inside + 2
    [(begin, end)] = drawn["bands"]["chosen"]
    assert stretch[0] < begin <= end < stretch[1]
    assert (drawn["zoom"], drawn["focus"], drawn["log"]) == (stretch, 3, True)
