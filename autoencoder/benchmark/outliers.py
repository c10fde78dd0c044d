"""Outlier detection as the Skoltech Anomaly Benchmark scores it: each row is normal or not, over all series of a set together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from autoencoder.core.types import Bools, Detections
from autoencoder.reports.incidents import Incident

BY_FLAGS, BY_INCIDENTS = "flags", "incidents"  # what a row counts as abnormal for: its flag, or that it lies inside an incident


class Confusion(NamedTuple):
    """Rows by what they are and what they are called.

    Source: Katser and Kozitsin, "Skoltech Anomaly Benchmark (SKAB)", 2020, doi 10.34740/KAGGLE/DSV/1693952.

    >>> Confusion.of(np.array([True, True, False, False]), np.array([True, False, True, False])).f1
    0.5
    """

    found: int
    false: int
    missed: int
    normal: int

    @staticmethod
    def of(called: Bools, labels: Bools) -> Confusion:
        """Count rows (N,) that are called abnormal beside their labels (N,)."""
        pairs = ((called, labels), (called, ~labels), (~called, labels), (~called, ~labels))
        return Confusion(*(int(np.count_nonzero(one & other)) for one, other in pairs))

    @staticmethod
    def total(parts: Iterable[Confusion]) -> Confusion:
        """The sum over series."""
        return Confusion(*np.sum(list(parts), axis=0).tolist())

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of the rows."""
        return _share(2 * self.found, 2 * self.found + self.false + self.missed)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the normal rows that are called abnormal."""
        return _share(self.false, self.false + self.normal)

    @property
    def missed_alarm_rate(self) -> float:
        """Share of the abnormal rows that are not."""
        return _share(self.missed, self.missed + self.found)


def confusions(detections: Detections, labels: Bools, incidents: Sequence[Incident]) -> dict[str, Confusion]:
    """How detections of N points meet their labels (N,), by flags and by incidents."""
    inside = np.zeros(len(labels), dtype=bool)
    for incident in incidents:
        inside[incident.first_row : incident.last_row + 1] = True
    return {BY_FLAGS: Confusion.of(detections.anomalies, labels), BY_INCIDENTS: Confusion.of(inside, labels)}


def figures_of(series: Sequence[dict[str, Confusion]]) -> dict[str, dict[str, float]]:
    """F1 and rates over all series of a set, by flags and by incidents."""
    totals = {by: Confusion.total(one[by] for one in series) for by in (BY_FLAGS, BY_INCIDENTS)}
    return {
        by: {"f1": one.f1, "false_alarm_rate": one.false_alarm_rate, "missed_alarm_rate": one.missed_alarm_rate}
        for by, one in totals.items()
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
