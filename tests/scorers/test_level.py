"""The level that a stream has had of late, beside a plain twin."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from helpers.series import Array
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.scorers.level import MIN_STRIDE, SAMPLES, Level

SPAN = SAMPLES * MIN_STRIDE


def stream(points: int, seed: int = 0) -> Array:
    return np.cumsum(np.random.default_rng(seed).normal(size=(points, 2)), axis=0)


def trained(values: Array, window: int = 1) -> Level:
    level = Level()
    level.fit(values, window)
    return level


def test_it_is_the_median_of_every_so_many_points() -> None:
    values, level = stream(4 * SPAN), Level()
    levels = np.vstack([level.fit(values[: 2 * SPAN], 1), level.follow(values[2 * SPAN :])])
    for row in range(SPAN, len(values), 97):
        sampled = [values[place] for place in range(MIN_STRIDE - 1, row // MIN_STRIDE * MIN_STRIDE, MIN_STRIDE)][-SAMPLES:]
        assert levels[row].tolist() == [statistics.median(column) for column in zip(*sampled, strict=True)]


@settings(deadline=None, max_examples=30, derandomize=True)
@given(cuts=st.lists(st.integers(1, SPAN), max_size=8), saved=st.booleans())
def test_cutting_and_resuming_change_nothing(cuts: list[int], saved: bool) -> None:
    values, level, found = stream(SPAN + 50, 1), trained(stream(700)), []
    for piece in np.split(values, sorted(cuts)):
        found.append(level.follow(piece))
        if saved:
            state, level = unpack(pack(level.state()), "level"), Level()
            level.load(state)
    np.testing.assert_array_equal(np.vstack(found), trained(stream(700)).follow(values))


def test_it_has_not_seen_the_point_that_it_is_compared_with() -> None:
    values = stream(SPAN)
    spoilt = values.copy()
    spoilt[300:] = 1e6
    found, clean = trained(values).follow(spoilt), trained(values).follow(values)
    np.testing.assert_array_equal(found[:301], clean[:301])


def test_an_event_does_not_move_it_and_what_stays_does() -> None:
    level = trained(np.full((SPAN, 1), 50.0))
    event = np.full((SPAN // 3, 1), 90.0)
    assert set(level.follow(event).ravel()) == {50.0}
    level.follow(np.full((SPAN, 1), 70.0))
    assert level.follow(event[:1]).item() == 70.0


def test_a_long_season_is_none_of_the_level() -> None:
    season = 1440
    values = 10 * np.sin(2 * np.pi * np.arange(20 * season) / season)[:, None]
    levels = trained(values[: 10 * season], season).follow(values[10 * season :])
    assert np.abs(levels).max() < 0.1 * np.ptp(values)


def test_gaps_of_the_training_part_are_no_values() -> None:
    values = np.full((SPAN, 1), 3.0)
    values[::2] = np.nan
    level = Level()
    assert set(level.fit(values, 1).ravel()) == {3.0}
    assert set(level.fit(np.full((10, 1), np.nan), 1).ravel()) == {0.0}
    assert level.fit(np.empty((0, 2)), 1).shape == (0, 2)


def test_another_stream_begins_where_the_training_part_ended() -> None:
    level = trained(np.linspace(0, 100, 3 * SPAN)[:, None])
    end = level.follow(np.full((1, 1), 100.0)).item()
    level.follow(np.full((2 * SPAN, 1), -500.0))
    level.reset()
    assert level.follow(np.full((1, 1), 100.0)).item() == end
    assert end > 75


def test_a_damaged_state_is_refused() -> None:
    state = trained(stream(SPAN)).state()
    state["trained"] = np.zeros(3)
    with pytest.raises(ModelFileError, match="the level cannot be used: samples is not an array of shape"):
        Level().load(state)
