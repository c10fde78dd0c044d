"""The dominant period."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from helpers.series import sine
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.network.period import autocorrelation, dominant_period, first_period

quick = settings(deadline=None, max_examples=50, derandomize=True)


@quick
@given(count=st.integers(12, 80), seed=st.integers(0, 99), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_autocorrelation_equals_naive_twin(count: int, seed: int, scale: float) -> None:
    values = scale * np.random.default_rng(seed).normal(size=count).cumsum()
    np.testing.assert_allclose(autocorrelation(values), naive.autocorrelation(values.tolist()), rtol=1e-6, atol=1e-9)


def test_constant_and_short_series() -> None:
    assert dominant_period(np.full(500, 3.0)) is dominant_period(sine(11, 5)) is dominant_period(np.empty(0)) is None
    assert np.abs(autocorrelation(np.zeros(50))).max() == 0


@quick
@given(period=st.integers(6, 120), repeats=st.integers(4, 12), slope=st.floats(-0.05, 0.05), seed=st.integers(0, 99))
def test_noisy_sine_on_a_slope(period: int, repeats: int, slope: float, seed: int) -> None:
    found = dominant_period(sine(period * repeats, period, noise=0.1, slope=slope, seed=seed))
    assert found is not None
    assert abs(found - period) <= max(1, 0.05 * period)


@quick
@given(period=st.integers(6, 60), scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_unit_and_zero_do_not_count(period: int, scale: float, shift: float) -> None:
    values = sine(period * 8, period, noise=0.1)
    assert dominant_period(scale * (values + shift)) == dominant_period(values)


def test_a_day_of_hours_is_no_23_hours() -> None:
    minutes = np.arange(4 * 1440)
    values = np.sin(2 * np.pi * minutes / 1440) + 0.3 * np.sin(2 * np.pi * minutes / 60)
    correlation = autocorrelation(values)
    shoulder = 1370 + int(np.argmax(correlation[1370:1400]))
    assert 1370 < shoulder < 1399 and correlation[shoulder] > 0.9 * correlation[1440]  # a peak beside that of the day
    assert dominant_period(values) == pytest.approx(1440, abs=1)


@pytest.mark.parametrize("seed", range(8))
def test_noise_and_trends_have_no_period(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=1500)
    assert dominant_period(noise) is None
    assert dominant_period(np.arange(1500) + 0.1 * noise) is None


@pytest.mark.parametrize("seed", range(4))
def test_spikes_do_not_hide_a_period(seed: int) -> None:
    generator, values = np.random.default_rng(seed), sine(20 * 144, 144, noise=0.2, seed=seed)
    spiky = values + np.where(generator.random(len(values)) < 0.01, 40.0 * generator.random(len(values)), 0.0)
    assert autocorrelation(spiky)[100:200].max() < 0.2
    assert dominant_period(spiky) == pytest.approx(144, abs=2)


def test_spikes_that_repeat_are_a_period() -> None:
    values = 0.1 * np.random.default_rng(0).normal(size=2000)
    values[::50] += 10.0
    assert dominant_period(values) == 50


DAY = 288


@pytest.mark.parametrize(
    ("values", "without", "found"),
    [
        (sine(10 * DAY, 282, noise=0.3), 282, DAY),
        (sine(10 * DAY, DAY, noise=0.3) + 2.0 * sine(10 * DAY, 4 * DAY), 4 * DAY, 4 * DAY),
        (sine(10 * DAY, DAY, noise=0.3) + 0.6 * sine(10 * DAY, 3 * DAY), 3 * DAY, DAY),
        (sine(40 * DAY, DAY, noise=0.3) + 3.0 * sine(40 * DAY, 13 * DAY), 13 * DAY, 13 * DAY),
        (sine(10 * DAY, 50, noise=0.3), 50, 50),
        (sine(10 * DAY, 400, noise=0.3), 400, 400),
        (sine(3 * DAY, 100, noise=0.3), 100, 100),
    ],
    ids=[
        "a little less",
        "several days that a day says little of",
        "several days",
        "more than a week",
        "a part of a day",
        "more than a day",
        "no number of days",
    ],
)
def test_of_days_a_day_is_taken(values: np.ndarray, without: int, found: int) -> None:
    assert dominant_period(values) == pytest.approx(without, rel=0.02)
    assert dominant_period(values, DAY) == pytest.approx(found, rel=0.0 if found == DAY else 0.02)


def test_the_first_column_with_a_period_counts() -> None:
    noise = np.random.default_rng(0).normal(size=2000)
    assert first_period(np.column_stack([noise, sine(2000, 200, noise=0.05), sine(2000, 30)])) == pytest.approx(200, abs=5)
    assert first_period(noise[:, None]) == 0
