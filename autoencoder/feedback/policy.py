"""Policy: what keeps the incidents of one series from ringing, its rule and labels of false alarms, and who gives such labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autoencoder.core.types import Array, Detections
from autoencoder.feedback.label import NORMAL_POINTS, Label
from autoencoder.reports.evaluation import Span
from autoencoder.reports.incidents import ANOMALY, Incident
from autoencoder.rules.rule import Rule


@dataclass(frozen=True, slots=True)
class Silencer(Rule):
    """The rule of a series and the labels of its incidents."""

    labels: Callable[[], Sequence[Label]] = tuple  # those of the series, as they are now

    def silences(
        self, incident: Incident, values: Array, expected: Array, height: float, moment: int, *, is_long: bool
    ) -> str | None:
        """See ``Rule.silences``; behind the rule, the label of the false alarm that the incident is like."""
        reason = Rule.silences(self, incident, values, expected, height, moment, is_long=is_long)
        return reason or self._held_back(incident, np.abs(np.nan_to_num(values - expected)), moment)

    def _held_back(self, incident: Incident, deviations: Array, moment: int) -> str | None:
        """The nearest label that is near enough, if it is that of a false alarm."""
        start = moment - round((incident.duration_seconds or 0.0) * 1e9)
        near = []
        for label in self.labels():
            if label.last_row >= incident.first_row or (label.until is not None and moment >= label.until):
                continue
            distance = label.shape.distance(incident, start, deviations)
            if distance <= 1.0:
                near.append((distance, not label.label, -label.incident, label))  # as near, an anomaly counts more
        if not near or (label := min(near)[-1]).label:
            return None
        return f"the label of incident {label.incident}"


@dataclass(eq=False)
class Oracle:
    """Labels the incidents of one series by the anomalies that are known."""

    detections: Detections  # all points of the series
    anomalies: Sequence[Span]  # first and last row of each
    confirms: bool  # says also of what was an anomaly that it was, and not of false alarms alone

    def __post_init__(self) -> None:
        self._labels: list[Label] = []

    def say(self, closed: Sequence[Incident]) -> None:
        """These incidents are over."""
        for each in closed:
            was_right = any(first <= each.last_row and last >= each.first_row for first, last in self.anomalies)
            if each.alarm and each.kind == ANOMALY and (self.confirms or not was_right):
                end = each.last_row + 1
                rows = self.detections[max(0, end - each.length - NORMAL_POINTS) : end]
                self._labels.append(Label.of(each, rows, label=was_right))

    def labels(self, series: str | None) -> Sequence[Label]:
        """What it has said so far of the series, which is its own."""
        return self._labels
