"""Isolation forests: features and scores against plain twins and scikit-learn."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
from helpers import naive
from helpers.series import gappy_series, series
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import State
from autoencoder.scorers.features import window_features
from autoencoder.scorers.isolation_forest import (
    IsolationForestScorer,
    IsolationTrees,
    SlidingIsolationForestScorer,
    average_path_length,
)

quick = settings(deadline=None, max_examples=15, derandomize=True)


def forest(**chosen: int) -> IsolationForestScorer:
    return IsolationForestScorer(**{"window": 8, "n_estimators": 10, "max_samples": 64, **chosen})


def sliding() -> SlidingIsolationForestScorer:
    return SlidingIsolationForestScorer(window=8, n_estimators=15, max_samples=32, refit_window=150, refit_every=70)


@cache
def saved() -> State:
    return forest().fit(series(400)).state()


def test_training_shows_its_progress() -> None:
    shown: list[tuple[int, int]] = []
    forest().fit(series(400), lambda done, total, _: shown.append((done, total)))
    assert shown == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_predictions_are_medians() -> None:
    values = gappy_series(100, 3, seed=1)
    complete = ~np.isnan(values).any(axis=1)
    past = np.concatenate([series(400, 3)[-8:], values[complete]])
    _, predictions = forest().fit(series(400, 3)).process(values)
    expected = np.array([np.median(past[place : place + 8], axis=0) for place in range(complete.sum())])
    np.testing.assert_allclose(predictions[complete], expected, rtol=1e-12)


def test_the_sliding_forest_learns_a_new_normal() -> None:
    noisier = series(600, seed=1)
    noisier[:, 0] += np.random.default_rng(2).normal(scale=10, size=600)
    once, moving = (scorer.fit(series(400)).process(noisier)[0] for scorer in (forest(), sliding()))
    assert np.median(moving[300:]) < np.median(once[300:]) - 0.05


def test_a_constant_stretch_teaches_nothing() -> None:
    scorer = sliding().fit(series(400))
    scorer.process(np.full((400, 1), 100.0))
    errors, _ = scorer.process(np.array([[100.0], [130.0]]))
    assert errors[1] > errors[0] + 0.05


@pytest.mark.parametrize(
    ("name", "value"),  # the first one is a circle
    [("left", 0), ("right", 10_000), ("left", -1), ("feature", 4), ("feature", -2), ("threshold", np.nan), ("reached", 0)],
)
def test_trees_that_lead_astray(name: str, value: float) -> None:
    state: Any = copy.deepcopy(saved())
    state["trees"][name][0, 0] = value
    with pytest.raises(ModelFileError, match=f"isolation trees.*{name}"):
        forest().load(state)


@quick
@given(seed=st.integers(0, 99), window=st.integers(4, 20), kind=st.sampled_from(["random", "constant", "steps"]))
def test_features_equal_naive_twin(seed: int, window: int, kind: str) -> None:
    random = np.random.default_rng(seed).normal(size=(60, 2))
    values = {"random": random, "constant": np.full((60, 2), 0.1), "steps": np.floor(random)}[kind]
    features, medians = window_features(values, window)
    for row in range(60 - window):
        for column in range(2):
            past = values[row : row + window, column].tolist()
            expected, middle = naive.forest_features(past, values[row + window, column])
            np.testing.assert_allclose(features[row, column], expected, rtol=1e-12, atol=1e-15)
            assert medians[row, column] == pytest.approx(middle, rel=1e-12)


@pytest.mark.parametrize("columns", [1, 6])
@pytest.mark.parametrize("samples", [2, 64, 256])
@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_scores_equal_sklearn(columns: int, samples: int, spread: float) -> None:
    from sklearn.ensemble import IsolationForest

    rng = np.random.default_rng(0)
    points = np.round(rng.normal(scale=spread, size=(300, columns)), 2)  # equal values, so that leaves hold several points
    asked = np.concatenate([points, rng.normal(scale=5, size=(1000, columns)), np.full((1, columns), 1e30)])
    fitted = IsolationForest(n_estimators=20, max_samples=samples, random_state=0).fit(points)
    trees = IsolationTrees.grow(points, trees=20, samples=samples, seed=0)
    np.testing.assert_allclose(trees.score(asked), -fitted.score_samples(asked), rtol=1e-12)


def test_scores_equal_naive_twin() -> None:
    points = np.random.default_rng(0).normal(size=(100, 3))
    trees = IsolationTrees.grow(points, trees=10, samples=40, seed=3)
    tables = [trees.feature, trees.threshold, trees.left, trees.right, trees.reached]
    plain = [list(zip(*(table[row].tolist() for table in tables), strict=True)) for row in range(10)]
    rounded = points.astype(np.float32).astype(float)
    expected = [naive.isolation_score(plain, 40, point.tolist()) for point in rounded]
    np.testing.assert_allclose(trees.score(points), expected, rtol=1e-12)


def test_path_lengths_equal_naive_twin() -> None:
    counts = np.arange(1, 300)
    np.testing.assert_allclose(average_path_length(counts), [naive.search_length(int(count)) for count in counts], rtol=1e-12)
