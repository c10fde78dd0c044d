"""Event and point scores: by hand, and against their definition."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.reports.evaluation import event_scores, events, f1_score, point_scores

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


def test_one_flag_finds_an_event_and_runs_elsewhere_are_false() -> None:
    labels = labelled(100, (20, 30), (60, 70))
    found = event_scores(labelled(100, (5, 8), (25, 27), (29, 33), (90, 91)), labels)
    assert (found.precision, found.recall, found.detected, found.median_delay) == (0.5, 0.5, (True, False), 5)


def test_incidents_count_as_the_flags_that_they_cover() -> None:
    labels = labelled(100, (20, 30), (60, 70))
    spans = [(15, 22), (28, 40), (65, 66), (90, 95)]
    assert event_scores(spans, labels) == event_scores(labelled(100, *spans), labels)
    assert event_scores(spans, labels).median_delay == 2.5
    assert event_scores([(10, 20), (20, 30)], labelled(100, (25, 28))).precision == 0.5  # touching, yet two
    both = event_scores([(0, 50)], labelled(50, (10, 12), (30, 33)))
    assert (both.precision, both.recall, both.median_delay) == (1, 1, 0)


def test_nothing_to_compare_is_unknown_not_zero() -> None:
    nothing, something = labelled(10), labelled(10, (2, 4))
    silent, wolf = event_scores(nothing, something), event_scores(something, nothing)
    assert math.isnan(silent.precision) and silent.recall == 0
    assert math.isnan(wolf.recall) and (wolf.precision, wolf.detected) == (0, ())
    assert all(math.isnan(value) for value in point_scores(nothing, nothing))
    assert (f1_score(0.0, 0.0), f1_score(1.0, 0.5)) == (0, 2 / 3)
    assert math.isnan(f1_score(math.nan, 0.0))


@property_test
@given(flags, st.integers(0, 2**32 - 1))
def test_event_scores_are_shares_of_overlaps(raised: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).random(len(raised)) < 0.3
    found = event_scores(raised, labels)
    spans, known = events(raised), events(labels)
    right = [any(start < end and stop > begin for begin, end in known) for start, stop in spans]
    detected = [bool(raised[begin:end].any()) for begin, end in known]
    delays = [int(np.argmax(raised[begin:end])) for begin, end in known if raised[begin:end].any()]
    assert found.detected == tuple(detected)
    assert found.precision == pytest.approx(np.mean(right) if right else math.nan, nan_ok=True)
    assert found.recall == pytest.approx(np.mean(detected) if detected else math.nan, nan_ok=True)
    assert found.median_delay == pytest.approx(np.median(delays) if delays else math.nan, nan_ok=True)


def test_point_scores_count_every_point() -> None:
    assert point_scores(labelled(10, (0, 4)), labelled(10, (3, 5))) == (0.25, 0.5)


@pytest.mark.parametrize("span", [(-1, 3), (5, 5), (8, 11)])
def test_a_detection_outside_the_labels_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie within the 10 labelled points"):
        event_scores([span], labelled(10))


def test_flags_must_be_as_many_as_labels() -> None:
    for score in (event_scores, point_scores):
        with pytest.raises(ValueError, match="9 flags but 10 labels"):
            score(labelled(9), labelled(10))
