"""Metrics of labelled series: by hand, against plain twins, and VUS-PR against the authors' own package."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.detections import labelled
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.benchmark.metrics import auc_pr, delay_f1, event_figures, incidents_of, vus_pr
from autoencoder.reports.evaluation import events
from benchmark.folders import property_test


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


def test_what_cannot_be_measured() -> None:
    assert math.isnan(vus_pr(np.zeros(10), labelled(10), 3))
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
def test_equals_the_authors_package(seed: int, buffer: int, reference: float) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.random(1000)
    labels = labelled(1000, (100, 130), (140, 141), (400, 480), (700, 705))
    scores[labels] += 0.5 * generator.random(int(labels.sum()))
    assert vus_pr(scores, labels, buffer) == pytest.approx(reference, abs=1e-12)


@settings(property_test, max_examples=15)
@given(scored(), st.integers(0, 12))
def test_equals_its_naive_twin(case: tuple[np.ndarray, np.ndarray], buffer: int) -> None:
    scores, labels = case
    assert vus_pr(scores, labels, buffer, thresholds=20) == pytest.approx(naive_vus_pr(scores, labels, buffer, 20), abs=1e-12)


@property_test
@given(scored(), st.integers(0, 40))
def test_laws(case: tuple[np.ndarray, np.ndarray], buffer: int) -> None:
    scores, labels = case
    low = scores < 0.3
    assert vus_pr(labels.astype(float), labels, buffer) == pytest.approx(1)  # perfect scores
    volume = vus_pr(scores, labels, buffer)
    assert vus_pr(np.exp(5 * scores) - 7, labels, buffer) == pytest.approx(volume)  # only their order counts
    assert vus_pr(np.where(low, np.nan, scores), labels, buffer) == vus_pr(np.where(low, 0.0, scores), labels, buffer)
    for constant in (0.0, 1.0, math.nan):  # at least the share of anomalies
        assert labels.mean() <= vus_pr(np.full(len(labels), constant), labels, buffer) + 1e-12 <= 1 + 1e-9


SCORES = np.array([0.0, 0.1, 0.2, 0.9, 0.3, 0.8, 0.0, 0.7, 0.7, 0.0])
NAN = math.nan


@pytest.mark.parametrize(
    ("spans", "scores", "delay", "lengthen", "expected"),
    [
        ([(3, 4)], SCORES, 0, 0, 1.0),
        ([(2, 5)], SCORES, 1, 0, 1.0),
        ([(2, 5)], SCORES, 0, 0, 2 / (2 + 3)),  # found at 0.2, where 0.8, 0.7 and 0.7 are false
        ([(4, 5)], SCORES, 3, 0, 2 / (2 + 4)),  # a delay reaches no further than the event
        ([(4, 5)], SCORES, 3, 1, 2 / (2 + 1)),  # lengthened, it holds 0.8
        ([(4, 5), (6, 7)], SCORES, 1, 1, 2 * 1 / (1 + 1 + 1)),  # lengthened, they meet
        ([(3, 4), (7, 9)], SCORES, 0, 0, 2 * 2 / (2 + 2 + 1)),  # both found, one false
        ([(0, 1)], np.full(10, NAN), 0, 0, 0.0),
    ],
)
def test_delay_f1_by_hand(spans: list[tuple[int, int]], scores: np.ndarray, delay: int, lengthen: int, expected: float) -> None:
    assert delay_f1(scores, labelled(10, *spans), delay, lengthen) == pytest.approx(expected)


def naive_delay_f1(scores: np.ndarray, labels: np.ndarray, delay: int, lengthen: int) -> float:
    """Every threshold, event by event and point by point."""
    longer = [bool(labels[max(0, row - lengthen) : row + 1].any()) for row in range(len(labels))]
    best = 0.0
    for limit in set(scores[~np.isnan(scores)]):
        right = missed = 0.0
        for start, end in events(np.array(longer)):
            weight = next(power for power in range(9, -1, -1) if 3**power <= end - start + 3)
            is_found = any(scores[row] >= limit for row in range(start, min(end, start + delay + 1)))
            right, missed = right + weight * is_found, missed + weight * (not is_found)
        false = sum(score >= limit and not inside for score, inside in zip(scores, longer, strict=True))
        best = max(best, 2 * right / (2 * right + false + missed))
    return best


@property_test
@given(scored(), st.integers(0, 6), st.integers(0, 4), st.booleans())
def test_delay_f1_equals_its_naive_twin(case: tuple[np.ndarray, np.ndarray], delay: int, lengthen: int, gaps: bool) -> None:
    scores, labels = case
    scores = np.where(gaps & (np.arange(len(scores)) % 5 == 0), NAN, scores)
    assert delay_f1(scores, labels, delay, lengthen) == pytest.approx(naive_delay_f1(scores, labels, delay, lengthen))


def test_auc_pr_by_hand() -> None:
    labels = labelled(4, (0, 1), (2, 3))
    assert auc_pr(np.array([0.9, 0.5, 0.5, 0.1]), labels) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)  # equals are flagged together
    assert auc_pr(np.array([0.9, NAN, 0.5, NAN]), labels) == 1
    assert auc_pr(np.full(4, NAN), labels) == 0.5
    assert math.isnan(auc_pr(np.zeros(4), labelled(4)))


def test_event_figures_by_hand() -> None:
    labels, flags = labelled(100, (10, 14), (40, 42), (90, 100)), np.zeros(100, dtype=bool)
    flags[[12, 18, 25, 46, 70]] = True  # 46 lies within five points behind an event, 70 and 25 near none
    figures = event_figures(flags, labels)
    assert incidents_of(flags) == [
        (12, 19),
        (25, 26),
        (46, 47),
        (70, 71),
    ]  # five points lie between 12 and 18, six between 18 and 25
    assert figures[:4] == (3, 2, 4, 2)
    assert (figures.incident_points, figures.event_points, figures.delay) == (1, 4, (2 + 6) / 2)
    near = 14 + 12 + 15  # points
    assert figures.normal_flagged == 2 / (100 - near)
    nothing = event_figures(np.zeros(9, dtype=bool), np.zeros(9, dtype=bool))
    assert nothing[:4] == (0, 0, 0, 0)
    assert all(map(math.isnan, nothing[4:7]))
    assert nothing.normal_flagged == 0
    assert math.isnan(event_figures(np.ones(5, dtype=bool), np.ones(5, dtype=bool)).normal_flagged)
