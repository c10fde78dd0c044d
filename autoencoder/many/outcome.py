"""Outcome of a run over many series: metrics.json, the picture of the one with the worst incident, and the closing lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoencoder.config import Config
from autoencoder.console import Stopwatch
from autoencoder.many.series import Series
from autoencoder.many.stream import ManyStream
from autoencoder.outcome import write_metrics
from autoencoder.reports.run_folder import PLOT
from autoencoder.reports.scores_csv import read_scores
from autoencoder.reports.statistics import SeriesStatistics, summary
from autoencoder.reports.webhook import Webhook

MOST_DETAILED = 10  # series whose counts are in metrics.json


def draw_picture(config: Config, stream: ManyStream, watch: Stopwatch) -> None:
    """Draw plot.png, if that is wanted.

    Raises:
        RunError: the run folder cannot be written.
    """
    if config.plot.kind != "none":
        with watch.part("picture"):
            _draw(stream)


def write_report(
    config: Config, stream: ManyStream, fault: BaseException | None, watch: Stopwatch, webhook: Webhook | None
) -> list[str]:
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
            "worst": [_details(one, counts) for one, counts in _worst_first(stream)[:MOST_DETAILED] if counts.spans],
        },
    }
    return write_metrics(config, stream.source, stream.folder, fault, found, watch, webhook)


def closing_lines(stream: ManyStream, files: Sequence[str]) -> list[str]:
    """What a person is told at the end."""
    name, folder, tally = stream.source.name, stream.folder.path, stream.tally
    lines = summary(name, stream.counts(), _trained_on(stream), stream.quality(), tally.worst, folder, files)
    count, left_out = len(stream.many.series), len(stream.many.series) - len(stream.many.judged)
    told = f", {left_out:,} of them left out (metrics.json says why)" if left_out else ""
    return [f"{name}: {count:,} series{told}", *lines]


def _trained_on(stream: ManyStream) -> int:
    return sum(one.training_points for one in stream.many.judged)


def _worst_first(stream: ManyStream) -> list[tuple[Series, SeriesStatistics]]:
    judged = [(one, stream.tally.series.get(one.name, SeriesStatistics())) for one in stream.many.judged]
    return sorted(judged, key=lambda each: -each[1].severity)


def _details(one: Series, counts: SeriesStatistics) -> dict[str, Any]:
    return {
        "series": one.name,
        "points": counts.points,
        "judged": counts.judged,
        "flagged": counts.flagged,
        "incidents": len(counts.spans),
        "severity": counts.severity,
    }


def _draw(stream: ManyStream) -> None:
    from autoencoder.reports.plot import draw, save

    one, counts = _worst_first(stream)[0]
    rank = "most severe" if counts.spans else "one"
    detections = read_scores(stream.folder.path, one.name)
    left_out = counts.points - len(detections)
    labels = stream.tally.labels(one.name)
    figure = draw(
        detections,
        title=f"{one.name!r}, {rank} of {len(stream.many.series):,} in {stream.source.name}" + (", newest" if left_out else ""),
        columns=stream.source.columns,
        training_points=max(0, one.training_points - left_out),
        labels=None if labels is None else labels[left_out:],
        timezone=stream.source.timezone,
        spans=[(max(0, first - left_out), last - left_out) for first, last in counts.spans if last >= left_out],
    )
    save(figure, stream.folder.path / PLOT)
