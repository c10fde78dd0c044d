"""Statistics: the counts of a run, in all and by series, and how good it was where the anomalies are known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Bools
from autoencoder.reports.evaluation import Span, events, quality_of
from autoencoder.reports.incidents import ANOMALY, Incident, read_incidents
from autoencoder.reports.odometer import DAY, Odometer
from autoencoder.reports.sinks import Batch, Sink

N_WORST = 3  # incidents that the summary names
MAX_KNOWN = 10_000  # known anomalies that metrics.json lists


@dataclass(slots=True)
class SeriesStatistics:
    """The counts of one series."""

    points: int = 0  # rows so far
    judged: int = 0  # of them, those with a threshold
    flagged: int = 0  # of those, the anomalous ones
    severity: float = -1.0  # of its worst incident; -1 where it has none
    # of each of its incidents first and last row, in the series, whether it was an alarm, and whether it is of flagged rows
    marks: list[tuple[int, int, bool, bool]] = field(default_factory=list)
    labels: bytearray = field(default_factory=bytearray)  # a byte a point, 1 inside a known anomaly; empty where none are known
    flags: bytearray = field(default_factory=bytearray)  # a byte a point with a label, 1 where it is flagged

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last row of each of its incidents."""
        return [(first, last) for first, last, *_ in self.marks]

    @property
    def alarms(self) -> int:
        """How many of them were worth an alert."""
        return sum(rung for _, _, rung, _ in self.marks)

    def odometer(self, share: float, interval: float) -> Odometer:
        """The counts, where ``share`` of the normal points may be flagged, which lie ``interval`` seconds apart (0: not known)."""
        days = interval * self.judged / DAY or math.nan
        return Odometer(self.judged, self.flagged, share * self.judged, len(self.marks), self.alarms, days)


class RunStatistics(Sink):
    """Counts detections and incidents; keeps labels and flags while labels come."""

    def __init__(self) -> None:
        self.series: dict[str | None, SeriesStatistics] = {}  # by name, in order of appearance; None where a run has only one
        self.missing = 0  # points without a value
        self.waiting = 0  # points with all values and without a threshold: in a training part, or before a window is full
        self.incidents = 0  # that ended
        self.alarms = 0  # of them, those worth an alert
        self.silenced: dict[str, int] = {}  # of them, those that did not ring, by the rule or the label that held them back
        self.worst: list[Incident] = []  # the most severe of them

    def write(self, batch: Batch) -> None:
        """Count a batch."""
        gaps, flags = np.isnan(batch.detections.values), batch.detections.anomalies
        if np.count_nonzero(gaps):
            self.missing += int(np.count_nonzero(gaps.any(axis=1)))
        judged = batch.detections.thresholds == batch.detections.thresholds
        if np.count_nonzero(judged) < len(judged):
            self.waiting += int(np.count_nonzero(~judged & ~gaps.any(axis=1)))
        if batch.series is None:
            one = self._of(None)
            one.points += len(flags)
            one.judged += int(np.count_nonzero(judged))
            one.flagged += int(np.count_nonzero(flags))
            if batch.labels is not None:
                one.labels += batch.labels.tobytes()
                one.flags += flags.tobytes()
        else:
            labels = [None] * len(flags) if batch.labels is None else batch.labels.tolist()
            for name, is_judged, is_flagged, label in zip(batch.series, judged.tolist(), flags.tolist(), labels, strict=True):
                one = self._of(name)
                one.points += 1
                one.judged += is_judged
                one.flagged += is_flagged
                if label is not None:
                    one.labels.append(label)
                    one.flags.append(is_flagged)
        self.close(batch.closed)

    def _of(self, name: str | None) -> SeriesStatistics:
        return self.series.get(name) or self.series.setdefault(name, SeriesStatistics())

    def close(self, closed: Sequence[Incident] = (), *, resumable: bool = False) -> None:
        """Count incidents that ended."""
        for incident in closed:
            one = self._of(incident.series)
            one.marks.append((incident.first_row, incident.last_row, incident.alarm, incident.kind == ANOMALY))
            one.severity = max(one.severity, incident.severity)
            if incident.silenced_by:
                self.silenced[incident.silenced_by] = self.silenced.get(incident.silenced_by, 0) + 1
        if closed:
            self.incidents += len(closed)
            self.alarms += sum(incident.alarm for incident in closed)
            self.worst = sorted([*self.worst, *closed], key=lambda incident: -incident.severity)[:N_WORST]

    @property
    def judged(self) -> int:
        """Points with a threshold."""
        return sum(one.judged for one in self.series.values())

    def counts(self, budget: float) -> dict[str, Any]:
        """Counts, and the realised share of flagged points beside the one that was asked for."""
        points, judged, flagged = (
            sum(getattr(one, what) for one in self.series.values()) for what in ("points", "judged", "flagged")
        )
        share = flagged / judged if judged else float("nan")
        counts = {"points": points, "judged": judged, "missing": self.missing, "flagged": flagged}
        silenced = {"silenced": self.silenced} if self.silenced else {}
        return {
            **counts,
            "incidents": self.incidents,
            "alarms": self.alarms,
            **silenced,
            "flagged_share": share,
            "budget": budget,
        }

    def labels(self, name: str | None = None) -> Bools | None:
        """(N,) True inside a known anomaly, for the points of a series so far; None where nothing is known."""
        one = self.series.get(name)
        return _flags(one.labels) if one and one.labels else None

    def known_anomalies(self, training_points: Mapping[str | None, int]) -> list[dict[str, Any]] | None:
        """First and last row of each known anomaly behind the training parts, by series; None without labels, or of too many."""
        if not any(one.labels for one in self.series.values()):
            return None
        found: list[dict[str, Any]] = []
        for name, one in self.series.items():
            skipped = training_points.get(name, one.points)
            spans = [(skipped + first, skipped + end - 1) for first, end in events(_flags(one.labels[skipped:]))]
            found.append({"series": name, "rows": spans})
        return found if sum(len(each["rows"]) for each in found) <= MAX_KNOWN else None

    def quality(
        self, training_points: Mapping[str | None, int], kinds: Mapping[str, Sequence[Span]] | None = None
    ) -> dict[str, Any] | None:
        """Precision, recall, event F1 and detection delay after the training parts; None without labels.

        Args:
            training_points: rows of the training part of each series that counts; anomalies in them are not counted.
            kinds: kind -> rows of the known anomalies of the only series, to report recall by kind.
        """
        if not any(one.labels for one in self.series.values()):
            return None
        labels, flags, spans, rung, begins = bytearray(), bytearray(), [], [], []
        for name, one in self.series.items():
            skipped = training_points.get(name, one.points)
            if len(one.labels) > skipped:
                begins.append(len(labels))
                begin = len(labels) - skipped
                spans += [(begin + first, begin + last + 1) for first, last, _, is_flagged in one.marks if is_flagged]
                rung += [rings for *_, rings, is_flagged in one.marks if is_flagged]
                labels += one.labels[skipped:]
                flags += one.flags[skipped:]
        quality = quality_of(_flags(labels), _flags(flags), spans, [*compress(spans, rung)], begins or (0,))
        if kinds:
            begin, flagged = training_points[None], self.series[None].flags
            found = {kind: [any(flagged[s:e]) for s, e in rows if s >= begin] for kind, rows in sorted(kinds.items())}
            quality["recall_by_kind"] = {kind: {"known": len(each), "found": sum(each)} for kind, each in found.items() if each}
        return quality

    def state(self) -> State:
        """All counts."""
        each = list(self.series.values())
        labelled = [len(one.labels) for one in each]
        return {
            "series": json.dumps(list(self.series)),
            "counts": np.array([(one.points, one.judged, one.flagged) for one in each], np.int64).reshape(-1, 3),
            "severity": np.array([one.severity for one in each]),
            "spans": np.array([(place, *mark) for place, one in enumerate(each) for mark in one.marks], np.int64).reshape(-1, 5),
            "missing": self.missing,
            "waiting": self.waiting,
            "incidents": self.incidents,
            "alarms": self.alarms,
            "silenced": json.dumps(self.silenced),
            "worst": "\n".join(incident.to_json() for incident in self.worst),
            "labels": np.frombuffer(b"".join(one.labels for one in each), np.int8),
            "flags": np.frombuffer(b"".join(one.flags for one in each), np.int8),
            # of the series of each label; left out where there is only one series
            "places": np.repeat(np.arange(len(each)), labelled) if len(each) > 1 else np.empty(0, np.int64),
        }

    def load(self, state: State) -> None:
        """Go on from a ``state``."""
        saved = Reader(state, "the counts")
        try:
            names = json.loads(saved.text("series"))
            counts, severity = saved.integers("counts", (len(names), 3), 0), saved.array("severity", (len(names),))
            each = [SeriesStatistics(*row) for row in counts.tolist()]
            for one, worst in zip(each, severity.tolist(), strict=True):
                one.severity = worst
            for place, first, last, rung, is_flagged in saved.integers("spans", (None, 5)).tolist():
                each[place].marks.append((first, last, bool(rung), bool(is_flagged)))
            labels, flags = (saved.integers(key, ("labels",), 0, 1).astype(bool) for key in ("labels", "flags"))
            places = saved.integers("places", (None,), 0, len(names) - 1)
            places = places if len(places) else np.zeros(len(labels), np.int64)
            if len(places) != len(labels):
                raise ValueError("they contradict each other")
            ends = np.bincount(places, minlength=len(names)).cumsum()
            for one, rows in zip(each, np.split(np.argsort(places, kind="stable"), ends[:-1]), strict=False):
                one.labels += labels[rows].tobytes()
                one.flags += flags[rows].tobytes()
            self.series = dict(zip(names, each, strict=True))
            self.silenced = {str(by): int(count) for by, count in json.loads(saved.text("silenced")).items()}
        except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ModelFileError(f"the saved counts cannot be used ({error}); run anew without --resume") from None
        self.missing, self.waiting = saved.integer("missing", 0), saved.integer("waiting", 0)
        self.incidents, self.alarms = saved.integer("incidents", 0), saved.integer("alarms", 0)
        self.worst = read_incidents(saved.text("worst"))


def _flags(marks: bytes | bytearray) -> Bools:
    return np.frombuffer(bytes(marks), np.bool_)
