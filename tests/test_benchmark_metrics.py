"""Event metrics: by hand, and against a plain twin."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.benchmark.metrics import event_scores, events, point_scores

property_test = settings(deadline=None, max_examples=40, derandomize=True)
flags = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda bits: np.array(bits, dtype=bool))


def labelled(points: int, *spans: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(points, dtype=bool)
    for start, end in spans:
        labels[start:end] = True
    return labels


def test_events_are_the_runs_of_labels() -> None:
    assert events(labelled(10)) == []
    assert events(labelled(10, (0, 10))) == [(0, 10)]
    assert events(labelled(10, (0, 1), (3, 5), (9, 10))) == [(0, 1), (3, 5), (9, 10)]
    assert events(np.array([], dtype=bool)) == []


@property_test
@given(flags)
def test_events_give_back_the_labels(labels: np.ndarray) -> None:
    spans = events(labels)
    assert (labelled(len(labels), *spans) == labels).all()
    assert all(first[1] < second[0] for first, second in pairwise(spans))


def test_one_flag_finds_an_event_and_each_run_elsewhere_is_a_false_alarm() -> None:
    labels = labelled(100, (20, 30), (60, 70))
    found = event_scores(labelled(100, (5, 8), (25, 27), (29, 33), (90, 91)), labels)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert found.detected == (True, False)
    assert found.detection_delay_median == 5


def test_incidents_count_as_the_flags_that_they_cover() -> None:
    labels = labelled(100, (20, 30), (60, 70))
    spans = [(15, 22), (28, 40), (65, 66), (90, 95)]
    assert event_scores(spans, labels) == event_scores(labelled(100, *spans), labels)
    assert event_scores(spans, labels).detection_delay_median == 2.5


def test_touching_incidents_stay_two_detections() -> None:
    assert event_scores([(10, 20), (20, 30)], labelled(100, (25, 28))).precision == 0.5


def test_a_detection_that_covers_two_events_finds_both() -> None:
    found = event_scores([(0, 50)], labelled(50, (10, 12), (30, 33)))
    assert (found.precision, found.recall, found.detection_delay_median) == (1, 1, 0)


def test_tolerance_forgives_a_late_detection_but_does_not_count_it_as_found() -> None:
    labels = labelled(100, (20, 30))
    late = labelled(100, (33, 35))
    assert event_scores(late, labels).precision == 0
    assert event_scores(late, labels, tolerance=3).precision == 0
    forgiven = event_scores(late, labels, tolerance=4)
    assert (forgiven.precision, forgiven.recall, forgiven.f1) == (1, 0, 0)
    assert math.isnan(forgiven.detection_delay_median)


def test_nothing_to_judge_is_unknown_not_zero() -> None:
    nothing, something = labelled(10), labelled(10, (2, 4))
    silent = event_scores(nothing, something)
    assert math.isnan(silent.precision) and (silent.recall, silent.f1) == (0, 0)
    wolf = event_scores(something, nothing)
    assert math.isnan(wolf.recall) and (wolf.precision, wolf.f1, wolf.detected) == (0, 0, ())
    assert all(math.isnan(value) for value in (event_scores(nothing, nothing).f1, point_scores(nothing, nothing).f1))


@property_test
@given(flags)
def test_flags_that_are_the_labels_are_perfect(labels: np.ndarray) -> None:
    labels[0] = True
    found = event_scores(labels, labels)
    assert (found.precision, found.recall, found.f1, found.detection_delay_median) == (1, 1, 1, 0)
    exact = point_scores(labels, labels)
    assert (exact.precision, exact.recall, exact.f1) == (1, 1, 1)


@property_test
@given(flags, st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_event_scores_are_shares_of_overlaps(raised: np.ndarray, seed: int, tolerance: int) -> None:
    labels = np.random.default_rng(seed).random(len(raised)) < 0.3
    found = event_scores(raised, labels, tolerance)
    spans, known = events(raised), events(labels)
    right = [any(start < end + tolerance and stop > begin for begin, end in known) for start, stop in spans]
    detected = [bool(raised[begin:end].any()) for begin, end in known]
    delays = [int(np.argmax(raised[begin:end])) for begin, end in known if raised[begin:end].any()]
    assert found.detected == tuple(detected)
    assert found.precision == pytest.approx(np.mean(right) if right else math.nan, nan_ok=True)
    assert found.recall == pytest.approx(np.mean(detected) if detected else math.nan, nan_ok=True)
    assert found.detection_delay_median == pytest.approx(np.median(delays) if delays else math.nan, nan_ok=True)


def test_point_scores_count_every_point() -> None:
    scores = point_scores(labelled(10, (0, 4)), labelled(10, (3, 5)))
    assert (scores.precision, scores.recall) == (0.25, 0.5)
    assert scores.f1 == pytest.approx(1 / 3)


@pytest.mark.parametrize("span", [(-1, 3), (5, 5), (8, 11)])
def test_a_detection_outside_the_labels_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie within the 10 labelled points"):
        event_scores([span], labelled(10))


def test_flags_and_scores_must_be_as_many_as_labels() -> None:
    with pytest.raises(ValueError, match="9 flags but 10 labels"):
        event_scores(labelled(9), labelled(10))
    with pytest.raises(ValueError, match="9 flags but 10 labels"):
        point_scores(labelled(9), labelled(10))
