"""Detections made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoencoder.core.types import Array, Detections
from autoencoder.reports.incidents import Incident

HOUR = np.timedelta64(1, "h")
INCIDENT = Incident(
    *(3, "2025-01-02T00:00:00Z", "2025-01-02T03:00:00Z", "2025-01-02T01:00:00Z", (7.5,), (1.25,), 0.9, 4, 5, 9, True),
    **{"alarm_time": "2025-01-02T01:00:00Z", "peak_score": 0.95, "direction": ("up",), "duration_seconds": 10800.0},
    close_reason="values are back",
)

# names of series that a spreadsheet, a terminal or a path would take for something else
HOSTILE = ["", "=1+1", "+1", "-1", "-2.5", "-1+2", "@a", 'a"b', "a,b", "a;=1", "a|b", "a\\x3bb", "../../x", "\x1b[2J", "a\u2028b"]
HOSTILE += ["Ü\u202e", "b"]


def with_gaps(flags: Sequence[bool], columns: int = 1, dated: bool = True) -> Detections:
    """Detections with these flags; the first two points have no threshold and the value of the last one is missing."""
    count = len(flags)
    index = np.arange(count)
    values = 100 + np.outer(index, np.ones(columns)) / 3
    values[-1] = np.nan
    known = np.where(np.isnan(values[:, 0]) | (index < 2), np.nan, 1.0)
    return Detections(
        time=np.datetime64("2024-01-01", "ns") + index * HOUR if dated else index,
        values=values,
        predictions=(values - 0.5) * known[:, None],
        errors=known * (0.1 + np.array(flags)),
        thresholds=known * 0.5,
        scores=known * np.linspace(0, 1, count),
        anomalies=np.array(flags) & (known == 1),
    )


def scored(flags: Sequence[int], scores: Sequence[float] | None = None, rest: float = 0.1) -> Detections:
    """Detections of one column with these flags; errors are ``rest`` where nothing is flagged, thresholds 1."""
    flagged = np.array(flags, dtype=bool)
    errors = np.where(flagged, 2.0, rest)
    values = np.zeros((len(flags), 1))
    known = flagged.astype(float) if scores is None else np.array(scores)
    return Detections(np.arange(len(flags)), values, values, errors, np.ones(len(flags)), known, flagged)


def expecting_a_sine(values: Array, *, time: np.ndarray | None = None, training: int = 0) -> Detections:
    """Detections of a detector that expects a sine; errors above 1.5 are flagged."""
    values = values if values.ndim == 2 else values[:, None]  # (N, F)
    predictions = np.broadcast_to(np.sin(np.arange(len(values)) / 20)[:, None], values.shape).copy()
    predictions[:training] = np.nan
    errors = np.abs(values - predictions).max(axis=1, initial=0.0)
    thresholds = np.where(np.isnan(errors), np.nan, 1.5)
    time = np.arange(len(values)) if time is None else time
    return Detections(time, values, predictions, errors, thresholds, np.clip(errors / 3, 0, 1), errors > 1.5)


def labelled(points: int, *spans: tuple[int, int]) -> np.ndarray:
    """Labels (N,) that are True in these rows [start, end)."""
    labels = np.zeros(points, dtype=bool)
    for start, end in spans:
        labels[start:end] = True
    return labels
