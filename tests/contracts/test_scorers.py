"""What every scorer keeps to."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.series import assert_same, gappy_series, in_pieces, part, series
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError, NotFittedError, TrainingError
from autoencoder.core.state import State, pack, unpack
from autoencoder.scorers import SCORERS, Array, Scorer
from autoencoder.scorers.base import Scored

FAST: dict[str, dict[str, Any]] = {  # settings that make a kind quick to train; the others take their defaults
    "lstm_autoencoder": {"sequence_length": 12, "units": (8,), "latent_dim": 4, "max_steps": 150},
    "isolation_forest": {"window": 8, "n_estimators": 10, "max_samples": 64},
    "isolation_forest_sliding": {"window": 8, "n_estimators": 15, "max_samples": 32, "refit_window": 150, "refit_every": 70},
    "half_space_trees": {"n_trees": 10, "height": 6, "window_size": 64},
    "windowed_gaussian": {"window": 50},
}
TRAINING = 400

every_kind = pytest.mark.parametrize("kind", sorted(SCORERS))
one_or_three = pytest.mark.parametrize("columns", [1, 3])
quick = settings(deadline=None, max_examples=15, derandomize=True)


def make(kind: str) -> Scorer:
    return SCORERS[kind](**FAST.get(kind, {}))


class Trained(NamedTuple):
    """A scorer right after training, and what the very one that was trained then says of a stream."""

    state: State
    artifacts: Mapping[str, bytes]
    calibration_errors: Array
    scored: Scored


@cache
def train(kind: str, columns: int = 1) -> Trained:
    """One training serves all tests."""
    scorer = make(kind).fit(series(TRAINING, columns))
    saved = scorer.state(), scorer.artifacts(), scorer.calibration_errors
    return Trained(*saved, scorer.score(gappy_series(150, columns, seed=1)))


def ready(kind: str, columns: int = 1) -> Scorer:
    scorer, trained = make(kind), train(kind, columns)
    scorer.load(copy.deepcopy(trained.state), trained.artifacts)
    return scorer


@every_kind
@one_or_three
def test_shapes(kind: str, columns: int) -> None:
    for count in (100, 0):
        errors, predictions, own, contributions = scored = ready(kind, columns).score(values := series(count, columns, seed=1))
        assert errors.shape == (count,)
        assert predictions.shape == (count, columns)
        assert contributions.shape == (count, columns if kind == "lstm_autoencoder" and columns > 1 else 0)
        assert np.isfinite(errors).all() and np.isfinite(contributions).all()
        assert (own <= errors).all()
        assert_same(ready(kind, columns).process(values), scored[:2])
        assert (np.abs(predictions - values) < 15).all()  # in the data's units


@every_kind
@pytest.mark.parametrize("place", [0, 57, 140, 199])
def test_causal(kind: str, place: int) -> None:
    values = gappy_series(200, seed=1)
    before = ready(kind).score(values)
    changed = values.copy()
    changed[place + 1 :] += 50
    after = ready(kind).score(changed)
    assert_same(part(after, slice(place + 1)), part(before, slice(place + 1)))


@every_kind
@quick
@given(seed=st.integers(0, 20), columns=st.sampled_from([1, 3]), cuts=st.lists(st.integers(0, 250), max_size=20))
@example(seed=1, columns=1, cuts=list(range(1, 250)))
def test_chunk_invariant(kind: str, seed: int, columns: int, cuts: list[int]) -> None:
    values = gappy_series(250, columns, seed)
    assert_same(in_pieces(ready(kind, columns), values, cuts), ready(kind, columns).score(values))


@every_kind
@quick
@given(place=st.integers(0, 200))
def test_resume_exact(kind: str, place: int) -> None:
    values = gappy_series(200, seed=1)
    whole = ready(kind).score(values)
    first, second = ready(kind), make(kind)
    first.process(values[:place])
    saved = first.state()
    packed = pack(saved)
    second.load(unpack(packed, "state.npz"), first.artifacts())
    first.process(values)
    assert pack(saved) == packed  # what is saved stays
    assert_same(second.score(values[place:]), part(whole, slice(place, None)))


@every_kind
def test_seeded_and_trained_as_loaded(kind: str) -> None:
    values = gappy_series(150, seed=1)
    assert_same(make(kind).fit(series(TRAINING)).score(values), train(kind).scored)
    assert_same(ready(kind).score(values), train(kind).scored)


@every_kind
def test_missing_row_changes_nothing(kind: str) -> None:
    values = series(200, 3, seed=1)
    with_gaps = np.insert(values, [0, 5, 70, 70, 199], np.array([[np.nan, 100.0, 100.0]]), axis=0)
    missing = np.isnan(with_gaps).any(axis=1)
    scored = ready(kind, 3).score(with_gaps)
    assert all(np.isnan(each[missing]).all() for each in scored)
    assert_same(part(scored, ~missing), ready(kind, 3).score(values))


@every_kind
def test_reset_and_clone_begin_another_stream(kind: str) -> None:
    values = series(200, seed=1)
    one, other, used = ready(kind), ready(kind), ready(kind)
    expected = ready(kind).score(np.concatenate([series(15, seed=3), values[:50]]))
    one.process(1000 * series(30, seed=2))
    used.process(series(15, seed=3))
    clone = used.clone()
    for scorer in (one, other):
        scorer.reset()
    begun = one.score(values)
    assert_same(begun, other.score(values))
    assert_same(begun, clone.score(values))  # goes its own way
    assert_same(used.score(values[:50]), part(expected, slice(15, None)))
    assert np.isnan(begun[0][0])
    assert np.isfinite(begun[0][-1])


@every_kind
@one_or_three
def test_calibration_errors_are_normal(kind: str, columns: int) -> None:
    calibration = train(kind, columns).calibration_errors
    assert calibration.ndim == 1
    assert len(calibration) > TRAINING / 4
    assert np.isfinite(calibration).all()
    errors, _ = ready(kind, columns).process(series(300, columns, seed=1))
    assert 0.5 < np.median(errors) / np.median(calibration) < 2


@every_kind
def test_outlier_has_a_larger_error(kind: str) -> None:
    values = series(200, seed=1)
    values[120] += 15
    errors, _ = ready(kind).process(values)
    assert errors[120] > np.quantile(errors[:120], 0.98)


@every_kind
def test_bad_training_parts(kind: str) -> None:
    for values in (series(5), np.full((TRAINING, 1), np.nan)):
        with pytest.raises(TrainingError):
            make(kind).fit(values)
    if kind != "lstm_autoencoder":  # which learns that the series never moves
        with pytest.raises(TrainingError, match="constant"):
            make(kind).fit(np.full((TRAINING, 1), 3.0))


@every_kind
def test_untrained(kind: str) -> None:
    for call in (make(kind).state, lambda: make(kind).process(series(10))):
        with pytest.raises(NotFittedError, match="no model yet"):
            call()


@every_kind
@pytest.mark.parametrize("value", [None, "x", -7, np.zeros((2, 3)), np.zeros((2, 3), np.int32), np.array([["a"]])])
def test_damaged_field(kind: str, value: object) -> None:
    trained = train(kind)
    for name in trained.state:
        damaged: Any = {**trained.state, name: value}
        with pytest.raises(ModelFileError, match=r"again|anew|kind"):
            make(kind).load(damaged, trained.artifacts)
        damaged.pop(name)
        with pytest.raises(ModelFileError):
            make(kind).load(damaged, trained.artifacts)


@every_kind
def test_info_is_plain(kind: str) -> None:
    info = ready(kind).info()
    assert info["window"]
    json.dumps(info)


def test_scoring_imports_nothing_heavy(root: Path, tmp_path: Path) -> None:
    (tmp_path / "state.npz").write_bytes(pack(train("isolation_forest").state))
    program = """
import pathlib, sys
import numpy as np
from autoencoder.scorers import SCORERS
from autoencoder.core.state import unpack
scorer = SCORERS["isolation_forest"](window=8, n_estimators=10, max_samples=64)
scorer.load(unpack(pathlib.Path(sys.argv[1]).read_bytes(), "state.npz"))
errors, _ = scorer.process(np.zeros((5, 1)))
print(np.isfinite(errors).all(), sorted({"sklearn", "scipy", "joblib", "tensorflow", "pandas", "matplotlib"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "state.npz")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout == "True []\n", done.stderr
