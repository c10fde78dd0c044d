"""The detector: cutting the stream changes nothing, the training boundary included, and a saved state goes on where it stood."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import AutoencoderError, ConfigError, ModelFileError, NotFittedError
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector
from autoencoder.scorers import Scorer
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.thresholds import THRESHOLDS, Threshold
from autoencoder.thresholds.budget import Budget

TRAINING, COUNT = 150, 400
FIELDS = ("time", "values", "predictions", "errors", "thresholds", "scores", "anomalies")
quick = settings(deadline=None, max_examples=30, derandomize=True)
Array = np.ndarray[Any, Any]


def make(
    kind: str = "tail",
    scorer: Scorer | None = None,
    budget: float | str = 0.02,
    points: int = TRAINING,
    fills_gaps: bool = True,
) -> StreamDetector:
    def threshold(share: float) -> Threshold:
        return THRESHOLDS[kind](budget=share)

    scorer = scorer or WindowedGaussianScorer(window=40)
    return StreamDetector(scorer, threshold, Budget.parse(budget), points, fills_gaps=fills_gaps)


@cache
def stream(columns: int = 1, gaps: bool = True) -> tuple[Array, Array]:
    """Times (N,) and values (N, F): a noisy wave with gaps, in the training part too, and a spike every hundred points."""
    rng = np.random.default_rng(2)
    index = np.arange(COUNT)
    values = 50 + np.sin(2 * np.pi * index / 24)[:, None] + rng.normal(scale=0.2, size=(COUNT, columns))
    values[199::100] += 9
    if gaps:
        values[rng.random(COUNT) < 0.05, 0] = np.nan
    return np.datetime64("2024-01-01", "ns") + index * np.timedelta64(1, "h"), values


def assert_same(one: Detections, other: Detections) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def scored(detector: StreamDetector, cuts: list[int]) -> Detections:
    pieces = zip(*(np.split(array, sorted(cuts)) for array in stream()), strict=True)
    return Detections.concatenate([detector.process(time, values) for time, values in pieces])


every_threshold = pytest.mark.parametrize("kind", sorted(THRESHOLDS))


@every_threshold
@quick
@example(cuts=list(range(1, COUNT)))  # one point at a time
@given(cuts=st.lists(st.one_of(st.integers(0, COUNT), st.integers(TRAINING - 2, TRAINING + 2)), max_size=12))
def test_cutting_the_stream_changes_nothing(kind: str, cuts: list[int]) -> None:
    assert_same(scored(make(kind), cuts), scored(make(kind), []))


def test_the_training_part_is_not_scored() -> None:
    detections = scored(make(), [])
    known = ~np.isnan(detections.values[:, 0])
    assert np.isnan(detections.errors[:TRAINING]).all() and not detections.anomalies[:TRAINING].any()
    for name in ("errors", "thresholds", "scores"):
        np.testing.assert_array_equal(np.isnan(getattr(detections, name)[TRAINING:]), ~known[TRAINING:])
    np.testing.assert_array_equal(
        detections.anomalies, np.nan_to_num(detections.errors) > np.nan_to_num(detections.thresholds, nan=np.inf)
    )
    known_scores = detections.scores[~np.isnan(detections.scores)]
    assert ((known_scores >= 0) & (known_scores <= 1)).all()


def test_spikes_are_flagged_and_score_highest() -> None:
    detections = scored(make(), [])
    spikes = [row for row in range(199, COUNT, 100) if not np.isnan(detections.values[row, 0])]
    assert len(spikes) >= 2
    assert detections.anomalies[spikes].all()
    assert detections.scores[spikes].min() >= np.nanmax(detections.scores[TRAINING:199])


@every_threshold
def test_scores_do_not_depend_on_the_threshold(kind: str) -> None:
    np.testing.assert_array_equal(scored(make(kind), []).scores, scored(make("tail"), []).scores)


@every_threshold
def test_what_is_missing_and_not_filled_changes_no_other_point(kind: str) -> None:
    time, values = stream(gaps=False)
    places = [*range(10, COUNT, 17)]
    gappy_time, gappy = np.insert(time, places, time[places]), np.insert(values, places, np.nan, axis=0)
    lost = np.flatnonzero(np.isnan(gappy[:, 0]))
    before = int((lost < TRAINING).sum())
    while (lost < TRAINING + before).sum() > before:  # as many rows of the training part are missing
        before = int((lost < TRAINING + before).sum())
    whole = make(kind, fills_gaps=False).process(time, values)
    detections = make(kind, points=TRAINING + before, fills_gaps=False).process(gappy_time, gappy)
    for name in FIELDS:
        np.testing.assert_array_equal(np.delete(getattr(detections, name), lost, axis=0), getattr(whole, name), err_msg=name)


# --- saved models ---


def test_an_adopted_model_has_its_own_threshold() -> None:
    time, values = stream(gaps=False)
    trained = make()
    trained.process(time, values)
    assert isinstance(trained.state()["share"], float)
    adopted = make("sigma", budget=0.25, points=0)
    adopted.load_model(unpack(pack(trained.state()), "x"), trained.scorer.artifacts())
    assert (adopted.trained, adopted.share, adopted.training_seconds) == (True, 0.25, 0.0)
    detections = adopted.process(time, values)
    assert not np.isnan(detections.thresholds[-1])
    loose, strict = detections.anomalies.sum(), trained.process(time, values).anomalies.sum()
    assert loose > strict


def test_an_untrained_model_is_not_adopted() -> None:
    time, values = stream()
    waiting = make()
    waiting.process(time[:10], values[:10])
    assert len(waiting.training) == 10
    with pytest.raises(NotFittedError, match="not trained"):
        make().load_model(waiting.state(), {})


def test_another_number_of_columns_is_refused() -> None:
    time, values = stream(columns=2, gaps=False)
    detector = make()
    detector.process(time, values[:, :1])
    with pytest.raises(ModelFileError, match="trained on 1 columns, the stream has 2"):
        detector.process(time, values)


# --- the budget and the training part ---


def test_a_rate_for_a_saved_model() -> None:
    time, values = stream(gaps=False)
    with pytest.raises(ConfigError, match="no timestamps"):
        make(budget="1 per day").process(np.arange(COUNT), values)
    trained = make(budget=0.5)
    trained.process(time, values)
    adopted = make(budget="6 per day")
    adopted.load_model(unpack(pack(trained.state()), "x"), {})
    assert adopted.share == 0.25
    counted = make(budget=0.5)
    counted.process(np.arange(COUNT), values)
    with pytest.raises(ConfigError, match="no timestamps"):
        make(budget="6 per day").load_model(counted.state(), {})


def test_a_damaged_state_is_refused_or_harmless() -> None:
    time, values = stream(gaps=False)
    for seen in (10, COUNT):
        detector = make("quantile")
        detector.process(time[:seen], values[:seen])
        state = unpack(pack(detector.state()), "x")
        for key in state:
            for value in (None, "text", float("nan"), 2, np.zeros(3), np.full((2, 2), np.nan), {}):
                fresh = make("quantile")
                try:
                    fresh.load({**state, key: value}, {})
                    fresh.process(time[:50], values[:50])
                except AutoencoderError as error:
                    assert error.exit_code == 2, (key, value)


def test_a_clone_goes_its_own_way() -> None:
    model, (time, values) = make(), stream()
    model.process(time[:TRAINING], values[:TRAINING])
    first, second = model.clone(), model.clone()
    before = first.process(time, values)
    second.process(time, 100 * values[::-1])
    model.process(time[TRAINING:], 50 * values[TRAINING:])
    assert_same(model.clone().process(time, values), before)


def test_an_untrained_detector_has_no_clones() -> None:
    with pytest.raises(NotFittedError, match="train it first"):
        make().clone()
