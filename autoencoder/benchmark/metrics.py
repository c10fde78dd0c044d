"""Metrics of labelled series: how well scores rank anomalies above all other points, and how well flags meet events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from autoencoder.core.types import Array, Bools, Integers
from autoencoder.reports.evaluation import Span, events, inside

# points around an event that are not normal, after it in which a flag still finds it, and that flags of an incident skip
MARGIN = 5


def auc_pr(scores: Array, labels: Bools) -> float:
    """The area under the precision-recall curve, without interpolation (average precision); NaN without an anomaly.

    Source: Davis and Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006, doi 10.1145/1143844.1143874.

    Args:
        scores: (N,) the higher, the more abnormal; NaN counts as 0.
        labels: (N,) True inside an anomaly.

    Examples:
        >>> auc_pr(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]))
        0.8333333333333333
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, np.where(np.isnan(scores), 0.0, scores))) if labels.any() else math.nan


def delay_f1(scores: Array, labels: Bools, delay: int, lengthen: int = 0) -> float:
    """The best F1 over all thresholds where an event must be found early and a long one counts little more than a short one.

    An event of t points weighs floor(log3(t + 3)) and is found where one of its first ``delay + 1`` points reaches the threshold. Each
    point outside the events that reaches it is a false alarm of weight 1. NaN without an event.

    Source: Si et al., "TimeSeriesBench", ISSRE 2024, arXiv 2402.10802: the k-delay, reduced-length event F1 of their package EasyTSAD.

    Args:
        scores: (N,) the higher, the more abnormal; NaN is never an alarm.
        labels: (N,) True inside an anomaly.
        delay: points from an event's start to the last alarm that still finds it.
        lengthen: points that each label is lengthened by behind the event; events that meet then are one.

    Examples:
        >>> labels = np.array([False, True, True, True, False, False])
        >>> delay_f1(np.array([0.1, 0.2, 0.9, 0.9, 0.1, 0.3]), labels, delay=1)
        1.0
        >>> delay_f1(np.array([0.1, 0.2, 0.9, 0.9, 0.1, 0.3]), labels, delay=0)  # one right, one false
        0.6666666666666666
    """
    spans = events(labels)
    if not spans:
        return math.nan
    longer = inside([(start, end + lengthen) for start, end in spans], len(labels))
    known = np.where(np.isnan(scores), -np.inf, scores)
    spans = events(longer)
    weights = np.array([math.floor(math.log(end - start + 3, 3) + 1e-9) for start, end in spans])
    peaks = np.array([known[start : min(end, start + delay + 1)].max() for start, end in spans])  # (E,)
    limits = np.unique(peaks[np.isfinite(peaks)])  # (K,) between two of them only false alarms change
    found = (peaks >= limits[:, None]) @ weights  # (K,)
    outside = np.sort(known[~longer])
    false = len(outside) - np.searchsorted(outside, limits)  # (K,)
    return float((2 * found / (found + false + weights.sum())).max(initial=0.0))


class EventFigures(NamedTuple):
    """How flags meet the events of one series; lengths and delays are medians in points, NaN where there is nothing to measure."""

    events: int
    found: int  # events with a flag in them, or at most ``MARGIN`` points behind them
    incidents: int
    right: int  # incidents that touch an event, or its margin
    incident_points: float
    event_points: float
    delay: float  # from the start of an event that is found to its first flag
    normal_flagged: float  # share of the points more than ``MARGIN`` away from every event
    rung_events: int  # that lie in an alarm, or up to ``MARGIN`` points before it
    rings: int
    right_rings: int  # alarms that touch an event, or its margin


def event_figures(flags: Bools, labels: Bools, alarms: Sequence[Span] = ()) -> EventFigures:
    """Compare flags (N,), and incidents that ring, as spans, with labels (N,).

    >>> flags, labels = np.zeros(40, bool), np.zeros(40, bool)
    >>> labels[10:14], flags[[12, 16, 30]] = True, True
    >>> event_figures(flags, labels, [(12, 17)])._asdict() | {"normal_flagged": None}  # doctest: +NORMALIZE_WHITESPACE
    {'events': 1, 'found': 1, 'incidents': 2, 'right': 1, 'incident_points': 3.0, 'event_points': 4.0, 'delay': 2.0,
     'normal_flagged': None, 'rung_events': 1, 'rings': 1, 'right_rings': 1}
    """
    spans, incidents, near, rings = events(labels), incidents_of(flags), near_events(labels), inside(alarms, len(labels))
    delays = [int(np.argmax(part)) for start, end in spans if (part := flags[start : end + MARGIN]).any()]
    return EventFigures(
        events=len(spans),
        found=len(delays),
        incidents=len(incidents),
        right=sum(bool(near[start:end].any()) for start, end in incidents),
        incident_points=_median([end - start for start, end in incidents]),
        event_points=_median([end - start for start, end in spans]),
        delay=_median(delays),
        normal_flagged=float(flags[~near].mean()) if not near.all() else math.nan,
        rung_events=sum(bool(rings[start : end + MARGIN].any()) for start, end in spans),
        rings=len(alarms),
        right_rings=sum(bool(near[start:end].any()) for start, end in alarms),
    )


def incidents_of(flags: Bools) -> list[Span]:
    """Flags (N,) with at most ``MARGIN`` points between them, as spans from the first to behind the last."""
    rows = np.flatnonzero(flags)
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > MARGIN + 1) + 1) if len(rows) else []
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def near_events(labels: Bools) -> Bools:
    """Which points (N,) are at most ``MARGIN`` points away from an event."""
    return inside([(start - MARGIN, end + MARGIN) for start, end in events(labels)], len(labels))


def _median(numbers: Sequence[int]) -> float:
    return float(np.median(numbers)) if numbers else math.nan


BY_FLAGS, BY_INCIDENTS = "flags", "incidents"  # what a row counts as abnormal for: its flag, or that it lies inside an incident


def confusions(flags: Bools, labels: Bools, incidents: Sequence[Span]) -> dict[str, Integers]:
    """Rows found, false, missed and normal (4,), by flags (N,) and by incidents as spans; labels (N,)."""
    kinds = {BY_FLAGS: flags, BY_INCIDENTS: inside(incidents, len(labels))}
    return {by: np.bincount(2 * ~called + ~labels, minlength=4) for by, called in kinds.items()}


def row_figures(series: Sequence[Mapping[str, Integers]]) -> dict[str, dict[str, float]]:
    """How rows are told apart over all series of a set together, as the outlier table of SKAB has it, by flags and by incidents.

    Source: Katser and Kozitsin, "Skoltech Anomaly Benchmark (SKAB)", 2020, doi 10.34740/KAGGLE/DSV/1693952.

    >>> row_figures([confusions(np.array([True, False, True, False]), np.array([True, True, False, False]), [(0, 2)])])["flags"]
    {'f1': 0.5, 'false_alarm_rate': 0.5, 'missed_alarm_rate': 0.5}
    """
    figures = {}
    for by in (BY_FLAGS, BY_INCIDENTS):
        found, false, missed, normal = np.sum([one[by] for one in series], axis=0).tolist()
        shares = ((2 * found, 2 * found + false + missed), (false, false + normal), (missed, missed + found))
        names = ("f1", "false_alarm_rate", "missed_alarm_rate")
        figures[by] = {name: part / whole if whole else math.nan for name, (part, whole) in zip(names, shares, strict=True)}
    return figures


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
