"""Statistics: the counts of a run, in all and by series, and how good it was where the anomalies are known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import Reader, State
from autoencoder.reports.evaluation import Flags, Span, quality_of
from autoencoder.reports.incidents import Incident, read_incidents
from autoencoder.reports.sinks import Batch, Sink

N_WORST = 3  # incidents that the summary names


@dataclass(slots=True)
class SeriesStatistics:
    """The counts of one series.

    Attributes:
        points: rows so far.
        judged: of them, those with a threshold.
        flagged: of those, the anomalous ones.
        severity: of its worst incident; -1 where it has none.
        spans: first and last row, in the series, of each of its incidents.
    """

    points: int = 0
    judged: int = 0
    flagged: int = 0
    severity: float = -1.0
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, points: int, judged: int, flagged: int) -> None:
        """Count more rows."""
        self.points += points
        self.judged += judged
        self.flagged += flagged


class RunStatistics(Sink):
    """Counts detections and incidents; keeps labels and flags (a byte a point each) while labels come.

    Attributes:
        series: statistics by name of the series, in order of appearance; the key is None where a run has only one.
        missing: points without a value.
        incidents: how many ended.
        worst: the most severe of them.
    """

    def __init__(self) -> None:
        self.series: dict[str | None, SeriesStatistics] = {}
        self.missing = self.incidents = 0
        self.worst: list[Incident] = []
        self._labels: list[Flags] = []
        self._flags: list[Flags] = []  # of the points with labels
        self._places: list[npt.NDArray[np.int64]] = []  # of their series in ``series``; empty where there is only one

    def write(self, batch: Batch) -> None:
        """Count a batch."""
        detections = batch.detections
        gaps = np.isnan(detections.values)  # (N, F)
        if np.count_nonzero(gaps):
            self.missing += int(np.count_nonzero(gaps.any(axis=1)))
        judged = detections.thresholds == detections.thresholds
        if batch.series is None:
            self._of(None).add(len(detections), int(np.count_nonzero(judged)), int(np.count_nonzero(detections.anomalies)))
        else:
            for name, *counted in zip(batch.series, judged.tolist(), detections.anomalies.tolist(), strict=True):
                self._of(name).add(1, *counted)
        if batch.labels is not None:
            self._labels.append(batch.labels)
            self._flags.append(detections.anomalies)
            if batch.series is not None:
                place = {name: index for index, name in enumerate(self.series)}
                self._places.append(np.array([place[name] for name in batch.series], dtype=np.int64))
        self.close(batch.closed)

    def _of(self, name: str | None) -> SeriesStatistics:
        return self.series.get(name) or self.series.setdefault(name, SeriesStatistics())

    def close(self, closed: Sequence[Incident] = (), *, resumable: bool = False) -> None:
        """Count incidents that ended."""
        for incident in closed:
            one = self._of(incident.series)
            one.spans.append((incident.first_row, incident.last_row))
            one.severity = max(one.severity, incident.severity)
        if closed:
            self.incidents += len(closed)
            self.worst = sorted([*self.worst, *closed], key=lambda incident: -incident.severity)[:N_WORST]

    @property
    def judged(self) -> int:
        """Points with a threshold."""
        return sum(one.judged for one in self.series.values())

    def counts(self, budget: float) -> dict[str, Any]:
        """Counts, and the realised share of flagged points beside the one that was asked for."""
        flagged = sum(one.flagged for one in self.series.values())
        return {
            "points": sum(one.points for one in self.series.values()),
            "judged": self.judged,
            "missing": self.missing,
            "flagged": flagged,
            "incidents": self.incidents,
            "flagged_share": flagged / self.judged if self.judged else float("nan"),
            "budget": budget,
        }

    def labels(self, name: str | None = None) -> Flags | None:
        """(N,) True inside a known anomaly, for the points of a series so far; None where nothing is known."""
        if not self._labels:
            return None
        labels = np.concatenate(self._labels)
        return labels[np.concatenate(self._places) == list(self.series).index(name)] if self._places else labels

    def quality(
        self, training_points: Mapping[str | None, int], events: Mapping[str, Sequence[Span]] | None = None
    ) -> dict[str, Any] | None:
        """Precision, recall, event F1 and detection delay after the training parts; None without labels.

        Args:
            training_points: rows of the training part of each series that counts; anomalies in them are not counted.
            events: kind -> rows of the known anomalies of the only series, to report recall by kind.
        """
        if not self._labels:
            return None
        labels, flags = np.concatenate(self._labels), np.concatenate(self._flags)
        places = np.concatenate(self._places) if self._places else np.zeros(len(labels), np.int64)
        order = np.argsort(places, kind="stable")  # series by series
        bounds = np.searchsorted(places[order], np.arange(len(self.series) + 1)).tolist()
        kept, spans, count = [order[:0]], [], 0
        for place, (name, one) in enumerate(self.series.items()):
            skipped = training_points.get(name, one.points)
            rows = order[bounds[place] + skipped : bounds[place + 1]]
            if len(rows):
                spans += [(first + count - skipped, last + 1 + count - skipped) for first, last in one.spans]
                kept.append(rows)
                count += len(rows)
        counted = np.concatenate(kept)
        quality = quality_of(labels[counted], flags[counted], spans)
        if events:
            begin = training_points[None]
            found = {kind: [bool(flags[s:e].any()) for s, e in rows if s >= begin] for kind, rows in sorted(events.items())}
            quality["recall_by_kind"] = {kind: {"known": len(each), "found": sum(each)} for kind, each in found.items() if each}
        return quality

    def state(self) -> State:
        """All counts."""
        each = list(self.series.values())
        labels, flags = (np.concatenate(part) if part else np.empty(0, bool) for part in (self._labels, self._flags))
        return {
            "series": json.dumps(list(self.series)),
            "counts": np.array([(one.points, one.judged, one.flagged) for one in each], np.int64).reshape(-1, 3),
            "severity": np.array([one.severity for one in each]),
            "spans": np.array([(place, *span) for place, one in enumerate(each) for span in one.spans], np.int64).reshape(-1, 3),
            "missing": self.missing,
            "incidents": self.incidents,
            "worst": "\n".join(incident.to_json() for incident in self.worst),
            "labels": labels.astype(np.int8),
            "flags": flags.astype(np.int8),
            "places": np.concatenate(self._places) if self._places else np.empty(0, np.int64),
        }

    def load(self, state: State) -> None:
        """Go on from a ``state``."""
        saved = Reader(state, "the counts")
        try:
            names = json.loads(saved.text("series"))
            counts, severity = saved.integers("counts", (len(names), 3)), saved.array("severity", (len(names),))
            each = [
                SeriesStatistics(points, judged, flagged, worst)
                for (points, judged, flagged), worst in zip(counts.tolist(), severity.tolist(), strict=True)
            ]
            self.series = dict(zip(names, each, strict=True))
            for place, first, last in saved.integers("spans", (None, 3)).tolist():
                each[place].spans.append((first, last))
            labels, flags = (saved.integers(key, (None,)).astype(bool) for key in ("labels", "flags"))
            places = saved.integers("places", (None,))
            if counts.min(initial=0) < 0 or len(labels) != len(flags) or len(places) not in (0, len(labels)):
                raise ValueError("they contradict each other")
        except (ValueError, TypeError, IndexError, RecursionError) as error:
            raise ModelFileError(f"the saved counts cannot be used ({error}); run anew without --resume") from None
        self.missing, self.incidents = saved.integer("missing", 0), saved.integer("incidents", 0)
        self.worst = read_incidents(saved.text("worst"))
        if len(labels):
            self._labels, self._flags, self._places = [labels], [flags], [places] if len(places) else []


def summary(
    name: str,
    counts: Mapping[str, Any],
    training_points: int,
    quality: Mapping[str, Any] | None,
    worst: Sequence[Incident],
    folder: Path,
    files: Sequence[str],
) -> list[str]:
    """The closing lines of a run."""
    missing = f", {counts['missing']:,} missing" if counts["missing"] else ""
    lines = [f"{name}: {counts['points']:,} points, {training_points:,} of them trained on, {counts['judged']:,} judged{missing}"]
    shares = f"{_percent(counts['flagged_share'])} of those judged; the budget for normal points is {_percent(counts['budget'])}"
    share = f" ({shares})" if counts["judged"] else ""
    lines.append(f"{_number_of(counts['incidents'], 'incident')}, {_number_of(counts['flagged'], 'point')} flagged{share}")
    for incident in worst:
        seen, expected = ("/".join(f"{each:.5g}" for each in values) for values in (incident.peak_value, incident.expected))
        extent = f"severity {incident.severity:.2f}, {_number_of(incident.n_points, 'point')}"
        series = "" if incident.series is None else f", series {incident.series!r}"
        lines.append(f"  {incident.peak_time}  seen {seen}, expected {expected}, {extent}{series}")
    if quality and quality["known_anomalies"]:
        right = f", {quality['event_precision']:.0%} of the incidents right" if counts["incidents"] else ""
        lines.append(f"known anomalies: {quality['event_recall']:.0%} of {quality['known_anomalies']} found{right}")
    return [*lines, f"{folder}: {', '.join(files)}"]


def _number_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _percent(share: float) -> str:
    """A share to three digits, however small it is."""
    return f"{100 * share:.3g}%"
