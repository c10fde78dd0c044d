"""Replay: what a run folder says of its run, and what other settings would have flagged and rung, from the rows of scores.csv alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autoencoder.core.events import DRIFT, PROMOTED
from autoencoder.core.types import Array, Detections
from autoencoder.reports.evaluation import Span, inside
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import GAPS, Incident
from autoencoder.reports.odometer import Known, Odometer
from autoencoder.reports.run_folder import ADAPTATIONS, read_metrics
from autoencoder.reports.scores_csv import series_name
from autoencoder.reports.sinks import Batch
from autoencoder.reports.statistics import RunStatistics
from autoencoder.reports.tracker import IncidentTracker

NEAREST = 25  # rows that the threshold of another budget is estimated from
PIECE = 100_000  # rows that are gone through at a time


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run folder says of its run, beside its settings."""

    series: Mapping[str | None, Detections]  # by name as in scores.csv; None where the run has one
    is_zoned: bool  # its times are in UTC; else they carry no zone
    adopted: Mapping[str | None, Sequence[int]]  # rows after which a model judged that has learnt a change
    gaps: Mapping[str | None, Mapping[str, int]]  # ``GAPS`` in points, of each series; empty where the folder does not say
    anomalies: Mapping[str | None, Sequence[tuple[int, int]]] | None  # first and last rows of those known; None: nothing is known


def read_record(folder: Path, series: Mapping[str | None, Detections]) -> RunRecord:
    """What a folder says of the run with these rows; one that was killed leaves no metrics.json, and nothing of it is known then."""
    metrics = read_metrics(folder)
    gaps: dict[str | None, dict[str, int]] = {}
    anomalies: dict[str | None, list[tuple[int, int]]] | None = None
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        found: Any = metrics["incidents"]
        others: dict[Any, Any] = {series_name(name): each for name, each in found.get("series", {}).items()}
        gaps = {name: {key: int(others.get(name, found)[key]) for key in GAPS} for name in series}
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        entries = metrics["known_anomalies"]
        anomalies = {
            None if each["series"] is None else series_name(each["series"]): [
                (int(first), int(last)) for first, last in each["rows"]
            ]
            for each in entries
        }
    is_zoned = bool(dict(metrics.get("source") or {}).get("timezone"))
    return RunRecord(series, is_zoned, _adopted(folder), gaps, anomalies)


def _adopted(folder: Path) -> dict[str | None, list[int]]:
    """What adaptations.jsonl says."""
    adopted: dict[str | None, list[int]] = {}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError), open_inside(folder / ADAPTATIONS) as file:
        for event in map(json.loads, file):
            if event["event"] == PROMOTED and event.get("reason") == DRIFT:
                name = event.get("series")
                adopted.setdefault(None if name is None else series_name(name), []).append(int(event["row"]))
    return adopted


class Replay(NamedTuple):
    """What a run, or a series of it, comes to."""

    odometer: Odometer
    known: Known | None  # None where nothing is known of anomalies
    silenced: int  # incidents that were held back

    @staticmethod
    def total(parts: Iterable[Replay]) -> Replay:
        """Over the series of a run; at least one is needed."""
        odometers, known, silenced = zip(*parts, strict=True)
        met = [each for each in known if each]
        return Replay(Odometer.total(odometers), Known.total(met) if met else None, sum(silenced))


def replay(
    detections: Detections,
    tracker: IncidentTracker,
    adopted: Sequence[int],
    *,
    share: float,
    interval: float,
    anomalies: Sequence[Span] | None,
    on_closed: Callable[[Sequence[Incident]], None] | None = None,
) -> Replay:
    """Go through one series again.

    Args:
        detections: all of its points.
        tracker: joins them into incidents; it has seen none yet.
        adopted: rows after which a model judged that had learnt a change.
        share: of normal points that may be flagged.
        interval: seconds from point to point; 0 without timestamps.
        anomalies: first and last row of those that are known; None where nothing is known.
        on_closed: told of incidents that are over, before the next flagged point is looked at.
    """
    statistics, spans = RunStatistics(), [(first, last + 1) for first, last in anomalies or ()]
    labels = None if anomalies is None else inside(spans, len(detections))
    cuts = np.flatnonzero(detections.anomalies) if on_closed else np.arange(PIECE, len(detections), PIECE)
    for start, stop in pairwise(sorted({0, *cuts.tolist(), len(detections)})):
        closed = tracker.process(detections[start:stop], [row for row in adopted if start <= row < stop])
        statistics.write(Batch(detections[start:stop], closed, labels=None if labels is None else labels[start:stop]))
        if on_closed:
            on_closed(closed)
    statistics.close(tracker.finish())
    known = Known.of(statistics.quality({None: 0})) if anomalies is not None else None
    return Replay(statistics.series[None].odometer(share, interval), known, sum(statistics.silenced.values()))


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
