"""The thresholds over a rolling window, against their plain twins, and what each kind promises on top."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers import naive_thresholds as naive
from helpers.errors import gappy_errors, no_warnings, normal_errors
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ConfigError
from autoencoder.thresholds import THRESHOLDS, Array, Threshold
from autoencoder.thresholds.nonparametric import NonparametricThreshold

__all__ = ["no_warnings"]

WINDOW = 200
BUDGET = 0.01

every_kind = pytest.mark.parametrize("kind", ["quantile", "sigma", "nonparametric"])
quick = settings(deadline=None, max_examples=25, derandomize=True)


def make(kind: str, budget: float = BUDGET, window: int = WINDOW, trained: Array | None = None) -> Threshold:
    threshold = THRESHOLDS[kind](budget=budget, window=window)
    if trained is not None:
        threshold.fit(trained)
    return threshold


def naive_limits(kind: str, budget: float, window: int, trained: Array, errors: Array) -> Array:
    estimates: dict[str, naive.Estimate] = {
        "sigma": lambda memory: naive.sigma_estimate(memory, budget),
        "quantile": lambda memory: naive.quantile_estimate(memory, budget),
        "nonparametric": lambda memory: naive.nonparametric_estimate(memory, 0.13),
    }
    smoothing = 8.0 if kind == "nonparametric" else None
    return np.array(naive.rolling_limits(estimates[kind], window, trained.tolist(), errors.tolist(), smoothing))


@every_kind
@quick
@given(
    seed=st.integers(0, 99),
    trained=st.sampled_from([0, 40, 300]),
    window=st.sampled_from([30, 100, 250]),
    budget=st.sampled_from([0.001, 0.02, 0.3, 0.9]),
)
def test_equals_naive_twin(kind: str, seed: int, trained: int, window: int, budget: float) -> None:
    training, errors = gappy_errors(trained, seed + 100), gappy_errors(400, seed)
    limits = make(kind, budget, window, training).process(errors)
    np.testing.assert_allclose(limits, naive_limits(kind, budget, window, training, errors), rtol=1e-9)


@every_kind
def test_a_high_level_becomes_normal(kind: str) -> None:
    errors = normal_errors(6000, seed=1)
    errors[2000:] *= 5
    limits = make(kind, window=1000, trained=normal_errors(1000)).process(errors)
    assert (errors > limits)[2000:2100].any()
    assert (errors > limits)[5000:].mean() < 5 * BUDGET


@every_kind
def test_short_window(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"threshold\.window is 29; it must be at least 30"):
        make(kind, window=29)


@pytest.mark.parametrize("budget", [0.3, 0.05, 0.01, 0.001])
def test_quantile_keeps_its_budget(budget: float) -> None:
    rng = np.random.default_rng(0)
    errors = rng.exponential(size=60_000)
    limits = make("quantile", budget, 2000, rng.exponential(size=1000)).process(errors)
    assert 0.5 < (errors > limits).mean() / budget < 2


@pytest.mark.parametrize("budget", [0.01, 0.001])
def test_sigma_keeps_its_budget(budget: float) -> None:
    rng = np.random.default_rng(0)
    errors = 1e9 + rng.normal(size=60_000)
    limits = make("sigma", budget, 2000, 1e9 + rng.normal(size=1000)).process(errors)
    assert 0.7 < (errors > limits).mean() / budget < 1.4


def test_flags_are_smoothed_errors_above_the_level() -> None:
    threshold = NonparametricThreshold(BUDGET, smoothing=4)
    threshold.fit(normal_errors(500))
    saved = threshold.state()
    level, smoothed = saved["limit"], saved["smoothed"]
    assert isinstance(level, float) and isinstance(smoothed, float)
    for error in (0.5, 3.0, 50.0):
        fresh = NonparametricThreshold(BUDGET, smoothing=4)
        fresh.load(saved)
        flagged = error > fresh.process(np.array([error]))[0]
        assert flagged == (smoothed + 0.4 * (error - smoothed) > level)


def test_limit_stands_out_by_the_pruning_share() -> None:
    errors = np.random.default_rng(0).permutation(-np.log((np.arange(500) + 0.5) / 500))  # the highest two differ by 16 %
    threshold = NonparametricThreshold(BUDGET, smoothing=1, pruning=0.2)
    threshold.fit(errors)
    assert threshold.process(np.array([1.0])) == pytest.approx(errors.max() / 0.8)
    threshold.fit(np.append(errors, 2 * errors.max()))
    assert threshold.process(np.array([1.0])) < 2 * errors.max()


@pytest.mark.parametrize(("name", "value"), [("smoothing", 0.5), ("pruning", 1.0), ("pruning", -0.1)])
def test_settings_out_of_range(name: str, value: float) -> None:
    build: Callable[..., Threshold] = NonparametricThreshold
    with pytest.raises(ConfigError, match=rf"threshold\.{name} is {value}; it must be"):
        build(BUDGET, **{name: value})
