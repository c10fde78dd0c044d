"""Evaluation: how well detections meet known anomalies, by event and by point.

There is no point-adjusted F1 here: it counts an event of any length as wholly found at one alarm, so that random scores look
excellent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Span: TypeAlias = tuple[int, int]  # [start, end)


@dataclass(frozen=True, slots=True)
class EventScores:
    """How many detections were right and how many events were found; NaN where there was nothing to compare.

    Attributes:
        precision: share of detections that meet an event; NaN without detections.
        recall: share of events that a detection meets; NaN without events.
        median_delay: points from an event's start to the first detected point in it, over the events found.
        detected: for each event in order, whether it was found.
    """

    precision: float
    recall: float
    median_delay: float
    detected: tuple[bool, ...]


def events(labels: Flags) -> list[Span]:
    """The runs of True in labels (N,) as spans [start, end).

    >>> events(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def event_scores(detections: Flags | Sequence[Span], labels: Flags) -> EventScores:
    """Compare detections with labelled events, each a run of True labels.

    Args:
        detections: flags (N,), whose runs are the detections, or spans [start, end) such as incidents.
        labels: (N,) True inside an anomaly.

    Raises:
        ValueError: a detection does not lie within the labels.
    """
    if isinstance(detections, np.ndarray):
        flags, spans = _same_length(detections, labels), events(detections)
    else:
        flags, spans = _flags(detections, len(labels)), list(detections)
    bounds = np.array(events(labels), dtype=np.int64).reshape(-1, 2)  # (E, 2)
    starts, ends = bounds[:, 0], bounds[:, 1]

    flagged = np.append(np.flatnonzero(flags), len(flags))  # the end stands for "never"
    first = flagged[np.searchsorted(flagged, starts)]  # (E,) first flagged point from each event's start on
    detected = first < ends
    right = [bool(labels[start:end].any()) for start, end in spans]
    delay = float(np.median((first - starts)[detected])) if detected.any() else math.nan
    found = tuple(detected.tolist())
    return EventScores(_share(sum(right), len(right)), _share(sum(found), len(found)), delay, found)


def point_scores(flags: Flags, labels: Flags) -> tuple[float, float]:
    """Precision and recall of flags (N,) where every point counts for itself; NaN where there is nothing to compare.

    Raises:
        ValueError: flags and labels differ in length.
    """
    right = int(np.count_nonzero(_same_length(flags, labels) & labels))
    return _share(right, int(np.count_nonzero(flags))), _share(right, int(np.count_nonzero(labels)))


def quality_of(labels: Flags, flags: Flags, incidents: Sequence[Span]) -> dict[str, Any]:
    """Precision, recall, event F1 and detection delay, as metrics.json holds them.

    Args:
        labels: (N,) True inside a known anomaly.
        flags: (N,) flagged points.
        incidents: first row of each, and the row after its last.
    """
    precision = event_scores(incidents, labels).precision
    by_flag = event_scores(flags, labels)  # a gap inside an incident is no detection
    point_precision, point_recall = point_scores(flags, labels)
    return {
        "event_precision": precision,
        "event_recall": by_flag.recall,
        "event_f1": f1_score(precision, by_flag.recall),
        "detection_delay_points": by_flag.median_delay,
        "point_precision": point_precision,
        "point_recall": point_recall,
        "false_alarm_share": float(flags[~labels].mean()) if (~labels).any() else math.nan,
        "known_anomalies": len(by_flag.detected),
    }


def f1_score(precision: float, recall: float) -> float:
    """Harmonic mean; NaN where one of the two is, 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


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
