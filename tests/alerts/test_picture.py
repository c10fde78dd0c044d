"""The picture: the rows around an incident, found in scores.csv."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.detections import INCIDENT, expecting_a_sine

from autoencoder.alerts import picture
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


def incident_of(detections: Detections, first: int, last: int, **changes: object) -> Incident:
    start, end = time_text(detections.time[[first, last]], "Z" if detections.time.dtype.kind == "M" else "")
    return replace(INCIDENT, start=start, end=end, first_row=first, last_row=last, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("first", [20, 700, POINTS - 10])
def test_the_stretch_has_its_points_on_both_sides(tmp_path: Path, dated: bool, first: int) -> None:
    detections = write(tmp_path, dated)
    stretch = picture.around(tmp_path, incident_of(detections, first, first + 5, series="web"))
    end = min(POINTS, first + 6 + CONTEXT)
    expected = detections[max(0, end - 6 - 2 * CONTEXT) : end]
    np.testing.assert_array_equal(stretch.time, expected.time)
    np.testing.assert_array_equal(stretch.values, expected.values)  # of no other series


def drawn(folder: Path, incident: Incident) -> bytes:
    record = json.loads(incident.to_json())
    return draw_incident(folder, {"event": "closed", "source": "x.csv", "columns": ["value"], "incident": record})


def test_missing_data_and_one_series_are_drawn(tmp_path: Path) -> None:
    detections = write(tmp_path, True, ())
    (late,) = time_text(detections.time[-1:] + 30 * MINUTE, "Z")
    one = incident_of(detections, 100, 101)
    missing = replace(one, start=late, end=late, first_row=POINTS, last_row=POINTS, kind=MISSING)
    for each in (one, missing):
        assert drawn(tmp_path, each).startswith(b"\x89PNG")


@pytest.mark.parametrize("content", ["", "time,value\n", "time,value,prediction,error,threshold,score,anomaly\nx,1,,,,,0\n"])
def test_rows_that_are_gone_are_told(tmp_path: Path, content: str) -> None:
    detections = write(tmp_path, True, ())
    (tmp_path / "scores.csv").write_text(content)
    with pytest.raises(ModelFileError, match=r"does not hold the rows of the incident|cannot be read as the scores of a run"):
        drawn(tmp_path, incident_of(detections, 100, 101))
