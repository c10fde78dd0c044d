"""VUS-PR: by hand, against a plain twin, and against the authors' own package."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.benchmark.metrics import vus_pr
from autoencoder.reports.evaluation import events
from benchmark.folders import property_test


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
