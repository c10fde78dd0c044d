"""Half-space trees: they say what river says."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from helpers.series import noise

from autoencoder.core.errors import ConfigError, ModelFileError, TrainingError
from autoencoder.core.state import pack, unpack
from autoencoder.scorers.half_space_trees import HalfSpaceTreesScorer


def trees(**chosen: int) -> HalfSpaceTreesScorer:
    return HalfSpaceTreesScorer(**{"n_trees": 5, "height": 4, "window_size": 50, **chosen})


def test_errors_are_those_of_river() -> None:
    from river.anomaly import HalfSpaceTrees

    training, stream = noise(200), noise(100, seed=1)
    scorer = trees(window=2, seed=3).fit(training)
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
    np.testing.assert_allclose(scorer.calibration_errors, expected[50:198], rtol=1e-12)
    np.testing.assert_allclose(predictions[:, 0], [values[row - 2 : row].mean() for row in range(200, 300)])


def test_seed_counts_until_splits_are_saved() -> None:
    stream = noise(80, seed=1)
    same, again, other = (trees(seed=seed).fit(noise(200)) for seed in (0, 0, 1))
    loaded = trees(seed=1)
    loaded.load(unpack(pack(same.state()), "state.npz"))
    expected = same.process(stream)[0]
    np.testing.assert_array_equal(again.process(stream)[0], expected)
    np.testing.assert_array_equal(loaded.process(stream)[0], expected)
    assert not np.array_equal(other.process(stream)[0], expected)


def test_too_wide_a_training_part() -> None:
    values = noise(200)
    values[3], values[4] = 1.5e308, -1.5e308
    with pytest.raises(TrainingError, match="more than a number can hold"):
        trees().fit(values)


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
def test_trees_that_do_not_fit_together(name: str, value: Any) -> None:
    state = trees().fit(noise(200)).state()
    table = state[name]
    if isinstance(table, np.ndarray) and not isinstance(value, np.ndarray):
        table[0, 0] = value
    else:
        state[name] = value
    with pytest.raises(ModelFileError, match="half_space_trees"):
        trees().load(state)


def test_without_river(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river.anomaly", None)
    with pytest.raises(ConfigError, match="pip install river"):
        HalfSpaceTreesScorer()
