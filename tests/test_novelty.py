"""The alarm filter against its plain twin."""

from __future__ import annotations

import numpy as np
from helpers import naive
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.reports.alarms import AlarmFilter

quick = settings(deadline=None, max_examples=30, derandomize=True)


@quick
@given(
    scores=st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=40),
    refractory=st.integers(1, 12),
    cut=st.integers(0, 40),
)
def test_alarms_are_those_of_the_plain_twin_however_they_are_cut(scores: list[float], refractory: int, cut: int) -> None:
    column, alarms = np.array(scores, dtype=float), AlarmFilter(refractory)
    found = np.concatenate([alarms.process(column[:cut]), alarms.process(column[cut:])])
    np.testing.assert_array_equal(np.nan_to_num(found), naive.rises(column, refractory))
    unasked = AlarmFilter(refractory)
    unasked.skip(column[:cut])
    np.testing.assert_array_equal(unasked.process(column[cut:]), found[cut:])
    np.testing.assert_array_equal(unasked.state()["recent"], alarms.state()["recent"])
