"""Contract: the Python API finds what the command line finds, point by point, however the points are handed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from helpers.cli import finish, start, wave, write_csv

import autoencoder as ae
from autoencoder.reports.incidents import STREAM_ENDED
from autoencoder.reports.scores_csv import rows_text
from autoencoder.scorers import SCORERS

TRAINING, POINTS, LATER = 400, 900, 40
SETTINGS = {
    "training": {"points": TRAINING, "max_steps": 60},
    "network": {"units": [8], "sequence_length": 16},
    "forest.n_estimators": 10,
    "forest.refit_every": 100,
    "half_space_trees.window_size": 100,
    "windowed_gaussian.window": 64,
    "threshold.budget": "10 per week",
    "checkpoint.every": 250,
}
NAMES = [pytest.param(name, marks=pytest.mark.slow if name == "lstm_autoencoder" else ()) for name in SCORERS]


class Scored(NamedTuple):
    """What the command line made of a file, and a detector that was trained on its first part and saved."""

    name: str
    series: pd.Series
    scores: list[str]
    incidents: list[str]
    saved: Path


@pytest.fixture(scope="module", params=NAMES)
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("api")
    values = np.array(wave(POINTS))
    values[[500, 501, 640, 800]] += [4, 4, -5, 6]
    times = np.datetime64("2024-01-01T00:00:00") + np.arange(POINTS) * np.timedelta64(1, "h")
    cells = ["" if row in (120, 700) else value for row, value in enumerate(values.tolist())]
    write_csv(folder / "wave.csv", [f"{time}Z" for time in times], cells)
    settings = [f"{key}={value}" for key, value in flat(SETTINGS)]
    flags = [part for setting in settings for part in ("--set", setting)]
    files = ("--source", "csv", "--path", "wave.csv", "--plot", "none", "--out", "out", "--seed", "3")
    outcome = finish(start(*files, "--detector", request.param, *flags, folder=folder))
    assert outcome.code == 0, outcome.err
    series = ae.read_csv(folder / "wave.csv")["value"]
    detector(request.param).fit(series[:TRAINING]).save(folder / "saved")
    scores = (folder / "out/scores.csv").read_text().splitlines()[1:]
    return Scored(request.param, series, scores, (folder / "out/incidents.jsonl").read_text().splitlines(), folder / "saved")


def flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def detector(name: str) -> ae.Detector:
    return ae.Detector(name, seed=3, config=SETTINGS)


def lines(detections: ae.Detections, zone: str = "Z") -> list[str]:
    return rows_text(detections, zone).splitlines()


def incidents(found: ae.Detector) -> list[str]:
    """Those of a detector, as a run whose stream ends here writes them."""
    return [replace(each, close_reason=each.close_reason or STREAM_ENDED).to_json() for each in found.incidents]


def test_a_whole_series(scored: Scored) -> None:
    one = detector(scored.name)
    detections = one.process(scored.series)
    assert lines(detections) == scored.scores
    assert incidents(one) == scored.incidents
    assert detections.training_points == TRAINING


@pytest.mark.parametrize("cuts", ["random", "single"])
def test_chunks_after_fit(scored: Scored, cuts: str) -> None:
    one = ae.load(scored.saved)
    random, found, row = np.random.default_rng(0), [], TRAINING
    while row < POINTS:
        size = int(random.integers(0, 90)) if cuts == "random" else 1
        found += lines(one.process(scored.series[row : row + size]))
        row += size
    assert found == scored.scores[TRAINING:]
    assert incidents(one) == scored.incidents


def test_points_learnt_one_by_one(scored: Scored) -> None:
    one = ae.load(scored.saved)
    for row, (time, value) in enumerate(scored.series[TRAINING:-LATER].items(), TRAINING):
        before = one.score_one(value, time=time) if row % 50 == 0 else None
        one.learn_one(value, time=time)
        if before is not None:
            assert f"{before:.9g}".replace("nan", "") == scored.scores[row].split(",")[5]
    later = scored.series[-LATER:]
    scores = [f"{score:.9g}".replace("nan", "") for score in one.decision_function(later)]
    assert scores == [line.split(",")[5] for line in scored.scores[-LATER:]]
    assert one.predict(later).tolist() == [int(line[-1]) for line in scored.scores[-LATER:]]


def test_saved_detector_serves_as_model_on_the_command_line(scored: Scored, tmp_path: Path) -> None:
    """It goes on where it stood, and so does what the run leaves."""
    rest = scored.series[TRAINING:]
    cells = ["" if np.isnan(value) else value for value in rest[:-LATER].tolist()]
    write_csv(tmp_path / "rest.csv", [time.isoformat() for time in rest.index[:-LATER]], cells)
    files = ("--source", "csv", "--path", "rest.csv", "--plot", "none", "--out", "out")
    outcome = finish(start(*files, "--model", scored.saved, folder=tmp_path))
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out/scores.csv").read_text().splitlines()[1:] == scored.scores[TRAINING:-LATER]
    assert lines(ae.Detector(model=scored.saved).process(rest)) == scored.scores[TRAINING:]
    assert lines(ae.load(tmp_path / "out").process(rest[-LATER:])) == scored.scores[-LATER:]


@pytest.mark.parametrize("enabled", [False, True], ids=["two columns", "adaptive"])
def test_other_shapes_of_a_run(tmp_path: Path, enabled: bool) -> None:
    """Two columns without times; and a stream that changes for good, in chunks, saved and loaded between two of them."""
    values = np.array([wave(2000), wave(2001)[1:]])
    values[:, 900:] = values[:, 900:] * 2 + 40
    write_csv(tmp_path / "two.csv", *values.tolist(), header="a,b")
    adaptation = {"adaptation.enabled": enabled, "adaptation.confirm_windows": 3, "adaptation.cold_start_points": None}
    settings = {"training.points": TRAINING, "forest.n_estimators": 10, **adaptation}
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={'null' if value is None else value}")]
    files = ("--source", "csv", "--path", "two.csv", "--column", "a", "--column", "b", "--plot", "none", "--out", "out")
    outcome = finish(start(*files, "--detector", "isolation_forest_sliding", *flags, folder=tmp_path))
    assert outcome.code == 0, outcome.err
    table = pd.DataFrame(values.T, columns=["a", "b"])
    one = ae.Detector("isolation_forest_sliding", config=settings)
    found = lines(one.process(table[:1000]), "") + lines(one.process(table[1000:1033]), "")
    one.save(tmp_path / "saved")
    one = ae.load(tmp_path / "saved")
    found += lines(one.process(table[1033:]), "")
    assert found == (tmp_path / "out/scores.csv").read_text().splitlines()[1:]
    assert incidents(one) == (tmp_path / "out/incidents.jsonl").read_text().splitlines()
    assert {event.event for event in one.adaptations} >= ({"drift declared", "promoted"} if enabled else set())
