"""Outcome of a run over many series: metrics.json, the picture of the one with the worst incident, and the closing lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoencoder.config import Config
from autoencoder.many.series import Series
from autoencoder.many.stream import ManyStream
from autoencoder.outcome import write_metrics
from autoencoder.reports.alerts import Alerts
from autoencoder.reports.console import Stopwatch, summary
from autoencoder.reports.rows import read_series
from autoencoder.reports.runs import PICTURE, SCORES

MOST_DETAILED = 10  # series whose counts are in metrics.json
MOST_DRAWN = 1_000_000  # rows


def draw_picture(config: Config, stream: ManyStream, watch: Stopwatch) -> None:
    """Draw plot.png, if that is wanted.

    Raises:
        RunError: the run folder cannot be written.
    """
    if config.plot.kind != "none":
        with watch.part("picture"):
            _draw(stream)


def write_report(config: Config, stream: ManyStream, fault: BaseException | None, watch: Stopwatch, alerts: Alerts) -> list[str]:
    """Write metrics.json; returns the names of the files a reader may look for.

    Raises:
        RunError: the run folder cannot be written.
    """
    judged = stream.many.judged
    found = {
        "counts": stream.counts(),
        "training": {"points": _trained_on(stream), **stream.network},
        "quality": stream.quality(),
        "series": {
            "count": len(stream.many.series),
            "judged": len(judged),
            "left_out": {one.name: one.left_out for one in stream.many.series if one.left_out},
            "worst": [_details(one) for one in _worst_first(stream)[:MOST_DETAILED] if one.spans],
        },
    }
    return write_metrics(config, stream.source, stream.folder, fault, found, watch, alerts)


def closing_lines(stream: ManyStream, files: Sequence[str]) -> list[str]:
    """What a person is told at the end."""
    name, folder, tally = stream.source.name, stream.folder.path, stream.tally
    lines = summary(name, stream.counts(), _trained_on(stream), stream.quality(), tally.worst, folder, files)
    count, left_out = len(stream.many.series), len(stream.many.series) - len(stream.many.judged)
    told = f", {left_out:,} of them left out (metrics.json says why)" if left_out else ""
    return [f"{name}: {count:,} series{told}", *lines]


def _trained_on(stream: ManyStream) -> int:
    return sum(one.training_points for one in stream.many.judged)


def _worst_first(stream: ManyStream) -> list[Series]:
    return sorted(stream.many.judged, key=lambda one: -one.severity)


def _details(one: Series) -> dict[str, Any]:
    return {
        "series": one.name,
        "points": one.points,
        "judged": one.judged,
        "flagged": one.flagged,
        "incidents": len(one.spans),
        "severity": one.severity,
    }


def _draw(stream: ManyStream) -> None:
    from autoencoder.reports.plotting import draw, save

    one = _worst_first(stream)[0]
    rank = "most severe" if one.spans else "one"
    detections = read_series(stream.folder.path / SCORES, one.name, MOST_DRAWN)
    left_out = one.points - len(detections)
    labels = stream.labels_of(stream.many.series.index(one))
    figure = draw(
        detections,
        title=f"{one.name!r}, {rank} of {len(stream.many.series):,} in {stream.source.name}" + (", newest" if left_out else ""),
        columns=stream.source.columns,
        training_points=max(0, one.training_points - left_out),
        labels=None if labels is None else labels[left_out:],
        timezone=stream.source.timezone,
        spans=[(max(0, first - left_out), last - left_out) for first, last in one.spans if last >= left_out],
    )
    save(figure, stream.folder.path / PICTURE)
