"""Contract: until a change is declared, a stream that is watched for one gets the detections that it gets without, to the byte."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.cli import wave

import autoencoder as ae
from autoencoder.adaptation.detector import AdaptiveDetector
from autoencoder.config.schema import FOLLOWING
from autoencoder.reports.scores_csv import rows_text
from autoencoder.scorers import SCORERS

TRAINING, POINTS = 400, 1400
SETTINGS = {
    "training": {"points": TRAINING, "max_steps": 40},
    "network": {"units": [8], "sequence_length": 16},
    "forest.n_estimators": 10,
    "threshold.budget": 0.005,
}
WATCHED = [
    pytest.param(name, marks=pytest.mark.slow if name == "lstm_autoencoder" else ()) for name in SCORERS if name not in FOLLOWING
]


def stream(columns: int) -> pd.DataFrame:
    """A season that does not change, with anomalies, rows and cells missing."""
    values = np.array([wave(POINTS + each)[each:] for each in range(columns)]).T
    values[[500, 501, 640, 800, 1111], 0] += [4, 4, -5, 6, 5]
    values[900:906, 0] = values[899, 0]
    values[[120, 700, 701, 1250], -1] = np.nan
    times = pd.date_range("2024-01-01", periods=POINTS, freq="h")
    return pd.DataFrame(values, index=times).drop(index=times[[430, 431, 1000]])


def detector(name: str, enabled: object) -> ae.Detector:
    return ae.Detector(name, seed=3, config={**SETTINGS, "adaptation.enabled": enabled})


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", WATCHED)
def test_nothing_changes_until_a_change_is_declared(name: str, columns: int) -> None:
    data = stream(columns)
    plain = detector(name, False)
    expected = rows_text(plain.process(data), "Z")
    for cuts in ([], [*range(450, 520), 700, 703, 1100]):
        one, places = detector(name, "auto"), pairwise([0, *cuts, len(data)])
        found = "".join(rows_text(one.process(data[first:last]), "Z") for first, last in places)
        assert found == expected
        assert [each.to_json() for each in one.incidents] == [each.to_json() for each in plain.incidents]
        assert isinstance(one._stream.panel[None].detector, AdaptiveDetector) and not one.adaptations
    assert plain.incidents


@pytest.mark.parametrize("name", FOLLOWING)
def test_what_follows_a_stream_by_itself_is_left_alone(name: str) -> None:
    one = detector(name, "auto")
    one.process(stream(1)[:10])
    assert not isinstance(one._stream.panel[None].detector, AdaptiveDetector)


def test_what_was_saved_goes_on_as_it_was(tmp_path: Path) -> None:
    """Saved while it watches or while it does not; a model alone is watched from then on."""
    data, name = stream(1), "windowed_gaussian"
    expected = rows_text(detector(name, False).process(data), "Z").splitlines()
    for enabled, watches in (("auto", True), (False, False)):
        one = detector(name, enabled)
        one.process(data[:800])
        one.save(tmp_path / str(enabled))
        for again, is_watched in (
            (ae.load(tmp_path / str(enabled)), watches),
            (ae.Detector(model=tmp_path / str(enabled)), True),
        ):
            assert rows_text(again.process(data[800:]), "Z").splitlines() == expected[800:]
            assert isinstance(again._stream.panel[None].detector, AdaptiveDetector) == is_watched
