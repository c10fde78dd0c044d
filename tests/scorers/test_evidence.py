"""Surprise of evidence, beside a plain twin and its definition."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from helpers.series import Array
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.scorers.evidence import Surprise, believable, by_column, guesses, side_by_side, tail_scale, total

quick = settings(deadline=None, max_examples=50, derandomize=True)
numbers = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]) | st.floats(0, 1e3, allow_subnormal=False), min_size=1, max_size=60)


def fitted(evidence: Array, guess: float = 1e-6) -> Surprise:
    surprise = Surprise()
    surprise.fit(evidence, np.full(evidence.shape[1], guess))
    return surprise


@quick
@given(training=numbers, asked=numbers)
def test_agrees_with_its_twin(training: list[float], asked: list[float]) -> None:
    found = fitted(np.array(training)[:, None]).of(np.array(asked)[:, None])[:, 0]
    assert found == pytest.approx([naive.surprise(training, value, 1e-6) for value in asked], rel=1e-9, abs=1e-9)


def test_is_minus_the_logarithm_of_the_probability() -> None:
    draws = np.random.default_rng(0).exponential(size=(50_000, 1))
    asked = np.linspace(0, 12, 50)[:, None]
    assert fitted(draws).of(asked) == pytest.approx(asked, abs=0.1, rel=0.05)


@quick
@given(training=numbers, asked=numbers)
def test_more_evidence_is_no_less_surprising(training: list[float], asked: list[float]) -> None:
    found = fitted(np.array(training)[:, None]).of(np.sort(asked)[:, None])[:, 0]
    assert (np.diff(found) >= 0).all()
    assert (found >= 0).all()


def test_what_is_usual_surprises_nobody() -> None:
    counts = np.repeat([0.0, 1.0], [970, 30])[:, None]
    assert fitted(counts).of(np.zeros((1, 1)))[0, 0] == 0.0


def test_evidence_that_was_never_there_counts_by_the_guess() -> None:
    found = fitted(np.zeros((100, 1)), guess=0.5).of(np.array([[0.0], [1.0], [2.0]]))[:, 0]
    assert found == pytest.approx([0.0, 2.0, 4.0])


def test_of_several_columns_the_most_surprising_one_counts() -> None:
    linear = np.array([[[4.0, 0, 0, 0, 0.0], [1.0, 0, 12, 0, 0]]])
    found = total(side_by_side(np.array([9.0]), np.array([1.0]), np.array([0.25]), linear), features=2)
    assert found == pytest.approx([(9**1.5 + 1 + 0.25**1.5 + 4**1.5 + 12**1.5) ** (2 / 3)])


def test_what_columns_depend_on_counts_beside_the_rest() -> None:
    nothing, linear = np.zeros(1), np.zeros((1, 2, 5))
    given = np.array([[[0.0, 0.0, 4.0, 0.0], [0.0, 9.0, 0.0, 0.0]]])  # of the season none
    evidence = side_by_side(nothing, nothing, nothing, linear, given)
    assert evidence.shape[1] == len(guesses(2))
    assert total(evidence, 2) == pytest.approx([(9**1.5 + 4**1.5) ** (2 / 3)])
    assert total(evidence, 2, ["dependence"]).tolist() == [0.0]
    assert by_column(evidence, 2) == pytest.approx(np.array([[1.0, 6**1.5]]))  # beyond what is usual


def test_of_columns_that_are_all_well_the_worst_is_told() -> None:
    linear = np.array([[[1.0, 0, 0, 0, 0.0], [2.0, 1, 0, 0, 0]]])
    nothing = np.zeros(1)
    assert by_column(side_by_side(nothing, nothing, nothing, linear), 2) == pytest.approx(np.array([[1.0, 2**1.5 + 1]]))
    assert by_column(side_by_side(nothing, nothing, nothing, linear[:, :1]), 1).shape == (1, 0)


# --- what of a training part is believed ---


@quick
@given(
    seed=st.integers(0, 99),
    start=st.floats(0, 1),
    beyond=st.just(0.0) | st.floats(0.01, 3),
    count=st.sampled_from([999, 1000, 1500]),
)
def test_tail_scale_is_that_of_a_censored_sample(seed: int, start: float, beyond: float, count: int) -> None:
    values = np.random.default_rng(seed).exponential(size=count)
    most = start + beyond if count >= 1000 and beyond > 0 else np.inf
    tail = [value for value in values.tolist() if value > start]
    expected = (sum(min(value, most) - start for value in tail) + 0.5) / (sum(value < most for value in tail) + 1)
    assert tail_scale(values[:, None], np.array([start]), np.array([start + beyond]), np.array([0.5])).item() == pytest.approx(
        expected
    )


def test_anomalies_among_many_points_do_not_make_later_ones_usual() -> None:
    normal = np.random.default_rng(0).exponential(size=(5000, 1))
    spoilt = normal.copy()
    spoilt[50:5000:100] = 60.0  # 1 %
    anomaly = np.array([[60.0]])
    assert fitted(normal).of(anomaly).item() == pytest.approx(60, rel=0.1)
    assert fitted(spoilt).of(anomaly).item() > 40
    assert fitted(spoilt[:900]).of(anomaly).item() < 15  # so few may be heavy tails


@pytest.mark.parametrize("anomalies", [1, 75])
def test_errors_that_do_not_fit_the_others_are_not_believed(anomalies: int) -> None:
    errors = np.random.default_rng(0).exponential(size=5000)
    spoilt = errors.copy()
    places = np.linspace(50, 4900, anomalies).astype(int)
    spoilt[places] = 60.0
    assert np.array_equal(believable(errors, 2e-5), errors)
    assert np.array_equal(believable(spoilt, 2e-5), np.delete(errors, places))


def test_few_errors_and_those_above_a_constant_are_all_believed() -> None:
    few, constant = np.random.default_rng(0).exponential(size=500), np.zeros(5000)
    few[::50] = 60.0
    constant[::200] = 1.0
    for errors in (few, constant):
        assert np.array_equal(believable(errors, 2e-5), errors)


def test_no_evidence_is_too_much() -> None:
    largest = total(np.full((1, 8), 1e106), features=1)
    assert np.isfinite(largest).all()
