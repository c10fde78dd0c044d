"""The panel: many series are scored as each would be alone, however their rows are cut and whenever the run was saved."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError, TrainingError
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector
from autoencoder.panel.panel import Panel
from autoencoder.panel.series import Series
from autoencoder.reports.incidents import Incident
from autoencoder.reports.tracker import IncidentTracker
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.sources.chunk import Chunk
from autoencoder.thresholds.budget import Budget
from autoencoder.thresholds.quantile import QuantileThreshold

NAMES = ("a", "b", "c")
TRAINING = 70
Rows = tuple[list[Incident], Detections]


def make_detector() -> StreamDetector:
    return StreamDetector(
        WindowedGaussianScorer(window=32), lambda share: QuantileThreshold(budget=share, window=64), Budget.parse(0.05), TRAINING
    )


def make_panel(told: list[str] | None = None) -> Panel:
    def make(name: str | None, points: int | None) -> Series:
        return Series(name, make_detector(), IncidentTracker(hysteresis=0.3), lambda _: (3, 200))

    return Panel(make, [].append if told is None else told.append)


def rows(count: int = 600, seed: int = 0, constant: str = "") -> Chunk:
    """Rows of three series in random turn, each with spikes; one of them may be constant."""
    random = np.random.default_rng(seed)
    owners = random.integers(0, len(NAMES), count)
    values = random.normal(size=(count, 1)) + 8 * (random.random((count, 1)) < 0.03)
    if constant:
        values[owners == NAMES.index(constant)] = 1.0
    return Chunk(np.arange(count), values, None, owners)


def process(panel: Panel, chunk: Chunk, cuts: list[int]) -> Rows:
    closed, parts = [], []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(chunk)], strict=True):
        if start < stop:
            batch = panel.process(chunk[start:stop], NAMES)
            closed += batch.closed
            parts.append(batch.detections)
    return [*closed, *panel.finish()], Detections.concatenate(parts)


def assert_same(one: Rows, other: Rows) -> None:
    assert one[0] == other[0]
    for field in fields(Detections):
        np.testing.assert_array_equal(getattr(one[1], field.name), getattr(other[1], field.name))


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.lists(st.integers(0, 600), max_size=8))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    whole = process(make_panel(), rows(), [])
    assert len(whole[0]) > 3 and len({incident.series for incident in whole[0]}) == 3
    assert_same(process(make_panel(), rows(), cuts), whole)


def test_a_series_is_scored_as_if_alone() -> None:
    chunk = rows()
    _, together = process(make_panel(), chunk, [100, 101, 300])
    for place in range(len(NAMES)):
        own = chunk.series == place
        alone = make_detector().process(chunk.time[own], chunk.values[own])
        np.testing.assert_array_equal(together.errors[own], alone.errors)
        np.testing.assert_array_equal(together.scores[own], alone.scores)


def test_incidents_count_from_where_they_began() -> None:
    closed, detections = process(make_panel(), rows(), [])
    positions = {name: np.flatnonzero(rows().series == place) for place, name in enumerate(NAMES)}
    closed = sorted(closed, key=lambda one: one.id)
    began = [int(positions[str(one.series)][one.first_row]) for one in closed]
    assert began == sorted(began) and [one.id for one in closed] == list(range(1, len(closed) + 1))
    assert all(detections.anomalies[row] for row in began)


@pytest.mark.parametrize("at", [20, 150, 333])
def test_a_loaded_panel_goes_on_exactly(at: int) -> None:
    chunk, whole = rows(), process(make_panel(), rows(), [])
    first = make_panel()
    batch = first.process(chunk[:at], NAMES)
    again = make_panel()
    again.load(unpack(pack(first.state()), "checkpoint"), {})
    assert again.open == batch.open
    closed, detections = process(again, chunk[at:], [3])
    assert_same(([*batch.closed, *closed], Detections.concatenate([batch.detections, detections])), whole)


def test_a_series_that_cannot_be_learnt_is_left_out() -> None:
    told: list[str] = []
    panel = make_panel(told)
    _, detections = process(panel, rows(constant="b"), [])
    assert [one.name for one in panel.scored] == ["a", "c"] and len(told) == 1 and told[0].startswith("series 'b' is left out: ")
    assert np.isnan(detections.scores[rows().series == 1]).all() and not np.isnan(detections.scores[rows().series == 0]).all()
    again = make_panel()
    again.load(panel.state(), {})
    assert again["b"].left_out == panel["b"].left_out and again.is_fitted


def test_a_source_without_series_ends_with_the_error() -> None:
    with pytest.raises(TrainingError, match="constant"):
        make_panel().process(Chunk(np.arange(80), np.ones((80, 1))))


def test_no_series_left_is_an_error() -> None:
    panel = make_panel()
    panel.process(Chunk(np.arange(100), np.ones((100, 1)), None, np.zeros(100, np.int64)), NAMES)
    with pytest.raises(TrainingError, match="series 'a' cannot be judged: "):
        panel.require_scored()


@pytest.mark.parametrize(
    "damage",
    [
        {"series": "[]]"},
        {"series": '[[1, "", []]]'},
        {"parts": np.zeros(3, np.uint8)},
        {"sizes": np.array([1 << 40] * 3)},
        {"pieces": {}},
        {"incidents": -1},
    ],
)
def test_a_damaged_checkpoint_is_refused(damage: dict[str, object]) -> None:
    panel = make_panel()
    panel.process(rows(), NAMES)
    with pytest.raises(ModelFileError):
        make_panel().load({**panel.state(), **damage}, {})
