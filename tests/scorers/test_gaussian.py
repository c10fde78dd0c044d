"""The moving normal distribution against its plain twin."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from helpers import naive
from helpers.series import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.scorers import Array
from autoencoder.scorers.gaussian import MIN_DEVIATION, WindowedGaussianScorer


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    seed=st.integers(0, 99), kind=st.sampled_from(["random", "constant", "steps", "huge"]), window=st.sampled_from([32, 40, 200])
)
def test_errors_equal_naive_twin(seed: int, kind: str, window: int) -> None:
    rng = np.random.default_rng(seed)
    training, stream = rng.normal(5, 2, size=100), rng.normal(size=60)
    huge = np.where(np.arange(60) == 9, 1e6, stream)
    stream = {"random": stream, "constant": np.full(60, 5.5), "steps": np.floor(stream), "huge": huge}[kind]
    errors, predictions = WindowedGaussianScorer(window).fit(training[:, None]).process(stream[:, None])
    centre, scale = training.mean(), training.std()
    scaled = ((np.concatenate([training, stream]) - centre) / scale).tolist()
    for row in range(60):
        past = scaled[max(0, 100 + row - window) : 100 + row]
        assert errors[row] == pytest.approx(naive.gaussian_error(past, scaled[100 + row], MIN_DEVIATION), rel=1e-6)
        assert predictions[row, 0] == pytest.approx(naive.moments(past)[0] * scale + centre, rel=1e-6, abs=1e-6)


def test_the_worst_column_counts() -> None:
    scorer = WindowedGaussianScorer(50).fit(noise(100, 2))
    calm, odd = copy.deepcopy(scorer).process(np.array([[100.0, 100.0]])), scorer.process(np.array([[100.0, 160.0]]))
    assert odd[0][0] > 10 * calm[0][0]


@pytest.mark.parametrize(("name", "value"), [("scale", np.zeros(1)), ("recent", np.zeros((41, 1))), ("centre", np.zeros(2))])
def test_state_that_does_not_fit_together(name: str, value: Array) -> None:
    state = WindowedGaussianScorer(40).fit(noise(200)).state()
    with pytest.raises(ModelFileError, match="windowed_gaussian"):
        WindowedGaussianScorer(40).load({**state, name: value})
