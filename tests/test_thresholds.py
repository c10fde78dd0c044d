"""What every threshold keeps to, and what each kind promises on top."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ConfigError, ModelError
from autoencoder.core.state import pack, unpack
from autoencoder.thresholds import THRESHOLDS, Array, Threshold
from autoencoder.thresholds.nonparametric import NonparametricThreshold

WINDOW = 200
BUDGET = 0.01
ROLLING = ["quantile", "sigma", "nonparametric"]

every_kind = pytest.mark.parametrize("kind", sorted(THRESHOLDS))
every_rolling_kind = pytest.mark.parametrize("kind", ROLLING)
quick = settings(deadline=None, max_examples=25, derandomize=True)


@pytest.fixture(autouse=True)
def no_warnings() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make(kind: str, budget: float = BUDGET, window: int = WINDOW, primed: Array | None = None) -> Threshold:
    build: Callable[..., Threshold] = THRESHOLDS[kind]
    threshold = build(budget=budget, window=window)
    if primed is not None:
        threshold.fit(primed)
    return threshold


def normal_errors(count: int, seed: int = 0) -> Array:
    return np.abs(np.random.default_rng(seed).normal(size=count))


def gappy_errors(count: int, seed: int = 0) -> Array:
    """Normal errors with NaN, repeated values and a few anomalies among them."""
    rng = np.random.default_rng(seed)
    errors = np.abs(rng.normal(size=count))
    errors[rng.random(count) < 0.1] = np.nan
    errors[rng.random(count) < 0.05] = 0.5
    errors[rng.random(count) < 0.02] *= 50
    return errors


def process_in_pieces(threshold: Threshold, errors: Array, cuts: list[int]) -> Array:
    return np.concatenate([threshold.process(piece) for piece in np.split(errors, sorted(cuts))])


# --- the law ---


@every_kind
def test_the_limit_of_an_error_does_not_depend_on_it_nor_on_later_ones(kind: str) -> None:
    primed, errors = normal_errors(100), gappy_errors(400, seed=1)
    before = make(kind, primed=primed).process(errors)
    for place in (0, 1, 31, 60, 92, 200, 399):
        changed = errors.copy()
        changed[place:] = 7.0
        np.testing.assert_array_equal(
            make(kind, primed=primed).process(changed)[: place + 1][~np.isnan(errors[: place + 1])],
            before[: place + 1][~np.isnan(errors[: place + 1])],
        )


@every_kind
@quick
@given(seed=st.integers(0, 99), primed=st.sampled_from([0, 17, 100]), cuts=st.lists(st.integers(0, 600), max_size=30))
def test_cutting_the_stream_makes_no_difference(kind: str, seed: int, primed: int, cuts: list[int]) -> None:
    errors, training = gappy_errors(600, seed), normal_errors(primed, seed + 1)
    whole = make(kind, primed=training).process(errors)
    np.testing.assert_array_equal(process_in_pieces(make(kind, primed=training), errors, cuts), whole)


@every_kind
def test_one_error_at_a_time_gives_the_same_limits(kind: str) -> None:
    errors, training = gappy_errors(500), normal_errors(64)
    whole = make(kind, primed=training).process(errors)
    np.testing.assert_array_equal(process_in_pieces(make(kind, primed=training), errors, list(range(1, 500))), whole)


@every_kind
@quick
@given(place=st.integers(0, 700), primed=st.sampled_from([0, 100]))
def test_a_fresh_threshold_goes_on_from_a_saved_state(kind: str, place: int, primed: int) -> None:
    errors, training = gappy_errors(700), normal_errors(primed, seed=1)
    whole = make(kind, primed=training).process(errors)
    first, second = make(kind, primed=training), make(kind)
    first.process(errors[:place])
    second.load(unpack(pack(first.state()), "state.npz"))
    np.testing.assert_array_equal(second.process(errors[place:]), whole[place:])


@every_kind
def test_a_saved_state_does_not_change_when_the_threshold_goes_on(kind: str) -> None:
    threshold = make(kind, primed=normal_errors(300))
    saved = threshold.state()
    packed = pack(saved)
    threshold.process(normal_errors(300, seed=1))
    assert pack(saved) == packed


@every_kind
def test_a_missing_error_has_no_limit_and_changes_nothing(kind: str) -> None:
    errors = normal_errors(500)
    with_gaps = np.insert(errors, [0, 3, 100, 128, 128, 400], np.nan)
    missing = np.isnan(with_gaps)
    limits = make(kind, primed=normal_errors(100, seed=1)).process(with_gaps)
    assert np.isnan(limits[missing]).all()
    np.testing.assert_array_equal(limits[~missing], make(kind, primed=normal_errors(100, seed=1)).process(errors))


@every_kind
def test_missing_errors_in_the_training_part_are_left_out(kind: str) -> None:
    training = normal_errors(300)
    gappy = np.insert(training, [5, 50, 299], np.nan)
    errors = normal_errors(100, seed=1)
    np.testing.assert_array_equal(make(kind, primed=gappy).process(errors), make(kind, primed=training).process(errors))


@every_kind
def test_the_limit_is_unknown_until_thirty_errors_are_known(kind: str) -> None:
    limits = make(kind).process(normal_errors(300))
    assert np.isnan(limits[:30]).all()
    assert not np.isnan(limits[64:]).any()
    assert np.isnan(make(kind, primed=normal_errors(29)).process(normal_errors(1))).all()
    assert not np.isnan(make(kind, primed=normal_errors(30)).process(normal_errors(1))).any()


@every_kind
def test_priming_starts_anew(kind: str) -> None:
    threshold = make(kind, primed=100 * normal_errors(300))
    threshold.process(100 * normal_errors(100))
    threshold.fit(normal_errors(300, seed=1))
    errors = normal_errors(300, seed=2)
    np.testing.assert_array_equal(threshold.process(errors), make(kind, primed=normal_errors(300, seed=1)).process(errors))


@every_kind
def test_no_errors_have_no_limits(kind: str) -> None:
    assert make(kind, primed=normal_errors(300)).process(np.empty(0)).shape == (0,)
    assert make(kind, primed=np.empty(0)).process(np.empty(0)).shape == (0,)


@every_kind
@pytest.mark.parametrize("value", [0.0, 0.1, 1e30, 1e-30, 1e9 + 0.1])
def test_constant_errors_are_never_flagged(kind: str, value: float) -> None:
    errors = np.full(700, value)
    for primed in (np.empty(0), errors[:100]):
        limits = make(kind, primed=primed).process(errors)
        assert not (errors > limits).any()
        assert np.isfinite(limits[64:]).all()


@every_kind
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_limits_follow_the_unit_of_the_errors(kind: str, scale: float) -> None:
    errors, training = normal_errors(500), normal_errors(200, seed=1)
    limits = make(kind, primed=training).process(errors)
    np.testing.assert_allclose(make(kind, primed=training * scale).process(errors * scale), limits * scale, rtol=1e-6)


@every_kind
def test_infinite_errors_are_flagged_and_do_no_harm(kind: str) -> None:
    errors = normal_errors(500)
    errors[[100, 101, 300]] = np.inf
    limits = make(kind, primed=normal_errors(300, seed=1)).process(errors)
    assert np.isfinite(limits).all()
    assert limits.max() < 20


@every_kind
def test_the_size_of_a_flagged_anomaly_makes_no_difference(kind: str) -> None:
    training, errors = normal_errors(500), normal_errors(1500, seed=1)
    errors[300] = errors[400:403] = 1e3
    larger = errors.copy()
    larger[300] = larger[400:403] = 1e9
    np.testing.assert_array_equal(make(kind, primed=training).process(larger), make(kind, primed=training).process(errors))


@every_kind
@pytest.mark.parametrize("seed", range(3))
def test_an_anomaly_neither_lifts_the_limit_on_entering_nor_drops_it_on_leaving_the_window(kind: str, seed: int) -> None:
    training, errors = normal_errors(1000, seed=seed), normal_errors(2500, seed=seed + 10)
    without = make(kind, window=1000, primed=training).process(errors)
    errors[500] = 1e3
    limits = make(kind, window=1000, primed=training).process(errors)
    assert errors[500] > limits[500]
    limits[501:532] = without[501:532]  # smoothing remembers for that long that the error was another one
    np.testing.assert_allclose(limits, without, rtol=0.1)


@every_kind
def test_an_anomaly_in_the_training_part_does_not_hide_later_ones(kind: str) -> None:
    training = normal_errors(1000)
    training[[300, 700]] = 1e3
    limits = make(kind, window=1000, primed=training).process(normal_errors(2000, seed=1))
    assert limits.max() < 20


@every_kind
def test_the_share_of_flagged_normal_errors_is_small(kind: str) -> None:
    errors = normal_errors(20_000, seed=1)
    limits = make(kind, window=2000, primed=normal_errors(1000)).process(errors)
    assert (errors > limits).mean() < 5 * BUDGET


@every_kind
@pytest.mark.parametrize("budget", [0, 1, -0.1, 3, float("nan")])
def test_a_budget_out_of_range_is_refused(kind: str, budget: float) -> None:
    with pytest.raises(ConfigError, match=r"threshold\.budget is .*; it must be in \(0, 1\), e\.g\. 0\.001"):
        make(kind, budget=budget)


@every_kind
def test_a_damaged_state_is_refused(kind: str) -> None:
    good = make(kind, primed=normal_errors(300)).state()
    for name in good:
        for value in (None, "x", float("nan"), np.zeros((2, 2)), np.array(["a"])):
            if value is None and name in ("limit", "smoothed"):
                continue  # there it means: not known yet
            with pytest.raises(ModelError):
                make(kind).load({**good, name: value})
        with pytest.raises(ModelError):
            make(kind).load({key: value for key, value in good.items() if key != name})


@every_kind
def test_the_state_of_another_kind_is_refused(kind: str) -> None:
    for other in THRESHOLDS:
        if other != kind:
            with pytest.raises(ModelError):
                make(kind).load(make(other, primed=normal_errors(300)).state())


# --- the rolling kinds ---


def naive_limits(kind: str, budget: float, window: int, primed: Array, errors: Array) -> Array:
    estimates: dict[str, naive.Estimate] = {
        "sigma": lambda memory: naive.sigma_estimate(memory, budget),
        "quantile": lambda memory: naive.quantile_estimate(memory, budget),
        "nonparametric": lambda memory: naive.nonparametric_estimate(memory, 0.13),
    }
    smoothing = 8.0 if kind == "nonparametric" else None
    return np.array(naive.rolling_limits(estimates[kind], window, primed.tolist(), errors.tolist(), smoothing))


@every_rolling_kind
@quick
@given(
    seed=st.integers(0, 99),
    primed=st.sampled_from([0, 40, 300]),
    window=st.sampled_from([30, 100, 250]),
    budget=st.sampled_from([0.001, 0.02, 0.3, 0.9]),
)
def test_a_rolling_threshold_equals_its_naive_twin(kind: str, seed: int, primed: int, window: int, budget: float) -> None:
    training, errors = gappy_errors(primed, seed + 100), gappy_errors(400, seed)
    limits = make(kind, budget, window, training).process(errors)
    np.testing.assert_allclose(limits, naive_limits(kind, budget, window, training, errors), rtol=1e-9)


@every_rolling_kind
@pytest.mark.parametrize("value", [0.0, 0.3, np.nan])
def test_a_rolling_threshold_equals_its_naive_twin_on_constant_and_missing_errors(kind: str, value: float) -> None:
    errors = np.full(200, value)
    np.testing.assert_allclose(make(kind).process(errors), naive_limits(kind, BUDGET, WINDOW, np.empty(0), errors), rtol=1e-9)


@every_rolling_kind
def test_a_level_that_stays_high_becomes_normal(kind: str) -> None:
    errors = normal_errors(6000, seed=1)
    errors[2000:] *= 5
    limits = make(kind, window=1000, primed=normal_errors(1000)).process(errors)
    assert (errors > limits)[2000:2100].any()
    assert (errors > limits)[5000:].mean() < 5 * BUDGET


@every_rolling_kind
def test_a_window_too_short_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"threshold\.window is 29; it must be at least 30"):
        make(kind, window=29)


@pytest.mark.parametrize("budget", [0.3, 0.05, 0.01, 0.001])
def test_the_quantile_keeps_its_budget_on_exponential_errors(budget: float) -> None:
    rng = np.random.default_rng(0)
    errors = rng.exponential(size=60_000)
    limits = make("quantile", budget, 2000, rng.exponential(size=1000)).process(errors)
    assert 0.5 < (errors > limits).mean() / budget < 2


@pytest.mark.parametrize("budget", [0.01, 0.001])
def test_sigma_keeps_its_budget_on_normally_distributed_errors_far_from_zero(budget: float) -> None:
    rng = np.random.default_rng(0)
    errors = 1e9 + rng.normal(size=60_000)
    limits = make("sigma", budget, 2000, 1e9 + rng.normal(size=1000)).process(errors)
    assert 0.7 < (errors > limits).mean() / budget < 1.4


def test_the_nonparametric_limit_flags_exactly_the_smoothed_errors_above_the_level() -> None:
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


def test_the_nonparametric_limit_stands_out_from_the_highest_normal_error_by_the_pruning_share() -> None:
    errors = np.random.default_rng(0).permutation(-np.log((np.arange(500) + 0.5) / 500))  # the highest two differ by 16 %
    threshold = NonparametricThreshold(BUDGET, smoothing=1, pruning=0.2)
    threshold.fit(errors)
    assert threshold.process(np.array([1.0])) == pytest.approx(errors.max() / 0.8)
    threshold.fit(np.append(errors, 2 * errors.max()))
    assert threshold.process(np.array([1.0])) < 2 * errors.max()


@pytest.mark.parametrize(("name", "value"), [("smoothing", 0.5), ("pruning", 1.0), ("pruning", -0.1)])
def test_nonparametric_settings_out_of_range_are_refused(name: str, value: float) -> None:
    build: Callable[..., Threshold] = NonparametricThreshold
    with pytest.raises(ConfigError, match=rf"threshold\.{name} is {value}; it must be"):
        build(BUDGET, **{name: value})
