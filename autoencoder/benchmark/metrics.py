"""VUS-PR: how well scores rank the points of known anomalies above all others, with some room around each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autoencoder.core.types import Array, Bools
from autoencoder.reports.evaluation import Span, events


def vus_pr(scores: Array, labels: Bools, buffer: int, thresholds: int = 250) -> float:
    """The volume under the precision-recall surface, over all thresholds and all buffers around the events.

    Around each event lies a buffer in which a high score is partly right: its worth falls as sqrt(1 - distance / width) up to
    half the width. Recall is scaled by the share of events met at all. The area under each width's precision-recall curve is
    averaged over the widths 0 to ``buffer``, so that small shifts of a label or a score change the figure but little.

    Source: Paparrizos et al., "Volume Under the Surface", VLDB 2022, doi 10.14778/3551793.3551830, as the authors' package vus
    0.0.6 computes it: a buffer counts among the positives only where it is flagged, so that perfect scores give 1.

    Args:
        scores: (N,) the higher, the more abnormal; NaN counts as 0.
        labels: (N,) True inside an anomaly; without one the volume is NaN, else in [0, 1].
        buffer: the largest width in points, e.g. the period of the series or the usual length of an anomaly.
        thresholds: how many ranks, evenly spread over the sorted scores, serve as thresholds.

    Raises:
        ValueError: scores and labels differ in length, or buffer is negative.
    """
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores)} scores but {len(labels)} labels; give one for each point")
    if buffer < 0:
        raise ValueError(f"buffer is {buffer}; it must be 0 or more points")
    spans = events(labels)
    if not spans:
        return math.nan
    scores = np.where(np.isnan(scores), 0.0, scores)
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    limits = falling[np.linspace(0, len(scores) - 1, thresholds).astype(np.int64)]  # (K,)
    flagged = np.searchsorted(-falling, -limits, side="right")  # (K,) so many points reach each threshold
    labelled = np.cumsum(labels[order])[flagged - 1]  # (K,)
    areas = []
    for width in range(buffer + 1):
        right = np.cumsum(_buffered(labels, spans, width)[order])[flagged - 1]  # (K,)
        positives = np.count_nonzero(labels) + (right - labelled) / 2
        peaks = np.array([scores[start:end].max() for start, end in _zones(spans, width // 2, len(labels))])  # (Z,)
        recall = np.minimum(right / positives, 1.0) * (peaks[:, None] >= limits).mean(axis=0)
        areas.append(float(np.sum(np.diff(recall, prepend=0.0) * right / flagged)))
    return float(np.mean(areas))


def _buffered(labels: Bools, spans: Sequence[Span], width: int) -> Array:
    """What a flag at each point (N,) is worth: 1 in an event, less in its slopes; slopes that meet add up, to at most 1."""
    worth = labels.astype(np.float64)
    slope = np.sqrt(1.0 - np.arange(1, width // 2 + 1) / max(width, 1))  # from the event outwards
    for start, end in spans:
        after = worth[end : end + len(slope)]
        after += slope[: len(after)]
        before = worth[max(start - len(slope), 0) : start]
        before += slope[: len(before)][::-1]
    return np.minimum(worth, 1.0)


def _zones(spans: Sequence[Span], half: int, points: int) -> list[Span]:
    """Events with half a buffer on either side, as spans; those whose buffers share a point are one."""
    zones: list[Span] = []
    for start, end in spans:
        begin = max(start - half, 0)
        if zones and begin < zones[-1][1]:
            begin = zones.pop()[0]
        zones.append((begin, min(end + half, points)))
    return zones
