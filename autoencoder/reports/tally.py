"""Tally: the counts of a run, and how good it was where the anomalies are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.benchmark.metrics import event_scores, point_scores
from autoencoder.reports.incidents import Incident
from autoencoder.state import Reader, State
from autoencoder.verdicts import Verdicts

WORST = 3
Spans = Sequence[tuple[int, int]]


class Tally:
    """Counts verdicts and incidents; keeps where the incidents were, and labels and flags (a byte a point each) while labels come."""

    def __init__(self) -> None:
        self.points = self.missing = self.judged = self.flagged = self.incidents = 0
        self.worst: list[Incident] = []
        self._labels: list[npt.NDArray[np.bool_]] = []
        self._flags: list[npt.NDArray[np.bool_]] = []
        self.spans: list[tuple[int, int]] = []  # first and last row of every incident

    def take(self, verdicts: Verdicts, ended: Sequence[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        """Count a chunk."""
        self.points += len(verdicts)
        self.missing += int(np.isnan(verdicts.values).any(axis=1).sum())
        self.judged += int((~np.isnan(verdicts.limits)).sum())
        self.flagged += int(verdicts.flags.sum())
        self.incidents += len(ended)
        self.worst = sorted([*self.worst, *ended], key=lambda incident: -incident.severity)[:WORST]
        if labels is not None:
            self._labels.append(labels)
            self._flags.append(verdicts.flags)
        self.spans += [(incident.first_row, incident.last_row) for incident in ended]

    @property
    def labels(self) -> npt.NDArray[np.bool_] | None:
        """(N,) what is known of every point so far, None where nothing is."""
        return np.concatenate(self._labels) if self._labels else None

    def counts(self, budget: float) -> dict[str, Any]:
        """Counts and the realised share of flagged points beside the one that was asked for."""
        return {
            "points": self.points,
            "judged": self.judged,
            "missing": self.missing,
            "flagged": self.flagged,
            "incidents": self.incidents,
            "flagged_share": self.flagged / self.judged if self.judged else float("nan"),
            "budget": budget,
        }

    def quality(self, training_points: int, events: Mapping[str, Spans] | None = None) -> dict[str, Any] | None:
        """Precision, recall, event F1 and detection delay after the training part; None without labels.

        Args:
            training_points: rows that trained and got no verdict; anomalies in them are not counted.
            events: kind -> (start, end) rows of the known anomalies, to report recall per kind.
        """
        labels = self.labels
        if labels is None:
            return None
        labels, flags = labels[training_points:], np.concatenate(self._flags)[training_points:]
        spans = [(first - training_points, last + 1 - training_points) for first, last in self.spans]
        by_event = event_scores(spans, labels)
        by_point = point_scores(flags, labels)
        by_flag = event_scores(flags, labels)  # a gap inside an incident is no detection
        quality: dict[str, Any] = {
            "event_precision": by_event.precision,
            "event_recall": by_flag.recall,
            "event_f1": _harmonic(by_event.precision, by_flag.recall),
            "detection_delay_points": by_flag.detection_delay_median,
            "point_precision": by_point.precision,
            "point_recall": by_point.recall,
            "false_alarm_share": float(flags[~labels].mean()) if (~labels).any() else float("nan"),
            "known_anomalies": len(by_flag.detected),
        }
        if events:
            quality["recall_by_kind"] = {
                kind: {"known": len(found), "found": sum(found)}
                for kind, rows in sorted(events.items())
                if (
                    found := [
                        bool(flags[max(0, start - training_points) : end - training_points].any())
                        for start, end in rows
                        if start >= training_points
                    ]
                )
            }
        return quality

    def state(self) -> State:
        """All counts."""
        flags = np.concatenate(self._flags) if self._flags else np.empty(0, bool)
        labels = self.labels
        return {
            "counts": np.array([self.points, self.missing, self.judged, self.flagged, self.incidents], dtype=np.int64),
            "labelled": labels is not None,
            "labels": (labels if labels is not None else np.empty(0, bool)).astype(np.int64),
            "flags": flags.astype(np.int64),
            "worst": "\n".join(incident.freeze() for incident in self.worst),
            "spans": np.array(self.spans, dtype=np.int64).reshape(-1, 2),
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the counts")
        self.points, self.missing, self.judged, self.flagged, self.incidents = saved.integers("counts", (5,)).tolist()
        self.worst = [Incident.thaw(line) for line in saved.text("worst").splitlines()]
        self.spans = [(first, last) for first, last in saved.integers("spans", (None, 2)).tolist()]
        if saved.boolean("labelled"):
            self._labels = [saved.integers("labels", (None,)).astype(bool)]
            self._flags = [saved.integers("flags", (None,)).astype(bool)]


def _harmonic(precision: float, recall: float) -> float:
    if np.isnan(precision) or np.isnan(recall):
        return float("nan")
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
