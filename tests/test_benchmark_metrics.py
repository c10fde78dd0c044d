"""Event metrics and VUS-PR: by hand, against a plain twin, and against the authors' own package."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.benchmark.metrics import event_scores, events, point_scores, vus_pr

property_test = settings(deadline=None, max_examples=40, derandomize=True)
flags = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda bits: np.array(bits, dtype=bool))


def labelled(points: int, *spans: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(points, dtype=bool)
    for start, end in spans:
        labels[start:end] = True
    return labels


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores, with ties, and labels with at least one event."""
    points = draw(st.integers(30, 400))
    cuts = sorted(draw(st.sets(st.integers(0, points), min_size=2, max_size=8)))
    labels = labelled(points, *zip(cuts[0::2], cuts[1::2], strict=False))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.round(generator.random(points) + labels * generator.random(points), 1), labels


def naive_vus_pr(scores: np.ndarray, labels: np.ndarray, buffer: int, thresholds: int) -> float:
    """The definition, a point and a threshold at a time."""
    points, spans = len(scores), events(labels)
    falling = sorted(scores, reverse=True)
    limits = [falling[int(rank)] for rank in np.linspace(0, points - 1, thresholds)]
    areas = []
    for width in range(buffer + 1):
        half = width // 2
        worth = [float(label) for label in labels]
        zone = list(range(len(spans)))  # the zone each event belongs to
        for number, (start, end) in enumerate(spans):
            for point in range(points):
                distance = start - point if point < start else point - end + 1
                if 0 < distance <= half:
                    worth[point] += math.sqrt(1 - distance / width)
            if number and spans[number - 1][1] + half > start - half:
                zone[number] = zone[number - 1]
        worth = [min(value, 1.0) for value in worth]
        area, last_recall = 0.0, 0.0
        for limit in limits:
            flagged = [point for point in range(points) if scores[point] >= limit]
            right = sum(worth[point] for point in flagged)
            in_buffers = sum(worth[point] for point in flagged if not labels[point])
            positives = (labels.sum() + labels.sum() + in_buffers) / 2
            met = {
                zone[number]
                for number, (start, end) in enumerate(spans)
                if any(start - half <= point < end + half for point in flagged)
            }
            recall = min(right / positives, 1.0) * len(met) / len(set(zone))
            area += (recall - last_recall) * right / len(flagged)
            last_recall = recall
        areas.append(area)
    return sum(areas) / len(areas)


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
    with pytest.raises(ValueError, match="9 scores but 10 labels"):
        vus_pr(np.zeros(9), labelled(10), 5)
    with pytest.raises(ValueError, match="buffer is -1"):
        vus_pr(np.zeros(10), labelled(10, (2, 4)), -1)


# Made with vus 0.0.6 from PyPI (numpy 2.4.6), the package of the paper's authors:
#   from vus.utils.metrics import metricor
#   metricor().RangeAUC_volume_opt(labels.astype(int), scores, buffer, 250)[-1]
@pytest.mark.parametrize(
    ("seed", "buffer", "reference"),
    [(1, 0, 0.3399717118629854), (1, 20, 0.3986752482111244), (2, 51, 0.47902877497098234)],
)
def test_vus_pr_is_what_the_authors_package_computes(seed: int, buffer: int, reference: float) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.random(1000)
    labels = labelled(1000, (100, 130), (140, 141), (400, 480), (700, 705))
    scores[labels] += 0.5 * generator.random(int(labels.sum()))
    assert vus_pr(scores, labels, buffer) == pytest.approx(reference, abs=1e-12)


@settings(property_test, max_examples=15)
@given(scored(), st.integers(0, 12))
def test_vus_pr_is_what_its_definition_says(case: tuple[np.ndarray, np.ndarray], buffer: int) -> None:
    scores, labels = case
    assert vus_pr(scores, labels, buffer, thresholds=20) == pytest.approx(naive_vus_pr(scores, labels, buffer, 20), abs=1e-12)


@property_test
@given(scored(), st.integers(0, 40))
def test_vus_pr_depends_on_the_order_of_scores_only(case: tuple[np.ndarray, np.ndarray], buffer: int) -> None:
    scores, labels = case
    assert vus_pr(np.exp(5 * scores) - 7, labels, buffer) == pytest.approx(vus_pr(scores, labels, buffer))


@property_test
@given(scored(), st.integers(0, 40))
def test_vus_pr_of_perfect_scores_is_1(case: tuple[np.ndarray, np.ndarray], buffer: int) -> None:
    _, labels = case
    assert vus_pr(labels.astype(float), labels, buffer) == pytest.approx(1)


@property_test
@given(scored(), st.integers(0, 40), st.sampled_from([0.0, 1.0, math.nan]))
def test_vus_pr_of_constant_scores_is_at_least_the_share_of_anomalies(
    case: tuple[np.ndarray, np.ndarray], buffer: int, constant: float
) -> None:
    _, labels = case
    assert labels.mean() <= vus_pr(np.full(len(labels), constant), labels, buffer) + 1e-12 <= 1 + 1e-9


@property_test
@given(scored(), st.integers(0, 40))
def test_vus_pr_takes_an_unknown_score_as_zero(case: tuple[np.ndarray, np.ndarray], buffer: int) -> None:
    scores, labels = case
    low = scores < 0.3
    assert vus_pr(np.where(low, np.nan, scores), labels, buffer) == vus_pr(np.where(low, 0.0, scores), labels, buffer)


def test_vus_pr_forgives_a_near_miss_that_a_point_measure_does_not() -> None:
    labels = labelled(500, (200, 210))
    near, far = np.zeros(500), np.zeros(500)
    near[210:220] = 1
    far[300:310] = 1
    assert vus_pr(near, labels, 40) > 3 * vus_pr(far, labels, 40)


def test_vus_pr_without_labels_is_unknown() -> None:
    assert math.isnan(vus_pr(np.zeros(10), labelled(10), 3))
