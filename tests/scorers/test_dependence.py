"""The dependence of columns: its twin, what it sees that no column shows, and how it forgets."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array
from autoencoder.scorers.dependence import LEVEL_POINTS, RIDGE, Dependence, Partial

TRAINING = 800
quick = settings(deadline=None, max_examples=20, derandomize=True)


def plant(count: int, columns: int = 4, seed: int = 0) -> Array:
    """Sensors (N, F) of one process in different units, with noise of their own."""
    random, sizes = np.random.default_rng(seed), np.random.default_rng(9).uniform(0.5, 20, size=(2, columns))
    common = np.sin(np.arange(count) / 9)[:, None] + 0.5 * random.normal(size=(count, 1))
    return 50 + sizes[0] * (common + 0.1 * random.normal(size=(count, columns)))


def fitted(values: Array) -> Dependence:
    dependence = Dependence()
    dependence.fit(values)
    return dependence


@pytest.mark.parametrize("columns", [2, 5])
def test_residuals_equal_a_regression_of_each_column(columns: int) -> None:
    values = plant(300, columns)
    partial = Partial.of(values)
    scaled = (values - partial.centre) / partial.unit
    covariance = np.cov(np.clip((values - np.median(values, axis=0)) / partial.unit, -4, 4).T)
    ridge = RIDGE * float(np.trace(covariance)) / columns
    found = partial.residuals(scaled[:20])
    twin = [
        [naive.partial_residual(row, covariance.tolist(), ridge, partial.rows, column) for column in range(columns)]
        for row in scaled[:20].tolist()
    ]
    np.testing.assert_allclose(found, twin, rtol=1e-9, atol=1e-12)


def broken(kind: str, values: Array) -> Array:
    """The values with a fault in column 1 from row 100 to 160; each column by itself stays what it was."""
    faulty, rows = values.copy(), slice(100, 160)
    if kind == "decoupled":
        faulty[rows, 1] = plant(len(values), values.shape[1], seed=5)[rows, 1]
    elif kind == "late":
        faulty[rows, 1] = values[86:146, 1]
    else:
        faulty[rows, 1] = 100 - values[rows, 1]
    return faulty


@pytest.mark.parametrize("kind", ["decoupled", "late", "mirrored"])
def test_a_dependence_that_breaks_is_seen_in_its_column(kind: str) -> None:
    values = plant(TRAINING + 400, 6)
    dependence = fitted(values[:TRAINING])
    usual = fitted(values[:TRAINING]).compare(values[TRAINING:])
    found = dependence.compare(broken(kind, values[TRAINING:]))[100:160]  # (60, F, K)
    assert found[..., 0].max() > 1.5 * usual[..., 0].max()
    assert found.mean(axis=(0, 2)).argmax() == 1


def test_a_column_that_breaks_away_is_not_blamed_on_the_others() -> None:
    values = plant(TRAINING + 100, 5)
    dependence = fitted(values[:TRAINING])
    values[TRAINING + 50 :, 2] += 1000.0
    found = dependence.compare(values[TRAINING:])[50:].mean(axis=0)  # (F, K)
    assert (found[2] > 20 * np.delete(found, 2, axis=0).max(axis=0)).all()


def test_a_constant_column_has_no_part_in_it() -> None:
    values = plant(TRAINING, 4)
    still = np.insert(values, 2, 7.0, axis=1)
    found = fitted(still).compare(still)
    assert (found[:, 2] == 0).all()
    np.testing.assert_allclose(np.delete(found, 2, axis=1), fitted(values).compare(values), rtol=1e-9)


def test_wandering_columns_that_were_alike_by_chance_are_not_believed() -> None:
    random = np.random.default_rng(1)
    walks = np.cumsum(random.normal(size=(2 * TRAINING, 3)), axis=0)
    noise = random.normal(size=(2 * TRAINING, 3))
    ratios = []
    for values in (walks, noise):
        dependence = Dependence()
        usual = dependence.fit(values[:TRAINING])[..., 1]
        ratios.append(dependence.compare(values)[TRAINING:, :, 1].max() / usual.max())
    assert ratios[0] < 3 * ratios[1]


@quick
@given(cuts=st.lists(st.integers(0, 150), max_size=5), saved=st.booleans())
def test_cutting_and_resuming_change_nothing(cuts: list[int], saved: bool) -> None:
    values = plant(TRAINING + 150)
    model = fitted(values[:TRAINING])
    whole, pieces = model.clone().compare(values, 150), []
    for piece in np.split(np.arange(TRAINING, TRAINING + 150), sorted(cuts)):
        stop = piece[-1] + 1 if len(piece) else TRAINING
        pieces.append(model.compare(values[stop - len(piece) - LEVEL_POINTS : stop], len(piece)))
        if saved:
            state = unpack(pack(model.state()), "dependence")
            model = Dependence()
            model.load(state)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_a_single_column_depends_on_nothing() -> None:
    dependence = Dependence()
    assert dependence.fit(plant(100, 1)).shape == (100, 1, 0)
    assert dependence.compare(plant(50, 1), 7).shape == (7, 1, 0)


def test_gaps_are_neither_learnt_nor_evidence() -> None:
    values = plant(TRAINING)
    values[300:310] = np.nan
    evidence = Dependence().fit(values)
    assert np.isfinite(evidence).all()
    assert (evidence[300 : 310 + LEVEL_POINTS - 1, :, 1:] == 0).all()


def test_values_of_any_size_give_finite_evidence() -> None:
    values = plant(TRAINING)
    dependence = fitted(values)
    values[-1] = [1e300, -1e300, 0.0, 1e-300]
    assert np.isfinite(dependence.compare(values)).all()


def test_a_damaged_state_is_refused() -> None:
    state = fitted(plant(100)).state()
    state["precision"] = state["precision"][:2]
    with pytest.raises(ModelFileError, match="the dependence of columns cannot be used: precision"):
        Dependence().load(state)


def test_a_missing_value_is_what_the_others_say() -> None:
    values = plant(TRAINING + 50, 4)
    dependence, gaps = fitted(values[:TRAINING]), values[TRAINING:].copy()
    gaps[10:40, 1] = gaps[20, :3] = gaps[30] = np.nan
    found = dependence.impute(gaps)
    assert np.isnan(found[30]).all()  # nothing says anything
    here = np.r_[10:20, 21:30, 31:40]
    misses = np.abs(found - values[TRAINING:])[here, 1]
    assert misses.mean() < 0.3 * values[:TRAINING, 1].std()
    assert (dependence.compare(found)[here[here > 30], 1, 0] < 1e-9).all()  # it is no evidence of its own column
    assert np.isfinite(found[20]).all()
    known = ~np.isnan(gaps)
    assert np.array_equal(found[known], gaps[known])


def test_a_column_that_the_others_do_not_know_stays_missing() -> None:
    values = np.random.default_rng(0).normal(size=(TRAINING, 3))
    dependence = fitted(values)
    values[5, 1] = np.nan
    assert np.isnan(dependence.impute(values)[5, 1])
