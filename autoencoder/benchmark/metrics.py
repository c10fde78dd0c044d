"""How well detections and scores meet known anomalies: by event, by point, and VUS-PR.

There is no point-adjusted F1 here: it counts an event of any length as wholly found at one alarm, so that random scores look
excellent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class EventScores:
    """How many detections were right and how many events were found; NaN where there was nothing to judge.

    Attributes:
        precision: share of detections that meet an event; NaN without detections.
        recall: share of events that a detection meets; NaN without events.
        f1: harmonic mean of the two; NaN only where there are neither events nor detections.
        detection_delay_median: points from an event's start to the first detected point in it, over the events found.
        detected: for each event in order, whether it was found.
    """

    precision: float
    recall: float
    f1: float
    detection_delay_median: float
    detected: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class PointScores:
    """Precision, recall and F1 where every point counts for itself; NaN as in EventScores."""

    precision: float
    recall: float
    f1: float


def events(labels: Flags) -> list[Span]:
    """Give the runs of True in labels (N,) as spans [start, end).

    >>> events(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def event_scores(detections: Flags | Sequence[Span], labels: Flags, tolerance: int = 0) -> EventScores:
    """Compare detections with labelled events, each a run of True labels.

    Args:
        detections: flags (N,), whose runs are the detections, or spans [start, end) such as incidents.
        labels: (N,) True inside an anomaly.
        tolerance: points after an event's end in which a detection still counts as right, while the event leaves a detector's
            window. It does not make an event found: for that a detection must lie in the event itself.

    Returns:
        The scores by event.

    Raises:
        ValueError: a detection does not lie within the labels.
    """
    if isinstance(detections, np.ndarray):
        flags, spans = _same_length(detections, labels), events(detections)
    else:
        flags, spans = _flags(detections, len(labels)), list(detections)
    limits = np.array(events(labels), dtype=np.int64).reshape(-1, 2)  # (E, 2)
    starts, ends = limits[:, 0], limits[:, 1]

    flagged = np.append(np.flatnonzero(flags), len(flags))  # the end stands for "never"
    first = flagged[np.searchsorted(flagged, starts)]  # (E,) first flagged point from each event's start on
    detected = first < ends
    right = [_meets(span, starts, ends + tolerance) for span in spans]

    precision = _share(sum(right), len(spans))
    recall = _share(int(detected.sum()), len(detected))
    delay = float(np.median((first - starts)[detected])) if detected.any() else math.nan
    return EventScores(precision, recall, _f1(precision, recall), delay, tuple(bool(found) for found in detected))


def point_scores(flags: Flags, labels: Flags) -> PointScores:
    """Compare flags (N,) with labels (N,) point by point.

    Raises:
        ValueError: the two differ in length.
    """
    right = int(np.count_nonzero(_same_length(flags, labels) & labels))
    precision = _share(right, int(np.count_nonzero(flags)))
    recall = _share(right, int(np.count_nonzero(labels)))
    return PointScores(precision, recall, _f1(precision, recall))


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


def _meets(span: Span, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> bool:
    """Whether a span shares a point with any of the events; both arrays (E,) rise."""
    event = int(np.searchsorted(ends, span[0], side="right"))  # the first that has not ended when the span starts
    return event < len(starts) and bool(starts[event] < span[1])


def _flags(spans: Sequence[Span], points: int) -> Flags:
    flags = np.zeros(points, dtype=np.bool_)
    for start, end in spans:
        if not 0 <= start < end <= points:
            raise ValueError(f"detection [{start}, {end}) does not lie within the {points} labelled points")
        flags[start:end] = True
    return flags


def _same_length(flags: Flags, labels: Flags) -> Flags:
    if len(flags) != len(labels):
        raise ValueError(f"{len(flags)} flags but {len(labels)} labels; give one for each point")
    return flags


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _f1(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where all detections are wrong, all events missed, or one side is empty; NaN where both are empty."""
    if math.isnan(precision) and math.isnan(recall):
        return math.nan
    return 2 * precision * recall / (precision + recall) if precision > 0 and recall > 0 else 0.0
