"""The excursion against its plain twin."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.state import pack, unpack
from autoencoder.scorers import excursion
from autoencoder.scorers.excursion import FACTOR, USUAL_STEPS, Excursion


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    values=st.lists(st.floats(-50, 50), min_size=1, max_size=30),
    slope=st.sampled_from([0.0, 0.01, 2.0]),
    cut=st.integers(0, 300),
    stop=st.integers(0, 300),
)
def test_equals_naive_twin_however_cut(values: list[float], slope: float, cut: int, stop: int) -> None:
    training = np.array([-1.0, 2.0, 0.5, 2.5, 2.0, 3.0])
    column = np.resize(values, 300) * np.random.default_rng(len(values)).uniform(size=300) + slope * np.arange(300)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(excursion, "REMEMBERED_POINTS", 90)  # steps are forgotten within the test
        seen, reloaded = Excursion(), Excursion()
        seen.fit(training[:, None])
        found = [seen.compare(part[:, None]) for part in np.split(column, sorted([cut, stop]))[:2]]
        reloaded.load(unpack(pack(seen.state()), "range"))
        found.append(reloaded.compare(column[max(cut, stop) :, None]))
    steps = {"recent": 90, "usual": USUAL_STEPS, "further": FACTOR, "block": excursion.BLOCK}
    expected = naive.outside_the_range(column, training, **steps)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12, atol=1e-12)


def test_steps_are_news_only_to_a_level_stream() -> None:
    noise = np.random.default_rng(0).normal(size=3000)
    trend = noise + 0.1 * np.arange(3000)
    level, rising = Excursion(), Excursion()
    level.fit(noise[:1000, None])
    rising.fit(trend[:1000, None])
    level.compare(noise[1000:2999, None])
    rising.compare(trend[1000:2999, None])
    assert level.compare(np.array([[noise.max() + 1.0]]))[0] > 0.1
    assert rising.compare(np.array([[300.0 + 4.0]]))[0] == 0.0
    assert rising.compare(np.array([[600.0]]))[0] > 0.5
