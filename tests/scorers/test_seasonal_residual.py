"""The seasonal residual: its twin, what it sees that one season does not show, and that cuts and a restart change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from helpers.series import Array
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.scorers.seasonal_residual import CYCLES, FINENESS, NEWEST, SeasonalResidual

DAY, WEEK = 24, 168


def weeks(count: int, seed: int = 0) -> Array:
    """So many weeks of hours (N, 1), whose days have a peak, and whose weekends have half of it."""
    hours = np.arange(count * WEEK)
    peak = np.exp(-(((hours % DAY - 14) / 4) ** 2)) * np.where(hours // DAY % 7 < 5, 10.0, 5.0)
    return (20 + peak + np.random.default_rng(seed).normal(scale=0.3, size=len(hours)))[:, None]


def fitted(values: Array) -> SeasonalResidual:
    season = SeasonalResidual()
    season.fit(values)
    return season


@pytest.mark.parametrize("period", [5, 12])
def test_agrees_with_its_twin(period: int) -> None:
    random = np.random.default_rng(period)
    values = 3.0 * np.tile(np.arange(period), 300 // period) + random.normal(size=300)
    values[[40, 41, 200]], values[120:140] = np.nan, values[120:140] + 6
    season = SeasonalResidual()
    season.fit(values[:150, None])
    patience, period = season.state()["patience"], season.state()["period"]  # that, or a longer one by chance
    expected = naive.seasonal_residual(values[:150].tolist(), values[150:].tolist(), period, NEWEST, CYCLES, patience, FINENESS)
    np.testing.assert_allclose(season.compare(values[150:, None])[:, 0, 0], expected, rtol=1e-9, atol=1e-12)


KINDS = {
    "a weekday instead of a Sunday": lambda week: np.concatenate([week[: 6 * DAY], week[DAY : 2 * DAY]]),
    "a Sunday instead of a weekday": lambda week: np.concatenate([week[: 6 * DAY], week[6 * DAY :], week[6 * DAY :]])[-WEEK:],
    "no peak": lambda week: np.where(np.arange(WEEK)[:, None] // DAY == 3, 20.0, week),
    "six hours late": lambda week: np.concatenate(
        [week[: 2 * DAY], np.roll(week[2 * DAY : 3 * DAY], 6, axis=0), week[3 * DAY :]]
    ),
    "a level that stays": lambda week: week + np.where(np.arange(WEEK)[:, None] > 100, 2.0, 0.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_sees_what_a_day_does_not_show(kind: str) -> None:
    values, following = weeks(4), weeks(1, seed=1)
    assert fitted(values).compare(following).max() < 1.5
    assert fitted(values).compare(KINDS[kind](following)).max() > 3.0


def test_a_spike_leaves_no_echo_and_an_event_ends_with_it() -> None:
    values, following = weeks(4), weeks(1, seed=1)
    spoilt = following.copy()
    spoilt[50] += 50.0
    spoilt[90:110] += 5.0
    found, usual = (fitted(values).compare(each)[:, 0, 0] for each in (spoilt, following))
    assert (found[50 : 50 + NEWEST] <= usual[50 : 50 + NEWEST] + 1.0).all()
    assert (found[90 + NEWEST : 110] > 3.0).all()
    assert found[111:].max() < 1.5


def test_residuals_are_of_the_points_themselves() -> None:
    values, following = weeks(4), weeks(1, seed=1)
    usual = fitted(values).follow(following)[1]
    spoilt = following.copy()
    spoilt[50] += 50.0
    residuals = fitted(values).follow(spoilt)[1]
    assert np.abs(residuals[[49, 51]] - usual[[49, 51]]).max() < 0.5
    assert residuals[50, 0] > 30.0
    assert np.median(np.abs(usual)) == pytest.approx(0.67, abs=0.2)  # in deviations
    assert np.isnan(fitted(values[:20]).follow(following)[1]).all()


def test_what_stays_becomes_usual() -> None:
    season, following = fitted(weeks(4)), weeks(12, seed=1) + 3.0
    found = season.compare(following)[:, 0, 0]
    assert found[WEEK // 2] > 3.0
    assert found[-WEEK:].max() < 1.5


def test_an_outage_leaves_no_trace() -> None:
    season, following = fitted(weeks(4)), weeks(2, seed=1)
    following[DAY : 3 * DAY] = 0.0
    found = season.compare(following)[:, 0, 0]
    assert (found[DAY + NEWEST : 3 * DAY] > 3.0).all()
    assert found[3 * DAY :].max() < 1.5


def test_unknown_until_a_season_has_been_seen() -> None:
    season = SeasonalResidual()
    evidence = season.fit(weeks(4))
    assert np.isnan(evidence[: 2 * WEEK]).all()
    assert np.isfinite(evidence[2 * WEEK :]).all()
    season.reset()  # another stream, at whatever time of the week
    assert season.compare(weeks(1, seed=2)[50:]).max() == 0.0
    short = SeasonalResidual()
    assert short.fit(weeks(4)[: 2 * DAY - 1]).shape == (2 * DAY - 1, 1, 1)
    assert short.compare(weeks(1)).max() == 0.0


def test_a_longer_season_is_none_of_chance() -> None:
    seasons = set()
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=(1000, 1))
        seasons.add(fitted(3 * np.sin(2 * np.pi * np.arange(1000) / DAY)[:, None] + noise).period)
    assert seasons == {DAY} and fitted(weeks(4)).period == WEEK


@pytest.mark.parametrize(("window", "points"), [(1, 24), (24, 24), (35, 24), (37, 48), (50, 48), (168, 168)])
def test_whole_seasons_about_a_window(window: int, points: int) -> None:
    assert fitted(weeks(4)).cover(window) == points  # of days, whatever longer season there is
    assert fitted(np.random.default_rng(0).normal(size=(300, 1))).cover(window) == window


def test_columns_are_followed_one_by_one() -> None:
    both = np.concatenate([weeks(4), weeks(4, seed=3) * 100], axis=1)
    following = np.concatenate([weeks(1, seed=1), weeks(1, seed=4) * 100], axis=1)
    found = fitted(both).compare(following)
    for column in range(2):
        np.testing.assert_array_equal(found[:, column], fitted(both[:, [column]]).compare(following[:, [column]])[:, 0])


@pytest.mark.parametrize("value", [0.0, 5.0, 1e9])
def test_a_constant_has_no_season(value: float) -> None:
    season = fitted(np.full((3 * WEEK, 1), value))
    assert season.compare(np.full((50, 1), value)).max() == 0.0
    assert season.compare(np.full((50, 1), value / 2 + 1.0)).max() < 1e-6


@settings(deadline=None, max_examples=30, derandomize=True)
@given(cuts=st.lists(st.integers(1, WEEK - 1), max_size=8, unique=True), saved=st.booleans(), gaps=st.integers(0, 40))
def test_cutting_and_resuming_change_nothing(cuts: list[int], saved: bool, gaps: int) -> None:
    values, following = weeks(3), weeks(1, seed=5)
    following[60 : 60 + gaps] = np.nan
    whole, cut, found = fitted(values), fitted(values), []
    for piece in np.split(following, sorted(cuts)):
        if saved:
            state = unpack(pack(cut.state()), "season")
            cut = SeasonalResidual()
            cut.load(state)
        found.append(cut.compare(piece))
    np.testing.assert_array_equal(np.concatenate(found), whole.compare(following))
    assert pack(cut.state()) == pack(whole.state())


def test_a_damaged_state_is_refused() -> None:
    state = fitted(weeks(3)).state()
    state["usual"] = state["usual"][:, 1:]
    with pytest.raises(
        ModelFileError,
        match=r"the seasonal residual cannot be used: usual is not an array of shape \(1, 168\)",
    ):
        SeasonalResidual().load(state)
