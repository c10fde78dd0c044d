"""Replay: what other settings would have flagged and rung, from the rows of scores.csv alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise

import numpy as np

from autoencoder.core.types import Array, Detections
from autoencoder.reports.evaluation import Span, quality_of
from autoencoder.reports.incidents import ANOMALY, Incident
from autoencoder.reports.odometer import DAY, Known, Odometer
from autoencoder.reports.tracker import IncidentTracker

NEAREST = 25  # rows that the threshold of another budget is estimated from
PIECE = 100_000  # rows that are gone through at a time


@dataclass(slots=True)
class Totals:
    """What is counted over the series of a run."""

    judged: int = 0
    flagged: int = 0
    allowed: float = 0.0  # normal points that may be flagged
    days: float = float("nan")  # of the series with the longest judged part
    incidents: list[Incident] = field(default_factory=list)
    known: Known | None = None

    def add(
        self,
        detections: Detections,
        tracker: IncidentTracker,
        adopted: Sequence[int],
        *,
        share: float,
        interval: float,
        anomalies: Sequence[Span] | None,
        on_closed: Callable[[Sequence[Incident]], None] | None = None,
    ) -> None:
        """Count one series.

        Args:
            detections: all of its points.
            tracker: joins them into incidents; it has seen none yet.
            adopted: rows after which a model judged that had learnt a change.
            share: of normal points that may be flagged.
            interval: seconds from point to point; 0 without timestamps.
            anomalies: first and last row of those that are known; None where nothing is known.
            on_closed: told of incidents that are over, before the next flagged point is looked at.
        """
        judged = int(np.count_nonzero(detections.thresholds == detections.thresholds))
        self.judged += judged
        self.flagged += int(np.count_nonzero(detections.anomalies))
        self.allowed += share * judged
        self.days = float(np.fmax(self.days, interval * judged / DAY or np.nan))
        incidents: list[Incident] = []
        cuts = np.flatnonzero(detections.anomalies) if on_closed else np.arange(PIECE, len(detections), PIECE)
        for start, stop in pairwise(sorted({0, *cuts.tolist(), len(detections)})):
            closed = tracker.process(detections[start:stop], [row for row in adopted if start <= row < stop])
            incidents += closed
            if on_closed:
                on_closed(closed)
        incidents += tracker.finish()
        self.incidents += incidents
        if anomalies is not None:
            self.known = _joined(self.known, _met(detections, incidents, anomalies))

    @property
    def odometer(self) -> Odometer:
        """The counts."""
        alarms = sum(incident.alarm for incident in self.incidents)
        return Odometer(self.judged, self.flagged, self.allowed, len(self.incidents), alarms, self.days)


def _met(detections: Detections, incidents: Sequence[Incident], anomalies: Sequence[Span]) -> Known:
    labels = np.zeros(len(detections), np.bool_)
    for first, last in anomalies:
        labels[first : last + 1] = True
    spans, alarms = (
        [(each.first_row, each.last_row + 1) for each in incidents if each.kind == ANOMALY and (each.alarm or not rung)]
        for rung in (False, True)
    )
    quality = quality_of(labels, detections.anomalies, spans, alarms)
    none = Known(0, 0, 0, int(quality["false_alarms"]), int(quality["normal_flagged"]))
    return Known.of(quality) or none


def _joined(one: Known | None, other: Known) -> Known:
    if one is None:
        return other
    return Known(*(getattr(one, each.name) + getattr(other, each.name) for each in fields(Known)))


def at_score(detections: Detections, limit: float, *, is_larger: bool) -> Detections:
    """The same points, flagged where their score lies above ``limit``: an estimate of what another budget flags.

    A larger budget flags what was flagged, and a smaller one nothing else. The threshold that belongs to it is estimated from the rows
    whose scores are next to ``limit``: the error in thresholds that a score stands for, of which a line through theirs tells.
    """
    scores, errors = detections.scores, detections.errors
    with np.errstate(invalid="ignore", divide="ignore"):
        above, heights = scores > limit, errors / detections.thresholds
    flags = above | detections.anomalies if is_larger else above & detections.anomalies
    usable = np.flatnonzero(np.isfinite(heights) & (scores < 1.0))
    nearest = usable[np.argsort(np.abs(scores[usable] - limit), kind="stable")[:NEAREST]]
    thresholds = detections.thresholds * (_line_at(limit, scores[nearest], heights[nearest]) if len(nearest) else 1.0)
    # one that agrees with the flags
    below_error = np.nextafter(errors, -np.inf)
    thresholds = np.where(flags, np.fmin(thresholds, below_error), np.fmax(thresholds, errors))
    thresholds[np.isnan(detections.thresholds)] = np.nan
    return replace(detections, thresholds=thresholds, anomalies=flags)


def _line_at(place: float, x: Array, y: Array) -> float:
    """The height at ``place`` of the line that fits points x (N,), y (N,) best, or the least y where it falls below 0."""
    offsets = x - x.mean()
    spread = float((offsets**2).sum())
    height = float(y.mean()) + (float((offsets * (y - y.mean())).sum()) / spread * (place - float(x.mean())) if spread else 0.0)
    return height if height > 0 else float(y.min())
