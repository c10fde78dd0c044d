"""Evaluation: how well detections meet known anomalies, by event and by point.

There is no point-adjusted F1 here: it counts an event of any length as wholly found at one alarm, so that random scores look
excellent. A share is NaN where there is nothing to take a share of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from autoencoder.core.types import Bools

Span: TypeAlias = tuple[int, int]  # [start, end)


def events(labels: Bools) -> list[Span]:
    """The runs of True in labels (N,) as spans [start, end).

    >>> events(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def inside(spans: Iterable[Span], points: int) -> Bools:
    """Which points (N,) lie in spans [start, end), which may reach beyond them; undoes ``events``.

    >>> inside([(-2, 1), (3, 4)], 5)
    array([ True, False, False,  True, False])
    """
    flags = np.zeros(points, np.bool_)
    for start, end in spans:
        flags[max(start, 0) : max(end, 0)] = True
    return flags


def quality_of(
    labels: Bools, flags: Bools, incidents: Sequence[Span], alarms: Sequence[Span] | None = None, begins: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Precision, recall, event F1 and detection delay, as metrics.json holds them.

    Args:
        labels: (N,) True inside a known anomaly.
        flags: (N,) flagged points.
        incidents: first row of each, and the row after its last.
        alarms: those of them that were worth an alert; None: all.
        begins: first row of each series, from 0 on; an anomaly at the end of one is not that at the start of the next.
    """
    parts = np.split(labels, begins[1:])
    known = [(begin + start, begin + end) for begin, part in zip(begins, parts, strict=True) for start, end in events(part)]
    # a gap in an incident is no detection
    found = [rows[0] for start, end in known if len(rows := np.flatnonzero(flags[start:end]))]
    alarms = incidents if alarms is None else alarms
    right_incidents, right_alarms = (sum(bool(labels[start:end].any()) for start, end in each) for each in (incidents, alarms))
    rings = inside(alarms, len(labels))
    precision = _share(right_incidents, len(incidents))
    recall = _share(len(found), len(known))
    right, flagged, abnormal = (int(np.count_nonzero(each)) for each in (flags & labels, flags, labels))
    return {
        "event_precision": precision,
        "event_recall": recall,
        "event_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "detection_delay_points": float(np.median(found)) if found else math.nan,
        "point_precision": _share(right, flagged),
        "point_recall": _share(right, abnormal),
        "false_alarm_share": _share(flagged - right, len(labels) - abnormal),
        "known_anomalies": len(known),
        "false_alarms": len(alarms) - right_alarms,
        "rung_anomalies": sum(bool(rings[start:end].any()) for start, end in known),
        "normal_flagged": flagged - right,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
