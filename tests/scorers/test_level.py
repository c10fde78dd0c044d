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
from autoencoder.scorers.level import WINDOWS, Level

WINDOW = 20
SPAN = WINDOWS * WINDOW


def walk(points: int, seed: int = 0) -> Array:
    return np.cumsum(np.random.default_rng(seed).normal(size=(points, 2)), axis=0)


def trained(values: Array, *, has_season: bool = False) -> Level:
    level = Level()
    level.fit(values, WINDOW, has_season=has_season)
    return level


def in_pieces(level: Level, before: Array, values: Array, cuts: list[int], *, saved: bool = False) -> Array:
    """Levels of values after others, followed piece by piece with no more than a window before each, as a scorer does."""
    found, stream = [], before
    for piece in np.split(values, sorted(cuts)):
        stream = np.concatenate([stream[-WINDOW:], piece])
        found.append(level.follow(stream, len(piece)))
        if saved:
            state, level = unpack(pack(level.state()), "level"), Level()
            level.load(state)
    return np.vstack(found)


@pytest.mark.parametrize("has_season", [True, False])
def test_it_is_the_median_over_the_newest_windows(has_season: bool) -> None:
    values, place = walk(4 * SPAN), statistics.fmean if has_season else statistics.median
    level = Level()
    levels = np.vstack([level.fit(values[: 2 * SPAN], WINDOW, has_season=has_season), level.follow(values, 2 * SPAN)])
    for row in range(SPAN, len(values), 97):
        ends = range(WINDOW, row + 1, WINDOW)[-WINDOWS:]
        expected = [statistics.median(place(column[end - WINDOW : end]) for end in ends) for column in values.T.tolist()]
        assert levels[row] == pytest.approx(expected)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(cuts=st.lists(st.integers(1, SPAN), max_size=8), saved=st.booleans(), has_season=st.booleans())
def test_cutting_and_resuming_change_nothing(cuts: list[int], saved: bool, has_season: bool) -> None:
    before, values = walk(SPAN + 7), walk(SPAN + 50, 1)
    whole = in_pieces(trained(before, has_season=has_season), before, values, [])
    np.testing.assert_array_equal(in_pieces(trained(before, has_season=has_season), before, values, cuts, saved=saved), whole)


def test_it_has_not_seen_the_point_that_it_is_compared_with() -> None:
    values = walk(2 * SPAN)
    spoilt = values.copy()
    spoilt[SPAN + 300 :] = 1e6
    found, clean = trained(values[:SPAN]).follow(spoilt, SPAN), trained(values[:SPAN]).follow(values, SPAN)
    np.testing.assert_array_equal(found[:301], clean[:301])


def test_an_event_does_not_move_it_and_what_stays_does() -> None:
    stream = np.repeat([50.0, 90.0, 50.0, 70.0], [SPAN, WINDOWS // 2 * WINDOW, SPAN, SPAN])[:, None]
    levels = trained(stream[:SPAN]).follow(stream, len(stream) - SPAN)
    assert set(levels[: -SPAN // 2].ravel()) == {50.0}
    assert levels[-1].item() == 70.0


def test_gaps_of_the_training_part_are_no_values() -> None:
    values = np.full((SPAN, 1), 3.0)
    values[::2] = np.nan
    values[WINDOW : 3 * WINDOW] = np.nan
    level = Level()
    assert set(level.fit(values, WINDOW, has_season=True).ravel()) == {3.0}
    assert set(level.fit(np.full((10, 1), np.nan), WINDOW, has_season=False).ravel()) == {0.0}
    assert level.fit(np.empty((0, 2)), WINDOW, has_season=False).shape == (0, 2)


def test_another_stream_begins_where_the_training_part_ended() -> None:
    values = np.linspace(0, 100, 3 * SPAN)[:, None]
    level = trained(values)
    end = level.follow(values, 1).item()
    level.follow(np.full((2 * SPAN, 1), -500.0), 2 * SPAN)
    level.reset()
    assert level.follow(np.full((1, 1), 100.0), 1).item() == end
    assert end > 75


def test_a_damaged_state_is_refused() -> None:
    state = trained(walk(SPAN)).state()
    state["trained"] = np.zeros(3)
    with pytest.raises(ModelFileError, match="the level cannot be used: windows is not an array of shape"):
        Level().load(state)
