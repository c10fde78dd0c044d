"""The shadow of an anomaly: what is in it counts by itself, however the stream is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array
from autoencoder.scorers.evidence import Surprise, side_by_side, total
from autoencoder.scorers.linear_forecast import LAGS, POINTS, LinearForecast
from autoencoder.scorers.shadow import Shadow

REACH, POINTS_AFTER = 100, 250
LIMIT = 30.0  # nats, more than any normal point has


def wave(count: int, columns: int = 1) -> Array:
    noise = np.random.default_rng(0).normal(scale=0.1, size=(count, columns))
    return np.sin(np.arange(count) / 7)[:, None] + noise


class Example:
    """A stream after 1,000 points that train, with windows of ``REACH`` points."""

    def __init__(self, columns: int = 1) -> None:
        values = wave(1000 + POINTS_AFTER, columns)
        self.history, self.values = values[:1000], values[1000:]
        self.forecast, self.surprise = LinearForecast(), Surprise()
        linear = self.forecast.fit(self.history, np.zeros_like(self.history))
        nothing = np.zeros(len(linear))
        evidence = side_by_side(nothing, nothing, nothing, linear)
        self.surprise.fit(evidence, np.full(evidence.shape[1], 1e-6))
        self.shadow = Shadow(REACH)
        self.shadow.fit(total(self.surprise.of(evidence), columns))

    def own(self, anomalies: list[int], cuts: list[int] | None = None, saved: bool = False) -> Array:
        """Own errors of the values, of which ``anomalies`` are 5 too high and keep the errors of their windows at 100."""
        values, errors, found = self.values.copy(), np.ones(POINTS_AFTER), []
        values[anomalies] += 5.0
        for place in anomalies:
            errors[place : place + REACH] = 100.0
        rows = np.arange(POINTS_AFTER)
        for piece in np.split(rows, sorted(cuts or [])):
            stream = np.concatenate([self.history, values[: len(rows) if not len(piece) else piece[-1] + 1]])
            found.append(self.process(stream, errors[piece]))
            if saved:
                state = unpack(pack(self.shadow.state()), "shadow")
                self.shadow = Shadow(REACH)
                self.shadow.load(state)
        return np.concatenate(found)

    def process(self, stream: Array, errors: Array, residuals: Array | None = None) -> Array:
        """Own errors of the newest points of a stream, with these errors of windows, of which nothing but the forecast says more."""
        nothing = np.zeros(len(errors))
        levels = np.zeros((len(errors), stream.shape[1]))
        evidence = side_by_side(nothing, nothing, nothing, self.forecast.compare(stream, levels))
        residuals = np.full(levels.shape, np.nan) if residuals is None else residuals
        return self.shadow.process(stream, errors, levels, evidence, residuals, self.forecast, self.surprise)


@pytest.mark.parametrize("columns", [1, 2])
def test_what_comes_after_an_anomaly_counts_by_itself(columns: int) -> None:
    own = Example(columns).own([40])
    assert own[40] == 100.0
    assert (own[np.arange(POINTS_AFTER) != 40] < LIMIT).all()


def test_an_anomaly_in_the_shadow_of_another_is_seen() -> None:
    own = Example().own([40, 43, 120])
    assert np.flatnonzero(own > LIMIT).tolist() == [40, 43, 120]


def test_a_window_without_an_anomaly_counts_as_it_is() -> None:
    example = Example()
    assert example.own([]).tolist() == [1.0] * POINTS_AFTER
    errors = np.full(POINTS_AFTER, 100.0)
    errors[: REACH + 60] = 1.0
    errors[30] = 100.0  # its shadow is over when the others come
    values = np.concatenate([example.history, example.values])
    values[1030] += 5.0
    own = example.process(values, errors)
    assert own[REACH + 60] == 100.0


def test_a_level_that_stays_is_no_shadow() -> None:
    own = Example().own(list(range(40, 140)))
    assert (own[40:60] > LIMIT).all()


@pytest.mark.parametrize(("residual", "is_seen"), [(np.nan, True), (1.5, True), (0.5, False), (-0.5, False)])
def test_jump_back_to_what_is_usual_is_not_seen(residual: float, is_seen: bool) -> None:
    example = Example()
    values, errors, residuals = example.values.copy(), np.full(POINTS_AFTER, 100.0), np.full((POINTS_AFTER, 1), residual)
    values[40:80], residuals[40:80] = values[40:80] + 5.0, 30.0
    errors[45:80] = 1.0  # the level is not flagged to its end, so both forecasts expect it to go on
    own = example.process(np.concatenate([example.history, values]), errors, residuals)
    assert own[41] > LIMIT
    assert (own[80:84] > LIMIT).any() == is_seen


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    anomalies=st.lists(st.integers(0, POINTS_AFTER - 1), max_size=8, unique=True).map(sorted),
    cuts=st.lists(st.integers(1, POINTS_AFTER - 1), max_size=12, unique=True),
    saved=st.booleans(),
)
@example(anomalies=[0, 5, 30, 30 + LAGS, 90], cuts=list(range(1, POINTS_AFTER)), saved=True)
@example(anomalies=[10, 10 + POINTS], cuts=[11, 12, 10 + POINTS - 1], saved=False)
def test_cutting_and_resuming_change_nothing(anomalies: list[int], cuts: list[int], saved: bool) -> None:
    whole, cut = Example(), Example()
    np.testing.assert_array_equal(cut.own(anomalies, cuts, saved), whole.own(anomalies))
    assert pack(cut.shadow.state()) == pack(whole.shadow.state())


def test_a_damaged_state_is_refused() -> None:
    example = Example()
    example.own([POINTS_AFTER - 5])
    state = example.shadow.state()
    state["values"] = state["values"][1:]
    with pytest.raises(ModelFileError, match="the shadow cannot be used: values holds 38 points"):
        Shadow(REACH).load(state)
