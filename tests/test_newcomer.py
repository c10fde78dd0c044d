"""A series that the model does not know is judged at once, then by what is usual for itself, however it is cut and saved."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from adaptation.helpers import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array, Detections, Time
from autoencoder.detector import StreamDetector
from autoencoder.newcomer import Newcomer
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.scorers.seasonal import SeasonalScorer
from autoencoder.thresholds.budget import Budget
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold

COLD, TRAINING = 30, 120


def newcomer() -> Newcomer:
    budget = Budget.parse(0.01)
    forecast = StreamDetector(SeasonalScorer(), PeaksOverThreshold, budget, COLD, fills_gaps=False)
    return Newcomer(forecast, StreamDetector(WindowedGaussianScorer(window=64), PeaksOverThreshold, budget, TRAINING))


def stream(points: int = 400) -> tuple[Time, Array]:
    values = np.sin(np.arange(points) / 3) + np.random.default_rng(0).normal(size=points) * 0.1
    values[[70, 300]] += 9
    return np.datetime64("2024-01-01", "ns") + np.arange(points) * np.timedelta64(60, "s"), values[:, None]


def test_it_detects_before_and_after_its_own_training() -> None:
    time, values = stream()
    detector = newcomer()
    found = detector.process(time, values)
    assert np.isnan(found.scores[:COLD]).all() and not np.isnan(found.scores[COLD + 10 :]).any()
    assert {70, 300} <= set(np.flatnonzero(found.anomalies))
    assert detector.has_model and not detector.lacks_model


@cache
def judged_at_once(constant: int) -> tuple[Time, Array, Detections]:
    """A stream whose first values are constant, which cannot be learnt, and what is found where it is not cut."""
    time, values = stream()
    values[:constant] = 1.0
    return time, values, newcomer().process(time, values)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(cuts=st.lists(st.integers(0, 400), max_size=6), save=st.integers(0, 6))
@pytest.mark.parametrize("constant", [0, 200])
def test_cuts_and_saves_change_nothing(constant: int, cuts: list[int], save: int) -> None:
    time, values, whole = judged_at_once(constant)
    detector, parts = newcomer(), []
    for place, (start, end) in enumerate(zip([0, *sorted(cuts)], [*sorted(cuts), 400], strict=True)):
        parts.append(detector.process(time[start:end], values[start:end]))
        if place == save:
            state = unpack(pack(detector.state()), "the state")
            detector = newcomer()
            detector.load(state, {})
    assert_same(Detections.concatenate(parts), whole)


def test_what_cannot_be_learnt_is_tried_again() -> None:
    time, values = stream()
    values[:150] = np.nan
    detector = newcomer()
    found = detector.process(time, values)
    assert detector.has_model
    assert 300 in np.flatnonzero(found.anomalies)
