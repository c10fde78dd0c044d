"""Tally: the counts of a run, and how good it was where the anomalies are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.benchmark.metrics import event_scores, point_scores
from autoencoder.core.errors import ModelError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import Incident

WORST = 3
Spans = Sequence[tuple[int, int]]


class Tally:
    """Counts detections and incidents; keeps where the incidents were, and labels and flags (a byte a point each) while labels come."""

    def __init__(self) -> None:
        self.points = self.missing = self.judged = self.flagged = self.incidents = 0
        self.worst: list[Incident] = []
        self._labels: list[npt.NDArray[np.bool_]] = []
        self._flags: list[npt.NDArray[np.bool_]] = []
        self.spans: list[tuple[int, int]] = []  # first and last row of every incident

    def take(self, detections: Detections, ended: Sequence[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        """Count a chunk."""
        self.points += len(detections)
        gaps = np.isnan(detections.values)  # (N, F)
        if np.count_nonzero(gaps):
            self.missing += int(np.count_nonzero(gaps.any(axis=1)))
        self.judged += int(np.count_nonzero(detections.thresholds == detections.thresholds))
        self.flagged += int(np.count_nonzero(detections.anomalies))
        if labels is not None:
            self._labels.append(labels)
            self._flags.append(detections.anomalies)
        if not ended:
            return
        self.incidents += len(ended)
        self.worst = sorted([*self.worst, *ended], key=lambda incident: -incident.severity)[:WORST]
        self.spans += [(incident.first_row, incident.last_row) for incident in ended]

    @property
    def labels(self) -> npt.NDArray[np.bool_] | None:
        """(N,) what is known of every point so far, None where nothing is."""
        return np.concatenate(self._labels) if self._labels else None

    @property
    def flags(self) -> npt.NDArray[np.bool_]:
        """(N,) the points that were flagged, of those with labels."""
        return np.concatenate(self._flags)

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
            training_points: rows that trained and got no detection; anomalies in them are not counted.
            events: kind -> (start, end) rows of the known anomalies, to report recall per kind.
        """
        labels = self.labels
        if labels is None:
            return None
        spans = [(first - training_points, last + 1 - training_points) for first, last in self.spans]
        quality = quality_of(labels[training_points:], self.flags[training_points:], spans)
        if events:
            flags = self.flags[training_points:]
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
            "labels": np.packbits(labels if labels is not None else np.empty(0, bool)).astype(np.int64),  # eight points a number
            "flags": np.packbits(flags).astype(np.int64),
            "worst": "\n".join(incident.freeze() for incident in self.worst),
            "spans": np.array(self.spans, dtype=np.int64).reshape(-1, 2),
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the counts")
        self.points, self.missing, self.judged, self.flagged, self.incidents = saved.integers("counts", (5,)).tolist()
        if self.points < 0:
            raise ModelError(f"the saved counts cannot be used: {self.points} points; run anew without --resume")
        self.worst = [Incident.thaw(line) for line in saved.text("worst").splitlines()]
        self.spans = [(first, last) for first, last in saved.integers("spans", (None, 2)).tolist()]
        if saved.boolean("labelled"):
            size = (-(-self.points // 8),)
            self._labels, self._flags = (
                [np.unpackbits(saved.integers(key, size).astype(np.uint8), count=self.points).astype(bool)]
                for key in ("labels", "flags")
            )


def quality_of(labels: npt.NDArray[np.bool_], flags: npt.NDArray[np.bool_], spans: Spans) -> dict[str, Any]:
    """Precision, recall, event F1 and detection delay of judged points.

    Args:
        labels: (N,) True inside a known anomaly.
        flags: (N,) flagged points.
        spans: first row of each incident, and the row after its last.
    """
    by_event = event_scores(spans, labels)
    by_point = point_scores(flags, labels)
    by_flag = event_scores(flags, labels)  # a gap inside an incident is no detection
    return {
        "event_precision": by_event.precision,
        "event_recall": by_flag.recall,
        "event_f1": _harmonic(by_event.precision, by_flag.recall),
        "detection_delay_points": by_flag.detection_delay_median,
        "point_precision": by_point.precision,
        "point_recall": by_point.recall,
        "false_alarm_share": float(flags[~labels].mean()) if (~labels).any() else float("nan"),
        "known_anomalies": len(by_flag.detected),
    }


def _harmonic(precision: float, recall: float) -> float:
    if np.isnan(precision) or np.isnan(recall):
        return float("nan")
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
