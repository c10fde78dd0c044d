"""Habit: alarms that come often lose their score, rare ones keep it; nothing depends on how a stream is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from autoencoder.core.types import Array
from autoencoder.thresholds.habit import ALIKE, CONFIDENCE, GAP, MEMORY, SHARE, Habit, most_by_chance

BUDGET, MOST, RARE = 0.001, 0.0008, 1e-9


def temper(errors: Array, habit: Habit) -> Array:
    """With a limit of 1 and a tail that calls every error rare."""
    return habit.temper(errors, np.ones(len(errors)), np.full(len(errors), RARE))


def stream(points: int, alarms: dict[int, float]) -> Array:
    errors = np.full(points, 0.5)
    for place, height in alarms.items():
        errors[place] = height
    return errors


def test_alarms_as_frequent_as_the_budget_stay_what_they_are() -> None:
    found = temper(stream(10_000, dict.fromkeys(range(999, 10_000, 1000), 5.0)), Habit(BUDGET, MOST))
    assert (found == RARE).all()


def test_frequent_alarms_become_a_habit_and_a_higher_one_does_not() -> None:
    alarms = dict.fromkeys(range(99, 10_000, 100), 5.0) | {9_950: 7.0}
    found = temper(stream(10_000, alarms), Habit(BUDGET, MOST))
    assert found[9_899] == MOST and found[9_950] == RARE


def test_a_long_anomaly_is_one_alarm() -> None:
    assert (temper(np.full(3_000, 7.0), Habit(BUDGET, MOST)) == RARE).all()


def test_a_habit_is_forgotten() -> None:
    habit = Habit(BUDGET, MOST)
    temper(stream(5_000, dict.fromkeys(range(99, 5_000, 100), 5.0)), habit)
    assert (temper(stream(MEMORY + 100, {MEMORY + 50: 5.0}), habit) == RARE).all()


def test_errors_that_are_unknown_count_for_nothing() -> None:
    errors = stream(6_000, dict.fromkeys(range(99, 6_000, 100), 5.0))
    gaps = np.full(2 * len(errors), np.nan)
    gaps[::2] = errors
    assert np.array_equal(temper(gaps, Habit(BUDGET, MOST))[::2], temper(errors, Habit(BUDGET, MOST)))


@given(
    st.lists(st.tuples(st.integers(1, 150), st.floats(0.1, 9.0)), min_size=1, max_size=120),
    st.lists(st.integers(0, 6_000), max_size=5),
)
def test_it_equals_its_definition_however_the_stream_is_cut(steps: list[tuple[int, float]], cuts: list[int]) -> None:
    places = np.cumsum([step for step, _ in steps])
    errors = stream(int(places[-1]) + 1, dict(zip(places.tolist(), (height for _, height in steps), strict=True)))
    habit, parts = Habit(BUDGET, MOST), []
    habit.begin(200)
    for part in np.split(errors, sorted(cuts)):
        parts.append(temper(part, habit))
        state, habit = habit.state(), Habit(BUDGET, MOST)
        habit.load(state)
    assert np.array_equal(np.concatenate(parts), naive(errors, 200))


def naive(errors: Array, known: int) -> Array:
    """Alarms as lists of flags, all of them looked at for each flag."""
    found = np.full(len(errors), RARE)
    alarms: list[list[int]] = []
    for place in np.flatnonzero(errors > 1.0).tolist():
        if not alarms or place - alarms[-1][-1] > GAP:
            alarms.append([])
        before = alarms[:-1]
        alarms[-1].append(place)
        points = min(known + place + 1, MEMORY)
        recent = [alarm for alarm in before if place - alarm[-1] < MEMORY]
        count = sum(max(errors[alarm]) >= ALIKE * errors[place] for alarm in recent)
        if count > poisson.ppf(CONFIDENCE, SHARE * BUDGET * points):
            found[place] = max(RARE, min(count / points, MOST))
    return found


@pytest.mark.parametrize("expected", [0.01, 0.5, 3.0, 10.0, 100.0, 500.0, 2500.0, 4999.0])
def test_chance_is_a_poisson_quantile(expected: float) -> None:
    assert most_by_chance(expected) == int(poisson.ppf(CONFIDENCE, expected))
