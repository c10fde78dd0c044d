"""The level that a stream has had of late, beside a plain twin."""

from __future__ import annotations

import statistics
from collections.abc import Callable

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


def slope(locations: list[float]) -> float:
    """Siegel's repeated median, as he wrote it down."""
    slopes = [[(other - own) / (j - i) for j, other in enumerate(locations) if j != i] for i, own in enumerate(locations)]
    return statistics.median(statistics.median(each) for each in slopes)


def carried_on(locations: list[float]) -> float:
    """Level of the window after these, the oldest first."""
    older, newer = slope(locations[: WINDOWS // 2 + 1]), slope(locations[WINDOWS // 2 :])
    trend = 0.0 if older * newer <= 0 else min(older, newer, key=abs)
    middle = statistics.median(locations)
    off = statistics.median(abs(each - middle) for each in locations)
    off_line = statistics.median(abs(each - middle - trend * (i - WINDOWS // 2)) for i, each in enumerate(locations))
    return middle + (WINDOWS // 2 + 1) * trend * (off_line < 0.5 * off)


@pytest.mark.parametrize(
    ("has_season", "place", "level_of"), [(True, statistics.fmean, carried_on), (False, statistics.median, statistics.median)]
)
def test_level_of_the_newest_windows(
    has_season: bool, place: Callable[[list[float]], float], level_of: Callable[[list[float]], float]
) -> None:
    values = walk(4 * SPAN)
    level = Level()
    levels = np.vstack([level.fit(values[: 2 * SPAN], WINDOW, has_season=has_season), level.follow(values, 2 * SPAN)])
    for row in range(SPAN, len(values), 97):
        ends = range(WINDOW, row + 1, WINDOW)[-WINDOWS:]
        expected = [level_of([place(column[end - WINDOW : end]) for end in ends]) for column in values.T.tolist()]
        assert levels[row] == pytest.approx(expected)


def test_a_season_that_climbs_is_carried_on() -> None:
    climb = np.arange(4.0 * SPAN)[:, None]
    season = np.sin(np.arange(4 * SPAN) * 2 * np.pi / WINDOW)[:, None]
    values = climb + 100 * season
    levels = trained(values[:SPAN], has_season=True).follow(values, 3 * SPAN)
    assert np.abs(levels - climb[SPAN:]).max() <= WINDOW / 2


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


@pytest.mark.parametrize("has_season", [True, False])
def test_an_event_does_not_move_it_and_what_stays_does(has_season: bool) -> None:
    stream = np.repeat([50.0, 90.0, 50.0, 70.0], [SPAN, WINDOWS // 2 * WINDOW, SPAN, SPAN])[:, None]
    levels = trained(stream[:SPAN], has_season=has_season).follow(stream, len(stream) - SPAN)
    assert set(levels[: -SPAN // 2].ravel()) == {50.0}
    assert levels[-1].item() == 70.0


@pytest.mark.parametrize("has_season", [True, False])
def test_an_outage_does_not_move_it(has_season: bool) -> None:
    values = walk(3 * SPAN) + 100
    outage = values.copy()
    outage[SPAN : 2 * SPAN] = 0.0
    level = trained(values[:SPAN], has_season=has_season)
    before = level.follow(values[:SPAN], 1)[-1]
    levels = level.follow(outage[: 2 * SPAN], SPAN - 1)
    np.testing.assert_array_equal(levels, np.repeat(before[None], SPAN - 1, axis=0))


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
    with pytest.raises(ModelFileError, match="the level cannot be used: trained is not an array of shape"):
        Level().load(state)
