"""The picture: the rows around an incident, found from the end of what scores.csv held when it was reported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.detections import INCIDENT, expecting_a_sine

from autoencoder.alerts import picture
from autoencoder.alerts.outbox import Alert
from autoencoder.alerts.picture import CONTEXT, draw_incident
from autoencoder.core.errors import ModelFileError
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import MISSING, Incident, time_text
from autoencoder.reports.scores_csv import ResultWriter
from autoencoder.reports.sinks import Batch

MINUTE = np.timedelta64(60, "s")
POINTS = 1500
NAMES = ("web", 'a,"web"', "b")  # the second ends as the first does


def write(folder: Path, dated: bool, names: tuple[str, ...] = NAMES) -> Detections:
    """Rows of these series in turn; they differ in level."""
    time = np.datetime64("2025-01-01", "ns") + np.arange(POINTS) * MINUTE if dated else np.arange(POINTS)
    writer = ResultWriter(folder, ("value",), "Z" if dated else "", of_many=bool(names))
    each = [expecting_a_sine(np.full(POINTS, 10.0 * place), time=time) for place in range(max(1, len(names)))]
    for row in range(POINTS):
        rows = Detections.concatenate([one[row : row + 1] for one in each])
        writer.write(Batch(rows, series=names or None))
    writer.close()
    return each[0]


def alert(folder: Path, detections: Detections, first: int, last: int, **changes: object) -> Alert:
    start, end = time_text(detections.time[[first, last]], "Z" if detections.time.dtype.kind == "M" else "")
    incident: Incident = replace(INCIDENT, start=start, end=end, **changes)  # type: ignore[arg-type]
    size = (folder / "scores.csv").stat().st_size
    about = {"event": "closed", "source": "x.csv", "columns": ["value"], "scores_bytes": size}
    return {**about, "incident": json.loads(incident.to_json())}


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("first", [20, 700, POINTS - 10])
def test_the_stretch_has_its_points_on_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dated: bool, first: int
) -> None:
    monkeypatch.setattr(picture, "BLOCK_BYTES", 4000)  # so that it reads again and again
    detections = write(tmp_path, dated)
    stretch = picture._stretch(tmp_path / "scores.csv", alert(tmp_path, detections, first, first + 5, series="web"))
    expected = detections[max(0, first - CONTEXT) : first + 6 + CONTEXT]
    np.testing.assert_array_equal(stretch.time, expected.time)
    np.testing.assert_array_equal(stretch.values, expected.values)  # of no other series


def test_missing_data_and_one_series_are_drawn(tmp_path: Path) -> None:
    detections = write(tmp_path, True, ())
    late = detections.time[-1] + 30 * MINUTE
    start, end = time_text(np.array([late, late]), "Z")
    one = alert(tmp_path, detections, 100, 101)
    missing = {**one, "incident": {**one["incident"], "start": start, "end": end, "kind": MISSING}}
    for each in (one, missing):
        assert draw_incident(tmp_path, each).startswith(b"\x89PNG")


@pytest.mark.parametrize("content", ["", "time,value\n", "time,value,prediction,error,threshold,score,anomaly\nx,1,,,,,0\n"])
def test_rows_that_are_gone_are_told(tmp_path: Path, content: str) -> None:
    detections = write(tmp_path, True, ())
    one = alert(tmp_path, detections, 100, 101)
    (tmp_path / "scores.csv").write_text(content)
    with pytest.raises(ModelFileError, match=r"scores\.csv does not hold the rows of the incident"):
        draw_incident(tmp_path, one)
