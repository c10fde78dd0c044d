"""Sliding windows: how long, how cut, how scaled."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from helpers.series import sine
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import TrainingError
from autoencoder.network.windows import WindowScaler, WindowSpec, choose_spec, clean_windows, sliding_windows

quick = settings(deadline=None, max_examples=50, derandomize=True)


@quick
@given(
    count=st.integers(1, 40),
    features=st.integers(1, 3),
    steps=st.integers(1, 6),
    stride=st.integers(1, 5),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["random", "constant", "missing"]),
)
def test_windows_equal_naive_twin(count: int, features: int, steps: int, stride: int, seed: int, kind: str) -> None:
    values = np.random.default_rng(seed).normal(size=(steps * stride - 1 + count, features))
    if kind == "constant":
        values[:] = 0.1
    if kind == "missing":
        values[seed % len(values)] = np.nan
    found = sliding_windows(values, WindowSpec(steps, stride))
    assert found.shape == (count, steps, features)
    np.testing.assert_allclose(found, naive.windows(values.tolist(), steps, stride), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("stride", [1, 3])
def test_one_window_scales_as_many(features: int, stride: int) -> None:
    values = np.random.default_rng(features).normal(5.0, 2.0, (300, features))
    scaler = WindowScaler(WindowSpec(48, stride), 47, np.full(features, 0.7))
    windows = sliding_windows(values, scaler.spec)
    together = (*scaler.scale(windows), scaler.half_windows(windows))
    for row in range(len(windows)):
        alone = (*scaler.scale(windows[row : row + 1]), scaler.half_windows(windows[row : row + 1]))
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_array_equal(np.ravel(one), all_of_them[row].ravel())


def test_window_covers_the_period() -> None:
    two = np.column_stack([np.random.default_rng(0).normal(size=2000), sine(2000, 200, noise=0.05)])
    assert choose_spec(two, 0, None, steps=48, periods=1.0) == WindowSpec(48, 4)
    assert choose_spec(two, 0, None, steps=48, periods=2.0) == WindowSpec(48, 8)
    assert choose_spec(two[:, :1], 0, None, steps=48, periods=1.0) == WindowSpec(48, 1)
    assert WindowSpec(48, 4).points == 192


def test_window_fits_the_training_part() -> None:
    wave = sine(300, 100)[:, None]
    assert choose_spec(wave, 0, None, steps=48, periods=1.0) == WindowSpec(48, 2)
    assert choose_spec(wave[:90], 0, None, steps=48, periods=1.0) == WindowSpec(13, 1)
    assert choose_spec(wave, 0, 100, steps=48, periods=1.0) == WindowSpec(33, 3)
    with pytest.raises(TrainingError, match=r"70 usable points \(5 are missing\); a window of at least 4 points needs 71"):
        choose_spec(wave[:70], 5, None, steps=48, periods=1.0)
    with pytest.raises(TrainingError, match=r"a window of 100 points needs 163 or more"):
        choose_spec(wave[:161], 0, 100, steps=48, periods=1.0)


def test_windows_with_a_gap_or_a_jump_are_not_clean() -> None:
    values = np.random.default_rng(0).normal(size=(300, 1))
    values[100] = np.nan
    values[200:] += 50
    windows, ends = clean_windows(values, WindowSpec(8, 1))
    np.testing.assert_array_equal(ends, [row for row in range(7, 300) if not 100 <= row < 108 and not 200 <= row < 207])
    np.testing.assert_array_equal(windows[:, -1], values[ends])
    with pytest.raises(TrainingError, match="49 windows without a gap"):
        clean_windows(values[:100][:56], WindowSpec(8, 1))


def test_no_windows_where_values_are_too_few() -> None:
    for count in (0, 3, 7):
        assert sliding_windows(np.ones((count, 2)), WindowSpec(4, 2)).shape == (0, 4, 2)
