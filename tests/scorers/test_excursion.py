"""The excursion against its plain twin."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.state import pack, unpack
from autoencoder.scorers.excursion import Excursion

TRAINING = np.array([-1.0, 2.0, 0.5, 2.5, 2.0, 3.0])
quick = settings(deadline=None, max_examples=30, derandomize=True)


@quick
@given(values=st.lists(st.floats(-50, 50), max_size=60), cut=st.integers(0, 60), stop=st.integers(0, 60))
def test_equals_naive_twin_however_cut(values: list[float], cut: int, stop: int) -> None:
    seen, reloaded = Excursion(), Excursion()
    seen.fit(TRAINING[:, None])
    column = np.array(values)
    found = [seen.compare(part[:, None]) for part in np.split(column, sorted([cut, stop]))[:2]]
    reloaded.load(unpack(pack(seen.state()), "range"))
    found.append(reloaded.compare(column[max(cut, stop) :, None]))
    expected = naive.outside_the_range(values, TRAINING.tolist())
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12, atol=1e-12)


def test_the_second_half_of_the_training_part_is_compared_with_what_came_before() -> None:
    expected = [0.0] * 3 + naive.outside_the_range(TRAINING[3:].tolist(), TRAINING[:3].tolist())
    assert Excursion().fit(TRAINING[:, None]) == pytest.approx(expected)


def test_a_gap_lies_nowhere() -> None:
    values = np.append(TRAINING, 9.0)
    values[[0, 4]] = np.nan
    found = Excursion().fit(values[:, None])
    assert np.isfinite(found).all()
    assert found[[0, 4]].tolist() == [0.0, 0.0]
    assert found[-1] == pytest.approx(6.0 / 2.5)


def test_of_several_columns_the_furthest_out_counts() -> None:
    seen = Excursion()
    seen.fit(np.array([[0.0, 0.0], [1.0, 10.0]]))
    assert seen.compare(np.array([[1.5, 11.0]])).tolist() == [0.5]


def test_reset_goes_back_to_the_training_part() -> None:
    seen = Excursion()
    seen.fit(TRAINING[:, None])
    first = seen.compare(np.array([[9.0], [9.0]]))
    seen.reset()
    assert np.array_equal(seen.compare(np.array([[9.0], [9.0]])), first)
