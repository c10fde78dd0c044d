"""The linear forecast, beside plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from helpers.series import Array
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.scorers.linear_forecast import BURST_POINTS, HORIZONS, LAGS, POINTS, LinearForecast

quick = settings(deadline=None, max_examples=15, derandomize=True)


def waves(points: int, columns: int = 1, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    return 100 + np.sin(np.arange(points)[:, None] / (5 + np.arange(columns))) + 0.1 * random.normal(size=(points, columns))


def fitted(values: Array) -> LinearForecast:
    forecast = LinearForecast()
    forecast.fit(values, about(values))
    return forecast


def about(values: Array) -> Array:
    """Levels (N, F) that values (N, F) are compared with."""
    return np.full_like(values, np.nanmedian(values) if len(values) else 0.0)


@quick
@given(seed=st.integers(0, 99), columns=st.integers(1, 3))
def test_evidence_equals_the_twin(seed: int, columns: int) -> None:
    forecast = fitted(waves(300, columns, seed))
    values = waves(POINTS + 5, columns, seed + 1)
    values[len(values) - seed % (POINTS + 5) :, 0] = 100.0  # stuck for some points, or for all
    state = forecast.state()
    weights, offset = (np.asarray(state[key]) for key in ("weights", "offset"))
    levels = 100.0 + np.random.default_rng(seed).normal(size=values.shape)
    found = forecast.compare(values, levels)[-1]
    for column in range(columns):
        models = []
        for kind, horizon in enumerate(HORIZONS):
            last = POINTS - horizon
            own = weights[column, kind]
            models.append((horizon, list(own[last - LAGS : last] / -own[-1]), offset[column, kind] / -own[-1]))
        scale = -weights[column, 0, -1]
        expected = naive.linear_evidence(list(values[:, column] - levels[-1, column]), models, BURST_POINTS, POINTS - 1)
        assert found[column] == pytest.approx([*(np.array(expected[:-1]) * scale), expected[-1]], abs=1e-9)


def test_a_predictable_series_has_evidence_only_where_it_is_broken() -> None:
    values = np.sin(np.arange(400) / 7)[:, None]
    forecast = fitted(values)
    values[390] += 2
    found = forecast.compare(values, about(values))[:, 0]
    assert found[POINTS:390].max() < 0.05
    assert found[390, :-1].min() > 0.5


def test_outliers_in_the_training_part_change_little() -> None:
    clean = waves(2000)
    spoilt = clean.copy()
    spoilt[500], levels = -9999, about(clean)
    assert fitted(spoilt).compare(clean, levels)[POINTS:] == pytest.approx(
        fitted(clean).compare(clean, levels)[POINTS:], rel=0.2, abs=0.2
    )


def test_gaps_are_not_reached_across() -> None:
    values = waves(300)
    values[100] = np.nan
    found = fitted(values).compare(values, about(values))[:, 0, 0]
    assert np.isnan(found[100 : 100 + POINTS]).all()
    assert not np.isnan(found[100 + POINTS :]).any()


@pytest.mark.parametrize("values", [np.full((200, 1), 7.0), waves(POINTS), np.empty((0, 2))], ids=["constant", "short", "empty"])
def test_nothing_to_fit(values: Array) -> None:
    stream = np.repeat(values[:1], 100, axis=0) if len(values) else np.ones((100, 2))
    found = fitted(values).compare(stream, about(stream))
    assert np.isfinite(found).all()


@quick
@given(newest=st.integers(0, 120), start=st.integers(0, 60))
def test_the_newest_rows_are_those_of_all(newest: int, start: int) -> None:
    values = waves(start + newest, 2)
    forecast, levels = fitted(waves(300, 2)), about(values)
    assert np.array_equal(forecast.compare(values, levels[start:]), forecast.compare(values, levels)[start:])


def test_errors_do_not_grow_with_the_level() -> None:
    values = waves(600)
    forecast = fitted(values)
    here, there = (forecast.compare(each, about(each))[POINTS:] for each in (values, values + 1000))
    assert there == pytest.approx(here, abs=1e-6)
