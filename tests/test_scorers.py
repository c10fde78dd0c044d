"""What every scorer keeps to, and what the isolation forests promise on top."""

from __future__ import annotations

import copy
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ConfigError, ModelError, TrainingError
from autoencoder.core.state import State, pack, unpack
from autoencoder.network.training import Recipe
from autoencoder.scorers import SCORERS, Array, Scorer
from autoencoder.scorers.base import Expecting
from autoencoder.scorers.features import window_features
from autoencoder.scorers.forest import IsolationForestScorer, SlidingIsolationForestScorer
from autoencoder.scorers.trees import IsolationTrees, average_path_length

FAST: dict[str, dict[str, Any]] = {  # settings that make a kind quick to train; the others take their defaults
    "lstm_autoencoder": {"steps": 12, "hidden": (8,), "latent": 4, "recipe": Recipe(steps=150)},
    "isolation_forest": {"window": 8, "trees": 10, "samples": 64},
    "isolation_forest_sliding": {"window": 8, "trees": 15, "samples": 32, "history": 150, "refit_every": 70},
    "half_space_trees": {"trees": 10, "height": 6, "samples": 64},
    "windowed_gaussian": {"window": 50},
}
TRAINING = 400

every_kind = pytest.mark.parametrize("kind", sorted(SCORERS))
every_forest = pytest.mark.parametrize("kind", ["isolation_forest", "isolation_forest_sliding"])
quick = settings(deadline=None, max_examples=15, derandomize=True)


def make(kind: str, **chosen: object) -> Scorer:
    build: Callable[..., Scorer] = SCORERS[kind]
    return build(**{**FAST.get(kind, {}), **chosen})


def series(count: int, columns: int = 1, seed: int = 0) -> Array:
    """A noisy season around 100, each column with another phase."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.arange(count)[:, None] / 25 + np.arange(columns)
    return 100 + 3 * np.sin(phase) + rng.normal(scale=0.3, size=(count, columns))


def gappy_series(count: int, columns: int = 1, seed: int = 0) -> Array:
    """As ``series``, with missing values and outliers."""
    rng = np.random.default_rng(seed)
    values = series(count, columns, seed)
    values[rng.random(values.shape) < 0.05] = np.nan
    values[rng.random(values.shape) < 0.02] += 20
    return values


class Trained(NamedTuple):
    """A scorer right after training, and what the very one that was trained then says of a stream."""

    state: State
    files: Mapping[str, bytes]
    calibration_errors: Array
    detection: tuple[Array, Array]


@cache
def train(kind: str, columns: int = 1) -> Trained:
    """One training serves all tests."""
    scorer = make(kind)
    scorer.fit(series(TRAINING, columns))
    return Trained(
        scorer.state(), scorer.files(), scorer.calibration_errors(), scorer.process(gappy_series(150, columns, seed=1))
    )


def trained(kind: str, columns: int = 1) -> tuple[State, Mapping[str, bytes]]:
    return train(kind, columns)[:2]


def ready(kind: str, columns: int = 1) -> Scorer:
    scorer = make(kind)
    state, files = trained(kind, columns)
    scorer.load(copy.deepcopy(state), files)
    return scorer


def process_in_pieces(scorer: Scorer, values: Array, cuts: list[int]) -> tuple[Array, Array]:
    results = [scorer.process(piece) for piece in np.split(values, sorted(cuts))]
    return np.concatenate([errors for errors, _ in results]), np.concatenate([predictions for _, predictions in results])


def assert_same(one: tuple[Array, Array], other: tuple[Array, Array]) -> None:
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


# --- the law ---


@every_kind
@pytest.mark.parametrize("columns", [1, 3])
def test_errors_and_predictions_have_the_shape_of_the_stream(kind: str, columns: int) -> None:
    values = series(100, columns, seed=1)
    errors, predictions = ready(kind, columns).process(values)
    assert errors.shape == (100,)
    assert predictions.shape == (100, columns)
    assert np.isfinite(errors).all()
    assert np.isfinite(predictions).all()
    empty = ready(kind, columns).process(np.empty((0, columns)))
    assert empty[0].shape == (0,)
    assert empty[1].shape == (0, columns)


@every_kind
def test_predictions_are_in_the_units_of_the_data(kind: str) -> None:
    values = series(200, seed=1)
    _, predictions = ready(kind).process(values)
    assert np.abs(predictions - values).max() < 15
    assert np.abs(predictions - values).mean() < 5


@every_kind
@pytest.mark.parametrize("place", [0, 57, 140, 199])
def test_errors_do_not_depend_on_later_values(kind: str, place: int) -> None:
    values = gappy_series(200, seed=1)
    before = ready(kind).process(values)
    changed = values.copy()
    changed[place + 1 :] += 50
    after = ready(kind).process(changed)
    assert_same((after[0][: place + 1], after[1][: place + 1]), (before[0][: place + 1], before[1][: place + 1]))


@every_kind
@quick
@given(seed=st.integers(0, 20), columns=st.sampled_from([1, 3]), cuts=st.lists(st.integers(0, 250), max_size=20))
def test_cutting_the_stream_makes_no_difference(kind: str, seed: int, columns: int, cuts: list[int]) -> None:
    values = gappy_series(250, columns, seed)
    assert_same(process_in_pieces(ready(kind, columns), values, cuts), ready(kind, columns).process(values))


@every_kind
def test_one_point_at_a_time_gives_the_same_errors(kind: str) -> None:
    values = gappy_series(100, seed=1)
    assert_same(process_in_pieces(ready(kind), values, list(range(1, 100))), ready(kind).process(values))


@every_kind
@quick
@given(cuts=st.lists(st.integers(0, 250), max_size=20), told=st.randoms(use_true_random=False))
def test_knowing_what_comes_next_makes_no_difference(kind: str, cuts: list[int], told: random.Random) -> None:
    values, scorer = gappy_series(250, seed=2), ready(kind)
    expected = ready(kind).process(values)
    if not isinstance(scorer, Expecting):
        pytest.skip("it has no use for it")
    parts, pieces = [], np.split(values, sorted(cuts))
    for part, following in zip(pieces, [*pieces[1:], values[:70]], strict=True):
        if told.random() < 0.7:  # what does not come after all is forgotten
            scorer.expect(following if told.random() < 0.7 else values[:70], part)
        parts.append(scorer.process(part))
    errors, predictions = (np.concatenate(side) for side in zip(*parts, strict=True))
    assert_same((errors, predictions), expected)


@every_kind
@quick
@given(place=st.integers(0, 200))
def test_a_fresh_scorer_goes_on_from_a_saved_state(kind: str, place: int) -> None:
    values = gappy_series(200, seed=1)
    whole = ready(kind).process(values)
    first, second = ready(kind), make(kind)
    first.process(values[:place])
    second.load(unpack(pack(first.state()), "state.npz"), first.files())
    assert_same(second.process(values[place:]), (whole[0][place:], whole[1][place:]))


@every_kind
def test_a_scorer_just_trained_and_one_loaded_agree(kind: str) -> None:
    assert_same(ready(kind).process(gappy_series(150, seed=1)), train(kind).detection)


@every_kind
def test_a_saved_state_does_not_change_when_the_scorer_goes_on(kind: str) -> None:
    scorer = ready(kind)
    saved = scorer.state()
    packed = pack(saved)
    scorer.process(series(150, seed=1))
    assert pack(saved) == packed


@every_kind
def test_a_row_with_a_missing_value_is_unknown_and_changes_nothing(kind: str) -> None:
    values = series(200, 3, seed=1)
    gap = np.array([[np.nan, 100.0, 100.0]])
    with_gaps = np.insert(values, [0, 5, 70, 70, 199], gap, axis=0)
    missing = np.isnan(with_gaps).any(axis=1)
    errors, predictions = ready(kind, 3).process(with_gaps)
    assert np.isnan(errors[missing]).all()
    assert np.isnan(predictions[missing]).all()
    assert_same((errors[~missing], predictions[~missing]), ready(kind, 3).process(values))


@every_kind
def test_after_a_restart_nothing_of_the_old_stream_counts(kind: str) -> None:
    values = series(200, seed=1)
    one, other = ready(kind), ready(kind)
    one.process(1000 * series(30, seed=2))
    one.reset()
    other.reset()
    restarted = one.process(values)
    assert_same(restarted, other.process(values))
    assert np.isnan(restarted[0][0])
    assert np.isfinite(restarted[0][-1])


@every_kind
@pytest.mark.parametrize("columns", [1, 3])
def test_training_errors_are_known_and_like_those_of_normal_points(kind: str, columns: int) -> None:
    training = train(kind, columns).calibration_errors
    assert training.ndim == 1
    assert len(training) > TRAINING / 4
    assert np.isfinite(training).all()
    errors, _ = ready(kind, columns).process(series(300, columns, seed=1))
    assert 0.5 < np.median(errors) / np.median(training) < 2


@every_kind
def test_an_outlier_has_a_larger_error_than_normal_points(kind: str) -> None:
    values = series(200, seed=1)
    values[120] += 15
    errors, _ = ready(kind).process(values)
    assert errors[120] > np.quantile(errors[:120], 0.98)


@every_kind
def test_a_training_part_too_short_or_constant_is_refused(kind: str) -> None:
    with pytest.raises(TrainingError):
        make(kind).fit(series(5))
    with pytest.raises(TrainingError):
        make(kind).fit(np.full((TRAINING, 1), np.nan))
    with pytest.raises(TrainingError, match="constant"):
        make(kind).fit(np.full((TRAINING, 1), 3.0))


@every_kind
def test_a_state_with_a_part_missing_is_refused(kind: str) -> None:
    state, files = trained(kind)
    for name in state:
        with pytest.raises(ModelError):
            make(kind).load({key: value for key, value in state.items() if key != name}, files)


@every_kind
def test_a_report_is_plain_and_names_the_window(kind: str) -> None:
    report = ready(kind).report()
    assert report["window"]
    json.dumps(report)


# --- isolation forests ---


@every_forest
def test_the_same_seed_gives_the_same_forest_and_another_one_another(kind: str) -> None:
    values, errors = series(300, seed=1), []
    for seed in (0, 0, 1):
        scorer = make(kind, seed=seed)
        scorer.fit(series(TRAINING))
        errors.append(np.concatenate([scorer.calibration_errors(), scorer.process(values)[0]]))
    np.testing.assert_array_equal(errors[0], errors[1])
    assert not np.array_equal(errors[0], errors[2])


@every_forest
def test_training_shows_its_progress(kind: str) -> None:
    shown: list[tuple[int, int]] = []
    make(kind).fit(series(TRAINING), lambda done, total, _: shown.append((done, total)))
    assert shown == [(0, 3), (1, 3), (2, 3), (3, 3)]


@every_forest
def test_missing_rows_of_the_training_part_are_left_out(kind: str) -> None:
    values, stream = series(TRAINING), series(100, seed=1)
    one, other = make(kind), make(kind)
    one.fit(values)
    other.fit(np.insert(values, [0, 7, 399], np.nan, axis=0))
    assert_same(one.process(stream), other.process(stream))


@every_forest
def test_predictions_are_the_median_of_the_points_before(kind: str) -> None:
    values = gappy_series(100, 3, seed=1)
    complete = ~np.isnan(values).any(axis=1)
    past = np.concatenate([series(TRAINING, 3)[-8:], values[complete]])
    _, predictions = ready(kind, 3).process(values)
    expected = np.array([np.median(past[place : place + 8], axis=0) for place in range(complete.sum())])
    np.testing.assert_allclose(predictions[complete], expected, rtol=1e-12)


@every_forest
def test_infinite_and_huge_values_do_no_harm(kind: str) -> None:
    values = series(300, seed=1)
    values[50], values[100], values[150] = np.inf, 1e308, -1e308
    errors, _ = ready(kind).process(values)
    assert np.isnan(errors[50])
    assert np.isfinite(np.delete(errors, 50)).all()


def test_the_sliding_forest_learns_what_has_become_normal() -> None:
    noisier = series(600, seed=1)
    noisier[:, 0] += np.random.default_rng(2).normal(scale=10, size=600)
    once, sliding = (ready(kind).process(noisier)[0] for kind in ("isolation_forest", "isolation_forest_sliding"))
    assert np.median(sliding[300:]) < np.median(once[300:]) - 0.05


def test_the_sliding_forest_keeps_what_it_knows_through_a_constant_stretch() -> None:
    scorer = ready("isolation_forest_sliding")
    scorer.process(np.full((400, 1), 100.0))
    errors, _ = scorer.process(np.array([[100.0], [130.0]]))
    assert errors[1] > errors[0] + 0.05


def test_training_too_short_says_how_much_is_needed() -> None:
    with pytest.raises(TrainingError, match=r"60 complete points of 61; isolation_forest with a window of 8 needs 64"):
        make("isolation_forest").fit(np.append(series(60), [[np.nan]], axis=0))


@every_forest
def test_a_model_made_with_other_settings_or_of_another_kind_is_refused(kind: str) -> None:
    state, files = trained(kind)
    with pytest.raises(ModelError, match=r"made with forest\.window 8, this run asks for 12"):
        make(kind, window=12).load(state, files)
    other = "isolation_forest" if kind != "isolation_forest" else "isolation_forest_sliding"
    with pytest.raises(ModelError, match=rf"of kind '{kind}'; this run asks for {other}"):
        make(other).load(state, files)


@every_forest
def test_a_stream_of_another_width_is_refused(kind: str) -> None:
    with pytest.raises(ModelError, match="2 columns, the model was trained on 1"):
        ready(kind).process(series(10, 2))
    with pytest.raises(ModelError, match="no model yet"):
        make(kind).process(series(10))
    with pytest.raises(ModelError, match="no model yet"):
        make(kind).state()


@pytest.mark.parametrize(
    ("build", "name", "value"),
    [
        (IsolationForestScorer, "window", 3),
        (IsolationForestScorer, "trees", 0),
        (IsolationForestScorer, "samples", 1),
        (IsolationForestScorer, "seed", -1),
        (SlidingIsolationForestScorer, "history", 95),
        (SlidingIsolationForestScorer, "refit_every", 0),
    ],
)
def test_settings_out_of_range_are_refused(build: Callable[..., Scorer], name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"\.{name} is {value}; it must be at least"):
        build(**{name: value})


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("left", (0, 0), 0),  # a circle
        ("right", (0, 0), 10_000),
        ("left", (0, 0), -1),
        ("feature", (0, 0), 4),
        ("feature", (0, 0), -2),
        ("threshold", (0, 0), np.nan),
        ("reached", (0, 0), 0),
        ("reached", (0, 0), 65),
    ],
)
def test_trees_that_lead_astray_are_refused(name: str, place: tuple[int, int], value: float) -> None:
    state, files = copy.deepcopy(trained("isolation_forest"))
    trees = state["trees"]
    assert isinstance(trees, dict)
    array = trees[name]
    assert isinstance(array, np.ndarray)
    array[place] = value
    with pytest.raises(ModelError, match="isolation trees"):
        make("isolation_forest").load(state, files)


@pytest.mark.parametrize("value", [None, "x", 7, np.zeros((2, 3)), np.zeros((2, 3), np.int32), np.array([["a"]])])
def test_a_damaged_part_of_a_forest_is_refused(value: object) -> None:
    state, files = trained("isolation_forest")
    trees = state["trees"]
    assert isinstance(trees, dict)
    for name in ("feature", "threshold", "left", "right", "reached"):
        damaged: Any = {**state, "trees": {**trees, name: value}}
        with pytest.raises(ModelError):
            make("isolation_forest").load(damaged, files)
    for name in ("kind", "settings", "trees", "scale", "training_errors", "recent"):
        damaged = {**state, name: value}
        with pytest.raises(ModelError):
            make("isolation_forest").load(damaged, files)


@quick
@given(seed=st.integers(0, 99), window=st.integers(4, 20), kind=st.sampled_from(["random", "constant", "steps"]))
def test_window_features_equal_their_naive_twin(seed: int, window: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = {"random": rng.normal(size=(60, 2)), "constant": np.full((60, 2), 0.1), "steps": np.floor(rng.normal(size=(60, 2)))}[
        kind
    ]
    features, medians = window_features(values, window)
    for row in range(60 - window):
        for column in range(2):
            past = values[row : row + window, column].tolist()
            expected, middle = naive.forest_features(past, values[row + window, column])
            np.testing.assert_allclose(features[row, column], expected, rtol=1e-12, atol=1e-15)
            assert medians[row, column] == pytest.approx(middle, rel=1e-12)


def grown(points: Array, trees: int = 20, samples: int = 64) -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=trees, max_samples=samples, random_state=0).fit(points)


@pytest.mark.parametrize("columns", [1, 6])
@pytest.mark.parametrize("samples", [2, 64, 256])
def test_scores_equal_those_of_scikit_learn(columns: int, samples: int) -> None:
    rng = np.random.default_rng(0)
    points = np.round(rng.normal(size=(300, columns)), 2)  # equal values, so that leaves hold several points
    forest = grown(points, samples=samples)
    trees = IsolationTrees.from_sklearn(forest)
    asked = np.concatenate([points, rng.normal(scale=5, size=(1000, columns)), np.full((1, columns), 1e30)])
    np.testing.assert_allclose(trees.score(asked), -forest.score_samples(asked), rtol=1e-12)


def test_scores_equal_those_of_scikit_learn_on_constant_points_and_on_columns_chosen_at_random() -> None:
    from sklearn.ensemble import IsolationForest

    constant = np.ones((50, 2))
    np.testing.assert_allclose(IsolationTrees.from_sklearn(grown(constant, samples=20)).score(constant), 0.5, rtol=1e-12)
    points = np.random.default_rng(0).normal(size=(200, 5))
    forest = IsolationForest(n_estimators=20, max_features=2, random_state=0).fit(points)
    np.testing.assert_allclose(IsolationTrees.from_sklearn(forest).score(points), -forest.score_samples(points), rtol=1e-12)


def test_scores_equal_their_naive_twin() -> None:
    points = np.random.default_rng(0).normal(size=(100, 3))
    trees = IsolationTrees.grow(points, trees=10, samples=40, seed=3)
    tables = [trees.feature, trees.threshold, trees.left, trees.right, trees.reached]
    plain = [list(zip(*(table[row].tolist() for table in tables), strict=True)) for row in range(10)]
    rounded = points.astype(np.float32).astype(float)
    expected = [naive.isolation_score(plain, 40, point.tolist()) for point in rounded]
    np.testing.assert_allclose(trees.score(points), expected, rtol=1e-12)


def test_average_path_lengths_equal_their_naive_twin() -> None:
    counts = np.arange(1, 300)
    np.testing.assert_allclose(average_path_length(counts), [naive.search_length(int(count)) for count in counts], rtol=1e-12)


def test_scoring_with_a_saved_forest_imports_neither_scikit_learn_nor_tensorflow(root: Path, tmp_path: Path) -> None:
    (tmp_path / "state.npz").write_bytes(pack(trained("isolation_forest")[0]))
    program = """
import pathlib, sys
import numpy as np
from autoencoder.network.training import Recipe
from autoencoder.scorers import SCORERS
from autoencoder.core.state import unpack
scorer = SCORERS["isolation_forest"](window=8, trees=10, samples=64)
scorer.load(unpack(pathlib.Path(sys.argv[1]).read_bytes(), "state.npz"), {})
errors, _ = scorer.process(np.zeros((5, 1)))
print(np.isfinite(errors).all(), sorted({"sklearn", "scipy", "joblib", "tensorflow"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "state.npz")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"True \[\]\n", done.stdout), done.stderr
