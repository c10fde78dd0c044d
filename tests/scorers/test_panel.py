"""Many streams with one network: every stream gets the detections that a detector of its own would give."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from helpers.series import Array, assert_same, series

from autoencoder.config import Config, validate
from autoencoder.core.errors import NotFittedError
from autoencoder.core.state import pack
from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector
from autoencoder.factory.detectors import make_detector
from autoencoder.panel.fleet import Fleet
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.scorers.panel import LstmPanel, fit_panel
from autoencoder.thresholds.panel import PeaksOverThresholdPanel
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold

STREAMS, TICKS, TRAINING = 5, 700, 300
FIELDS = ("predictions", "errors", "thresholds", "scores", "anomalies", "contributions")


def stream(seed: int, points: int) -> Array:
    """Values (N, 1) of a season with noise, a trend that differs from stream to stream, and a few outliers."""
    random = np.random.default_rng(seed)
    values = 3 * np.sin(2 * np.pi * np.arange(points) / 24) + 0.3 * random.normal(size=points) + 0.004 * seed * np.arange(points)
    values[random.integers(0, points, 6)] += 8
    return values[:, None]


def trained(**changes: object) -> StreamDetector:
    config = validate({"training": {"steps": 40}, "threshold": {"budget": 0.02}, **changes}, "the test")
    detector = make_detector(config, TRAINING, fills_gaps=False)
    detector.process(np.arange(TRAINING), stream(0, TRAINING))
    return detector


def test_fleet_equals_single_detectors() -> None:
    """Running detectors, to the last bit of their states."""
    model, time = trained(), np.arange(TICKS)
    values = np.stack([stream(seed, TICKS) for seed in range(1, STREAMS + 1)])  # (S, N, 1)
    values[np.random.default_rng(0).uniform(size=values.shape) < 0.1] = np.nan  # streams that bring nothing at a tick
    singles, batched = ([model.clone() for _ in values] for _ in range(2))
    for row, pair in enumerate(zip(singles, batched, strict=True)):
        for detector in pair:
            detector.process(time[: 45 * row], values[row, : 45 * row])
    fleet = Fleet(batched)
    together = [fleet.process(np.full(STREAMS, tick), values[:, tick]) for tick in range(200, TICKS)]
    fleet.write_back()
    for row, single in enumerate(singles):
        expected = single.process(time[200:], values[row, 200:])
        found = Detections.concatenate([detections[row : row + 1] for detections in together])
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), err_msg=f"stream {row}, {field}")
        assert pack(batched[row].state()) == pack(single.state())
    assert sum(detections.anomalies.any() for detections in together) > STREAMS


def test_a_clone_goes_its_own_way() -> None:
    model = trained()
    first, second = model.clone(), model.clone()
    before = first.process(np.arange(400), stream(1, 400))
    second.process(np.arange(400), 100 * stream(2, 400))
    model.process(np.arange(400), 50 * stream(3, 400))
    again = model.clone().process(np.arange(400), stream(1, 400))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(again, field), getattr(before, field))


def test_an_untrained_detector_has_no_clones() -> None:
    with pytest.raises(NotFittedError, match="train it first"):
        make_detector(Config(), 100).clone()


def small_lstm() -> LstmAutoencoderScorer:
    return LstmAutoencoderScorer(sequence_length=16, units=(6,), max_steps=50, exclude_anomalies=True)


@pytest.mark.parametrize("columns", [1, 2])
def test_running_scorers_of_one_network(columns: int) -> None:
    """Series of several periods, scales and ages go on together, and by themselves again, as if each had been alone."""
    periods, sizes = [16, 40, 230, 16, 230], [1, 50, 0.1, 7, 1]
    parts = [size * series(1500, columns, seed, period) for seed, (period, size) in enumerate(zip(periods, sizes, strict=True))]
    singles, batched = ([small_lstm() for _ in parts] for _ in range(2))
    assert fit_panel(singles, [part[:700] for part in parts]) == {}
    for row, (single, part) in enumerate(zip(singles, parts, strict=True)):
        single.fit(part[:700])
        if row == 3:
            single.reset()  # a window that is not full
        single.process(part[700 : 710 + 30 * row])
        batched[row].load(single.state(), single.artifacts())
    assert len({single.window for single in singles}) > 2
    panel, rows = LstmPanel(batched), np.arange(len(parts))
    values = np.stack([part[1000:] for part in parts], axis=1)  # (N, S, F)
    values[np.random.default_rng(1).uniform(size=values.shape) < 0.05] = np.nan
    values[100] += 5
    together = [panel.score(values[tick]) for tick in range(300)]
    panel.write_back()
    for row in rows:
        found = tuple(np.array([tick[kind][row] for tick in together]) for kind in range(4))
        assert_same(found, singles[row].score(values[:300, row]))
        assert pack(batched[row].state()) == pack(singles[row].state())
        np.testing.assert_array_equal(batched[row].process(values[300:, row])[0], singles[row].process(values[300:, row])[0])


def test_running_thresholds() -> None:
    random = np.random.default_rng(0)
    singles = [PeaksOverThreshold(budget, window=300) for budget in (0.01, 0.02, 0.05, 0.01)]
    for row, single in enumerate(singles):
        single.fit(random.exponential(size=20 if row == 3 else 400))  # the last one has no limit yet
        single.process(random.exponential(size=70 * row))
    batched = copy.deepcopy(singles)
    panel, errors = PeaksOverThresholdPanel(batched), random.exponential(size=(800, 4))
    errors[random.uniform(size=errors.shape) < 0.1] = np.nan
    together = [panel.judge(errors[tick]) for tick in range(600)]
    panel.write_back()
    for row, single in enumerate(singles):
        limits, probabilities = single.judge(errors[:600, row])
        np.testing.assert_array_equal([tick[0][row] for tick in together], limits)
        np.testing.assert_array_equal([tick[1][row] for tick in together], probabilities)
        assert pack(batched[row].state()) == pack(single.state())
        np.testing.assert_array_equal(batched[row].process(errors[600:, row]), single.process(errors[600:, row]))
