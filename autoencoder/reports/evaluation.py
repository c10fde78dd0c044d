"""Evaluation: how well detections meet known anomalies, by event and by point.

There is no point-adjusted F1 here: it counts an event of any length as wholly found at one alarm, so that random scores look
excellent. A share is NaN where there is nothing to take a share of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Span: TypeAlias = tuple[int, int]  # [start, end)


def events(labels: Flags) -> list[Span]:
    """The runs of True in labels (N,) as spans [start, end).

    >>> events(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def event_precision(incidents: Sequence[Span], labels: Flags) -> float:
    """Share of incidents that share a point with an event; labels (N,) are True inside one."""
    return _share(sum(bool(labels[start:end].any()) for start, end in incidents), len(incidents))


def event_delays(flags: Flags, labels: Flags) -> list[int | None]:
    """Points from each event's start to the first flag in it; None where there is none. Both arrays are (N,).

    >>> event_delays(np.array([False, False, True, False]), np.array([True, True, True, False]))
    [2]
    """
    found = [np.flatnonzero(flags[start:end]) for start, end in events(labels)]
    return [int(rows[0]) if len(rows) else None for rows in found]


def point_scores(flags: Flags, labels: Flags) -> tuple[float, float]:
    """Precision and recall of flags (N,) where every point counts for itself."""
    right = int(np.count_nonzero(flags & labels))
    return _share(right, int(np.count_nonzero(flags))), _share(right, int(np.count_nonzero(labels)))


def f1_score(precision: float, recall: float) -> float:
    """Harmonic mean; NaN where one of the two is, 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def quality_of(labels: Flags, flags: Flags, incidents: Sequence[Span]) -> dict[str, Any]:
    """Precision, recall, event F1 and detection delay, as metrics.json holds them.

    Args:
        labels: (N,) True inside a known anomaly.
        flags: (N,) flagged points.
        incidents: first row of each, and the row after its last.
    """
    delays = event_delays(flags, labels)  # by flag: a gap inside an incident is no detection
    found = [delay for delay in delays if delay is not None]
    precision, recall = event_precision(incidents, labels), _share(len(found), len(delays))
    point_precision, point_recall = point_scores(flags, labels)
    return {
        "event_precision": precision,
        "event_recall": recall,
        "event_f1": f1_score(precision, recall),
        "detection_delay_points": float(np.median(found)) if found else math.nan,
        "point_precision": point_precision,
        "point_recall": point_recall,
        "false_alarm_share": float(flags[~labels].mean()) if (~labels).any() else math.nan,
        "known_anomalies": len(delays),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
