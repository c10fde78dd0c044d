"""Oracle: a person who says of each incident that rings, as soon as it is over, what it was."""

from __future__ import annotations

from collections.abc import Sequence

from autoencoder.core.types import Detections
from autoencoder.feedback.label import NORMAL_POINTS, Label
from autoencoder.reports.evaluation import Span
from autoencoder.reports.incidents import ANOMALY, Incident


class Oracle:
    """Labels the incidents of one series by the anomalies that are known.

    Args:
        detections: all points of the series.
        anomalies: first and last row of each.
        confirms: says also of what was an anomaly that it was, and not of false alarms alone.
    """

    def __init__(self, detections: Detections, anomalies: Sequence[Span], *, confirms: bool) -> None:
        self._detections, self._anomalies, self._confirms = detections, anomalies, confirms
        self._labels: list[Label] = []

    def say(self, closed: Sequence[Incident]) -> None:
        """These incidents are over."""
        for each in closed:
            was_right = any(first <= each.last_row and last >= each.first_row for first, last in self._anomalies)
            if each.alarm and each.kind == ANOMALY and (self._confirms or not was_right):
                end = each.last_row + 1
                rows = self._detections[max(0, end - each.length - NORMAL_POINTS) : end]
                self._labels.append(Label.of(each, rows, label=was_right))

    def labels(self) -> Sequence[Label]:
        """What it has said so far."""
        return self._labels
