"""Many streams with one model: every stream gets the detections that a detector of its own would give."""

from __future__ import annotations

import numpy as np
import pytest

from autoencoder.assembly import make_detector
from autoencoder.config import Config, validate
from autoencoder.core.errors import ModelError
from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector
from autoencoder.fleet import make_fleet
from autoencoder.scorers.base import Array

STREAMS, TICKS, TRAINING = 5, 700, 300
FIELDS = ("predictions", "errors", "thresholds", "scores", "anomalies")


def stream(seed: int, points: int) -> Array:
    """Values (N, 1) of a season with noise, a trend that differs from stream to stream, and a few outliers."""
    random = np.random.default_rng(seed)
    values = 3 * np.sin(2 * np.pi * np.arange(points) / 24) + 0.3 * random.normal(size=points) + 0.004 * seed * np.arange(points)
    values[random.integers(0, points, 6)] += 8
    return values[:, None]


def trained(**changes: object) -> StreamDetector:
    config = validate({"training": {"max_steps": 40}, "threshold": {"budget": 0.02}, **changes}, "the test")
    detector = make_detector(config, TRAINING)
    detector.process(np.arange(TRAINING), stream(0, TRAINING))
    return detector


def ticks(values: Array) -> list[Array]:
    """Values (S, N, 1) -> a tick (S, 1) for each of the N points."""
    return list(values.transpose(1, 0, 2))


@pytest.mark.parametrize("detector", ["lstm_autoencoder", "windowed_gaussian", "isolation_forest"])
def test_a_fleet_gives_each_stream_the_verdicts_of_a_detector_of_its_own(detector: str) -> None:
    model = trained(detector=detector)
    values = np.stack([stream(seed, TICKS) for seed in range(1, STREAMS + 1)])  # (S, N, 1)
    values[np.random.default_rng(0).uniform(size=values.shape) < 0.1] = np.nan  # streams that bring nothing at a tick
    alone = [model.clone().process(np.arange(TICKS), one) for one in values]
    fleet = make_fleet(model, STREAMS)
    together = [fleet.process(np.full(STREAMS, tick), points) for tick, points in enumerate(ticks(values))]
    for row, expected in enumerate(alone):
        found = Detections.concatenate([detections[row : row + 1] for detections in together])
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), err_msg=f"stream {row}, {field}")
    assert sum(detections.anomalies.any() for detections in together) > STREAMS


def test_a_sibling_of_a_detector_goes_its_own_way() -> None:
    model = trained()
    first, second = model.clone(), model.clone()
    before = first.process(np.arange(400), stream(1, 400))
    second.process(np.arange(400), 100 * stream(2, 400))
    model.process(np.arange(400), 50 * stream(3, 400))
    again = model.clone().process(np.arange(400), stream(1, 400))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(again, field), getattr(before, field))


def test_a_detector_that_is_not_trained_has_no_siblings() -> None:
    with pytest.raises(ModelError, match="train it first"):
        make_fleet(make_detector(Config(), 100), 3)
