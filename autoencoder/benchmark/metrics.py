"""VUS-PR: how well scores meet known anomalies, over all thresholds and all buffers around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.reports.evaluation import Flags, Span, events

Array = npt.NDArray[np.float64]


def vus_pr(scores: Array, labels: Flags, buffer: int, thresholds: int = 250) -> float:
    """Give the volume under the precision-recall surface, over all thresholds and all buffers around the events.

    Around each event lies a buffer in which a high score is partly right: its worth falls as sqrt(1 - distance / width) up to
    half the width. Recall is scaled by the share of events met at all. The area under each width's precision-recall curve is
    averaged over the widths 0 to ``buffer``, so that small shifts of a label or a score change the figure but little.

    Source: Paparrizos et al., "Volume Under the Surface", VLDB 2022, doi 10.14778/3551793.3551830, as the authors' package vus
    0.0.6 computes it: a buffer counts among the positives only where it is flagged, so that perfect scores give 1.

    Args:
        scores: (N,) the higher, the more abnormal; NaN counts as 0.
        labels: (N,) True inside an anomaly.
        buffer: the largest width in points, e.g. the period of the series or the usual length of an anomaly.
        thresholds: how many ranks, evenly spread over the sorted scores, serve as thresholds.

    Returns:
        The volume in [0, 1]; NaN where no point is labelled.

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
    sweep = _Sweep.over(np.where(np.isnan(scores), 0.0, scores), thresholds)
    return float(np.mean([_range_auc_pr(sweep, labels, spans, width) for width in range(buffer + 1)]))


@dataclass(frozen=True, slots=True)
class _Sweep:
    """K thresholds over N scores.

    ``order`` (N,) sorts the points by falling score; the first ``flagged[k]`` of them reach the threshold ``limits[k]``.
    """

    scores: Array
    order: npt.NDArray[np.int64]
    limits: Array
    flagged: npt.NDArray[np.int64]

    @staticmethod
    def over(scores: Array, thresholds: int) -> _Sweep:
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        limits = falling[np.linspace(0, len(scores) - 1, thresholds).astype(np.int64)]
        return _Sweep(scores, order, limits, np.searchsorted(-falling, -limits, side="right"))

    def total(self, worth: Array) -> Array:
        """Sum of worth (N,) over the points flagged at each threshold -> (K,)."""
        sums: Array = np.cumsum(worth[self.order])[self.flagged - 1]
        return sums


def _range_auc_pr(sweep: _Sweep, labels: Flags, spans: Sequence[Span], width: int) -> float:
    """Area under the precision-recall curve with buffers of one width."""
    true_positives = sweep.total(_buffered(labels, spans, width))  # (K,)
    in_buffers = true_positives - sweep.total(labels.astype(np.float64))
    positives = np.count_nonzero(labels) + in_buffers / 2
    peaks = np.array([sweep.scores[start:end].max() for start, end in _zones(spans, width, len(labels))])  # (Z,)
    met = (peaks[:, None] >= sweep.limits).mean(axis=0)  # (Z, K) -> (K,)
    recall = np.minimum(true_positives / positives, 1.0) * met
    precision = true_positives / sweep.flagged
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _buffered(labels: Flags, spans: Sequence[Span], width: int) -> Array:
    """What a flag at each point (N,) is worth: 1 in an event, less in its slopes; slopes that meet add up, to at most 1."""
    worth = labels.astype(np.float64)
    slope = np.sqrt(1.0 - np.arange(1, width // 2 + 1) / max(width, 1))  # from the event outwards
    for start, end in spans:
        after = worth[end : end + len(slope)]
        after += slope[: len(after)]
        before = worth[max(start - len(slope), 0) : start]
        before += slope[: len(before)][::-1]
    return np.minimum(worth, 1.0)


def _zones(spans: Sequence[Span], width: int, points: int) -> list[Span]:
    """Events with their buffers, as spans; those whose buffers share a point are one."""
    half = width // 2
    zones: list[Span] = []
    for start, end in spans:
        begin = max(start - half, 0)
        if zones and begin < zones[-1][1]:
            begin = zones.pop()[0]
        zones.append((begin, min(end + half, points)))
    return zones
