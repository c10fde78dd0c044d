"""Event and point scores: by hand, and against their definition."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.reports.evaluation import event_delays, event_precision, events, f1_score, point_scores, quality_of

property_test = settings(deadline=None, max_examples=40, derandomize=True)
flags = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda bits: np.array(bits, dtype=bool))


def labelled(points: int, *spans: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(points, dtype=bool)
    for start, end in spans:
        labels[start:end] = True
    return labels


@property_test
@given(flags)
def test_events_give_back_the_labels(labels: np.ndarray) -> None:
    spans = events(labels)
    assert (labelled(len(labels), *spans) == labels).all()
    assert all(first[1] < second[0] for first, second in pairwise(spans))
    assert events(np.array([], dtype=bool)) == []


def test_one_flag_finds_an_event() -> None:
    labels, raised = labelled(100, (20, 30), (60, 70)), labelled(100, (5, 8), (25, 27), (29, 33), (90, 91))
    assert event_delays(raised, labels) == [5, None]
    assert event_precision(events(raised), labels) == 0.5
    assert event_precision([(10, 20), (20, 30)], labelled(100, (25, 28))) == 0.5  # touching, yet two
    assert event_precision([(0, 50)], labelled(50, (10, 12), (30, 33))) == 1
    quality = quality_of(labels, raised, [(5, 8), (25, 33)])
    assert (quality["event_precision"], quality["event_recall"], quality["event_f1"]) == (0.5, 0.5, 0.5)
    assert (quality["detection_delay_points"], quality["known_anomalies"]) == (5, 2)
    assert (quality["point_precision"], quality["point_recall"], quality["false_alarm_share"]) == (0.3, 0.15, 7 / 80)


def test_nothing_to_compare_is_unknown_not_zero() -> None:
    nothing, something = labelled(10), labelled(10, (2, 4))
    silent, wolf = quality_of(something, nothing, []), quality_of(nothing, something, [(2, 4)])
    assert math.isnan(silent["event_precision"]) and math.isnan(silent["event_f1"]) and silent["event_recall"] == 0
    assert math.isnan(wolf["event_recall"]) and (wolf["event_precision"], wolf["known_anomalies"]) == (0, 0)
    assert math.isnan(quality_of(~nothing, nothing, [])["false_alarm_share"])
    assert all(math.isnan(value) for value in point_scores(nothing, nothing))
    assert (f1_score(0.0, 0.0), f1_score(1.0, 0.5)) == (0, 2 / 3)


@property_test
@given(flags, st.integers(0, 2**32 - 1))
def test_shares_are_those_of_the_definition(raised: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).random(len(raised)) < 0.3
    known, spans = events(labels), events(raised)
    right = [any(start < end and stop > begin for begin, end in known) for start, stop in spans]
    np.testing.assert_equal(event_precision(spans, labels), np.mean(right) if right else math.nan)
    expected = [next((row - begin for row in range(begin, end) if raised[row]), None) for begin, end in known]
    assert event_delays(raised, labels) == expected
