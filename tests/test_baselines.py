"""The baselines: a moving normal distribution, and half-space trees that say what river says."""

from __future__ import annotations

import copy
import sys
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.assembly import make_scorer
from autoencoder.config import Config, validate
from autoencoder.core.errors import ConfigError, ModelError, TrainingError
from autoencoder.core.state import State, pack, unpack
from autoencoder.scorers import SCORERS, Array
from autoencoder.scorers.gaussian import FLOOR, WindowedGaussianScorer
from autoencoder.scorers.half_space import HalfSpaceTreesScorer

property_test = settings(deadline=None, max_examples=25, derandomize=True)
every_baseline = pytest.mark.parametrize("kind", ["half_space_trees", "windowed_gaussian"])


def noise(count: int, columns: int = 1, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(100, 3, size=(count, columns))


def trees(**chosen: int) -> HalfSpaceTreesScorer:
    return HalfSpaceTreesScorer(**{"trees": 5, "height": 4, "samples": 50, **chosen})


@property_test
@given(
    seed=st.integers(0, 99), kind=st.sampled_from(["random", "constant", "steps", "huge"]), window=st.sampled_from([32, 40, 200])
)
def test_gaussian_errors_equal_their_naive_twin(seed: int, kind: str, window: int) -> None:
    rng = np.random.default_rng(seed)
    training = rng.normal(5, 2, size=100)
    stream = {"random": rng.normal(size=60), "constant": np.full(60, 5.5), "steps": np.floor(rng.normal(size=60)), "huge": None}[
        kind
    ]
    stream = np.where(np.arange(60) == 9, 1e6, rng.normal(size=60)) if stream is None else stream
    scorer = WindowedGaussianScorer(window)
    scorer.fit(training[:, None])
    errors, predictions = scorer.process(stream[:, None])
    centre, scale = training.mean(), training.std()
    scaled = ((np.concatenate([training, stream]) - centre) / scale).tolist()
    for row in range(60):
        past = scaled[max(0, 100 + row - window) : 100 + row]
        assert errors[row] == pytest.approx(naive.gaussian_error(past, scaled[100 + row], FLOOR), rel=1e-6)
        assert predictions[row, 0] == pytest.approx(naive.moments(past)[0] * scale + centre, rel=1e-6, abs=1e-6)


def test_the_worst_column_is_the_error() -> None:
    scorer = WindowedGaussianScorer(50)
    scorer.fit(noise(100, 2))
    calm, odd = copy.deepcopy(scorer).process(np.array([[100.0, 100.0]])), scorer.process(np.array([[100.0, 160.0]]))
    assert odd[0][0] > 10 * calm[0][0]


def test_half_space_errors_are_those_of_river() -> None:
    from river.anomaly import HalfSpaceTrees

    training, stream = noise(200), noise(100, seed=1)
    scorer = trees(window=2, seed=3)
    scorer.fit(training)
    errors, predictions = scorer.process(stream)

    values = np.concatenate([training, stream])[:, 0]
    low, spread = training.min(), np.ptp(training)
    scaled = np.clip((values - (low - 0.5 * spread)) / (2 * spread), 0, 1)
    river = HalfSpaceTrees(n_trees=5, height=4, window_size=50, seed=3)
    expected = []
    for row in range(2, 300):
        point = {0: scaled[row - 1], 1: scaled[row]}
        expected.append(river.score_one(point))
        river.learn_one(point)
    np.testing.assert_allclose(errors, expected[-100:], rtol=1e-12)
    np.testing.assert_allclose(scorer.calibration_errors(), expected[50:198], rtol=1e-12)
    np.testing.assert_allclose(predictions[:, 0], [values[row - 2 : row].mean() for row in range(200, 300)])


def test_saved_splits_count_and_not_the_seed() -> None:
    one, other = trees(seed=0), trees(seed=1)
    one.fit(noise(200))
    other.load(unpack(pack(one.state()), "state.npz"), {})
    stream = noise(120, seed=1)
    np.testing.assert_array_equal(other.process(stream)[0], one.process(stream)[0])


def test_the_same_seed_gives_the_same_trees_and_another_one_others() -> None:
    errors = []
    for seed in (0, 0, 1):
        scorer = trees(seed=seed)
        scorer.fit(noise(200))
        errors.append(scorer.process(noise(80, seed=1))[0])
    np.testing.assert_array_equal(errors[0], errors[1])
    assert not np.array_equal(errors[0], errors[2])


def test_a_short_training_part_shortens_the_blocks_of_the_trees() -> None:
    scorer = trees(samples=1000)
    scorer.fit(noise(102))
    assert scorer.report()["samples"] == 50
    assert len(scorer.calibration_errors()) == 50


@every_baseline
def test_infinite_and_huge_values_do_no_harm(kind: str) -> None:
    scorer = SCORERS[kind]()
    scorer.fit(noise(300))
    values = noise(200, seed=1)
    values[50], values[100], values[150] = np.inf, 1e308, -1e308
    errors, _ = scorer.process(values)
    assert np.isnan(errors[50])
    assert np.isfinite(np.delete(errors, 50)).all()


def test_a_training_part_wider_than_numbers_go_is_refused() -> None:
    values = noise(200)
    values[3], values[4] = 1.5e308, -1.5e308
    with pytest.raises(TrainingError, match="more than a number can hold"):
        trees().fit(values)


@every_baseline
def test_a_stream_of_another_width_or_without_a_model_is_refused(kind: str) -> None:
    scorer = SCORERS[kind]()
    with pytest.raises(ModelError, match="no model yet"):
        scorer.process(noise(10))
    with pytest.raises(ModelError, match="no model yet"):
        scorer.state()
    scorer.fit(noise(200))
    with pytest.raises(ModelError, match="2 columns, the model was trained on 1"):
        scorer.process(noise(10, 2))


@every_baseline
def test_a_model_made_with_other_settings_or_of_another_kind_is_refused(kind: str) -> None:
    scorer = SCORERS[kind](window=40)
    scorer.fit(noise(200))
    with pytest.raises(ModelError, match=rf"made with {kind}\.window 40, this run asks for 50"):
        SCORERS[kind](window=50).load(scorer.state(), {})
    with pytest.raises(ModelError, match="of kind 'other'"):
        SCORERS[kind](window=40).load({**scorer.state(), "kind": "other"}, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("feature", 2),
        ("feature", -2),
        ("reference", -1),
        ("latest", 51),
        ("trained", 51),
        ("threshold", np.nan),
        ("counted", 50),
        ("samples", 51),
        ("range", np.zeros(1)),
        ("recent", np.zeros((3, 1))),
        ("low", np.zeros(2)),
    ],
)
def test_trees_that_do_not_fit_together_are_refused(name: str, value: Any) -> None:
    scorer = trees()
    scorer.fit(noise(200))
    state: State = scorer.state()
    table = state[name]
    if isinstance(table, np.ndarray) and not isinstance(value, np.ndarray):
        table[0, 0] = value
    else:
        state[name] = value
    with pytest.raises(ModelError, match="half_space_trees"):
        trees().load(state, {})


@pytest.mark.parametrize(("name", "value"), [("scale", np.zeros(1)), ("recent", np.zeros((41, 1))), ("centre", np.zeros(2))])
def test_a_normal_distribution_that_does_not_fit_together_is_refused(name: str, value: Array) -> None:
    scorer = WindowedGaussianScorer(40)
    scorer.fit(noise(200))
    with pytest.raises(ModelError, match="windowed_gaussian"):
        WindowedGaussianScorer(40).load({**scorer.state(), name: value}, {})


@pytest.mark.parametrize(("name", "value"), [("window", 0), ("trees", 0), ("height", 0), ("height", 16), ("samples", 31)])
def test_settings_of_the_trees_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"half_space_trees\.{name} is {value}; it must be at (least|most)"):
        HalfSpaceTreesScorer(**{name: value})


def test_without_river_the_trees_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river.anomaly", None)
    with pytest.raises(ConfigError, match="pip install river"):
        HalfSpaceTreesScorer()


def test_the_configuration_reaches_the_baselines() -> None:
    changed = validate({"half_space_trees": {"n_trees": 7}, "windowed_gaussian": {"window": 77}}, "here")
    for kind, expected in {"half_space_trees": ("trees", 7), "windowed_gaussian": ("window", 77)}.items():
        report = make_scorer(changed.model_copy(update={"detector": kind})).report()
        assert report[expected[0]] == expected[1]
        assert make_scorer(Config(detector=kind)).report() == SCORERS[kind]().report()
