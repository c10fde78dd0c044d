"""Peaks over threshold: the generalised Pareto fit, the share it keeps, and that no anomaly moves it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.errors import no_warnings
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autoencoder.thresholds.base import Array
from autoencoder.thresholds.pareto import SHAPE_RANGE, Pareto, exceedance, fit
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold
from autoencoder.thresholds.remembered import newest

quick = settings(deadline=None, max_examples=50, derandomize=True)


__all__ = ["no_warnings"]


# --- the fit ---


@pytest.mark.parametrize("shape", [-0.3, -0.1, 0.0, 0.1, 0.3])
@pytest.mark.parametrize("scale", [0.02, 1.0, 300.0])
def test_fit_is_as_good_as_scipys(shape: float, scale: float) -> None:
    probability = 0.01  # beyond a few percent of the peaks: what a limit is made of
    truth = stats.genpareto.isf(probability, shape, scale=scale)
    ours, theirs = [], []
    for seed in range(12):
        peaks = stats.genpareto.rvs(shape, scale=scale, size=400, random_state=seed)
        ours.append(fit(peaks).quantile(probability))
        fitted_shape, _, fitted_scale = stats.genpareto.fit(peaks, floc=0)
        theirs.append(stats.genpareto.isf(probability, fitted_shape, scale=fitted_scale))
    assert np.median(ours) == pytest.approx(truth, rel=0.15)
    assert np.median(ours) == pytest.approx(np.median(theirs), rel=0.15)
    assert np.std(ours) <= 1.2 * np.std(theirs)


@pytest.mark.parametrize("shape", [-0.4, -1e-12, 0.0, 1e-12, 0.4])
def test_exceedance_and_quantile_equal_scipy(shape: float) -> None:
    tail = Pareto(shape, 2.5)
    heights = np.linspace(0, 6, 20)
    probabilities = exceedance(heights, np.array(shape), np.array(2.5))
    np.testing.assert_allclose(probabilities, stats.genpareto.sf(heights, shape, scale=2.5), rtol=1e-6, atol=1e-12)
    for height, probability in zip(heights, probabilities, strict=True):
        if probability > 0:
            assert tail.quantile(probability) == pytest.approx(height, abs=1e-9)


@quick
@given(
    peaks=st.lists(st.floats(0, 1e6), max_size=60),
    scale=st.sampled_from([1e-200, 1e-6, 1.0, 1e200]),
)
def test_any_peaks_give_a_tail(peaks: list[float], scale: float) -> None:
    tail = fit(np.array(peaks) * scale)
    assert SHAPE_RANGE[0] <= tail.shape <= SHAPE_RANGE[1]
    assert 0 < tail.scale < np.inf
    assert 0 <= tail.quantile(0.5) <= tail.quantile(0.01) < np.inf


# --- the limit ---

ERRORS = {
    "half normal": lambda rng, count: np.abs(rng.normal(size=count)),
    "exponential": lambda rng, count: rng.exponential(size=count),
    "log normal": lambda rng, count: rng.lognormal(sigma=0.5, size=count),
    "with an end": lambda rng, count: rng.beta(2, 5, size=count),
}


def limits(errors: Array, budget: float, training: int = 2000) -> Array:
    """Limits of all errors after the first ones, which prime the threshold."""
    threshold = PeaksOverThreshold(budget)
    threshold.fit(errors[:training])
    return threshold.process(errors[training:])


@pytest.mark.parametrize("kind", sorted(ERRORS))
@pytest.mark.parametrize("budget", [1e-2, 1e-3])
def test_budget_is_kept(kind: str, budget: float) -> None:
    count = 100_000 if kind == "half normal" else 20_000
    errors = ERRORS[kind](np.random.default_rng(3), 2000 + count)
    flagged = np.mean(errors[2000:] > limits(errors, budget))
    assert 0.5 * budget <= flagged <= 2 * budget


@pytest.mark.parametrize("change", ["level", "spread"])
def test_budget_is_kept_while_errors_drift(change: str) -> None:
    rng, count = np.random.default_rng(4), 22_000
    ramp = np.linspace(1, 4, count)
    errors = np.abs(rng.normal(size=count))
    errors = errors + ramp if change == "level" else errors * ramp
    flagged = np.mean(errors[2000:] > limits(errors, 1e-2))
    assert 0.5e-2 <= flagged <= 2e-2


@pytest.mark.parametrize("height", [100.0, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_an_anomaly_moves_no_limit(height: float, seed: int) -> None:
    errors = np.abs(np.random.default_rng(seed).normal(size=22_000))
    disturbed = errors.copy()
    disturbed[4000:4050] = height * np.median(errors)
    without, with_anomaly = limits(errors, 1e-3), limits(disturbed, 1e-3)
    assert (disturbed[4000:4050] > with_anomaly[2000:2050]).all()  # it was seen, to its last point
    ratio = with_anomaly / without
    assert ratio.max() < 1.2
    assert ratio.min() > 1 / 1.2


@pytest.mark.parametrize("before", [0, 6])
def test_frequent_anomalies_hide_nothing(before: int) -> None:
    rng = np.random.default_rng(9)
    errors = np.abs(rng.normal(size=40_000))
    normal = np.ones(len(errors), dtype=bool)
    for start in range(2000, len(errors) - 40, 200):  # one error that no normal point has, and many that it might just have
        errors[start : start + 20] = np.insert(rng.uniform(3.5, 6, size=19), before, rng.uniform(8, 12))
        normal[start : start + 20] = False
    flagged = errors[2000:] > limits(errors, 1e-3)
    normal = normal[2000:]
    late = np.arange(len(flagged)) >= len(flagged) // 2
    assert flagged[late & ~normal].mean() > 0.9
    assert 0.3e-3 <= flagged[late & normal].mean() <= 2e-3


def test_a_change_that_stays_becomes_normal() -> None:
    errors = np.abs(np.random.default_rng(6).normal(size=30_000))
    errors[5000:] += 10
    flagged = errors[2000:] > limits(errors, 1e-2)
    assert flagged[3000:3100].mean() > 0.9
    assert flagged[-5000:].mean() < 0.02


def test_probabilities() -> None:
    rng = np.random.default_rng(7)
    threshold = PeaksOverThreshold(1e-3)
    threshold.fit(rng.exponential(size=10_000))
    heights = np.array([0.1, 0.7, 2.0, 5.0, 9.0])
    _, probabilities = threshold.judge(heights)
    np.testing.assert_allclose(np.log(probabilities), -heights, atol=0.75)
    assert (np.diff(probabilities) < 0).all()
    assert threshold.judge(np.array([1e9]))[1] < 1e-6


@pytest.mark.parametrize("quiet", [100, 2500, 6000])
def test_a_quiet_stretch_does_not_lower_the_limit(quiet: int) -> None:
    random = np.random.default_rng(3)
    threshold = PeaksOverThreshold(budget=0.001)
    threshold.fit(random.exponential(size=4000))
    threshold.process(np.full(quiet, 1e-9))
    errors = random.exponential(size=4000)
    assert (errors > threshold.process(errors)).mean() < 0.004


def test_a_state_of_an_older_program_goes_on() -> None:
    errors = np.random.default_rng(0).exponential(size=3000)
    threshold = PeaksOverThreshold(0.01)
    threshold.fit(errors[:2000])
    state = threshold.state()
    rounded = state.pop("rounded").astype(np.int16).view(np.uint16).astype(np.uint32)
    state["comparable"] = (rounded << 16).view(np.float32).astype(np.float64)
    state.pop("habit")
    state.pop("above")
    older = PeaksOverThreshold(0.01)
    older.load(state)
    np.testing.assert_array_equal(older.process(errors[2000:]), threshold.process(errors[2000:]))


@quick
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), count=st.integers(1, 60), seed=st.integers(0, 99))
def test_of_sorted_blocks_only_whole_ones_leave(sizes: list[int], count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    blocks = [np.r_[-1.0 - place, np.sort(random.normal(size=size - 1)) + 9.0] for place, size in enumerate(sizes)]
    kept = newest(np.concatenate(blocks), count)
    rest = next(place for place in range(len(blocks)) if sum(sizes[place + 1 :]) < count or place + 1 == len(blocks))
    np.testing.assert_array_equal(kept, np.concatenate(blocks[rest:]))


def test_a_limit_that_most_errors_pass_for_long_is_wrong() -> None:
    random = np.random.default_rng(0)
    threshold = PeaksOverThreshold(budget=0.001, window=1000)
    threshold.fit(random.exponential(size=2000))
    stays = 500.0 + random.exponential(size=3000)
    stays[2500] += 60.0
    flagged = stays > threshold.process(stays)
    assert flagged[:500].all()
    assert flagged[2500] and np.count_nonzero(flagged[800:]) < 5
    back = random.exponential(size=3000)
    limits = threshold.process(back)
    assert np.count_nonzero(back > limits) < 10 and limits[-1] < 20.0


def test_a_long_event_leaves_the_limit_where_it_was() -> None:
    random = np.random.default_rng(1)
    threshold = PeaksOverThreshold(budget=0.001, window=1000)
    threshold.fit(random.exponential(size=2000))
    before = threshold.process(np.zeros(1))[0]
    assert (threshold.process(np.full(350, 500.0)) < 500.0).all()
    assert threshold.process(random.exponential(size=400))[-1] < 1.5 * before
