"""The picture of one labelled series: the whole of it, and below its worst misses and false alarms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure

from autoencoder.benchmark.metrics import MARGIN, event_figures, incidents_of, near_events
from autoencoder.core.types import Array, Bools, Detections
from autoencoder.reports.evaluation import Span, events
from autoencoder.reports.incidents import time_text
from autoencoder.reports.panels import INK, SIZE, new_figure
from autoencoder.reports.plot import around, paint, paint_closely
from autoencoder.reports.wording import number_of

SHOWN = 3  # of each kind, side by side
ROW = 3.4  # inches that a row of them takes


class Row(NamedTuple):
    """Places of one kind that are shown closely, the worst first."""

    kind: str
    spans: Sequence[Span]
    heading: str


def draw(
    detections: Detections, labels: Bools, title: str, columns: Sequence[str] = ("value",), timezone: str | None = None
) -> Figure:
    """Draw the scored part of a series, N points with labels (N,), and closely what went wrong there.

    The worst misses are the events without a flag whose highest score is the lowest; the worst false alarms are the incidents away
    from every event with the highest scores. Of places close to each other only the worst is shown.
    """
    incidents, figures = incidents_of(detections.anomalies), event_figures(detections.anomalies, labels)
    rows = list(_rows(detections, labels, incidents))
    figure = new_figure(SIZE[0], SIZE[1] + ROW * len(rows))
    parts = figure.subfigures(1 + len(rows), 1, height_ratios=[SIZE[1], *[ROW] * len(rows)], squeeze=False)[:, 0]
    found = f"{figures.found:,} of {number_of(figures.events, 'event')} found, " if figures.events else "no events, "
    false = f"{figures.incidents - figures.right:,} of {number_of(figures.incidents, 'incident')} false"
    if not incidents:
        false = "no incidents"
    spans = [(start, end - 1) for start, end in incidents]
    marks = [(detections.time[start], f"{row.kind} {place}") for row in rows for place, (start, _) in enumerate(row.spans, 1)]
    zone = timezone and "UTC"  # in which the times are, if they have a zone
    whole = f"{title}: {number_of(len(detections), 'point')}, {found}{false}"
    paint(parts[0], detections, whole, columns, labels=labels, timezone=zone, spans=spans, events=marks)
    if parts[0].axes[-1].get_ylabel():
        parts[0].axes[-1].set_ylabel("error")
    for part, row in zip(parts[1:], rows, strict=True):
        part.suptitle(row.heading, x=0.01, ha="left", fontsize=11, color=INK)
        for place, (cell, span) in enumerate(zip(part.subfigures(1, SHOWN), row.spans, strict=False), 1):
            _draw_closely(cell, detections, labels, columns, span, f"{row.kind} {place}")
    return figure


def _rows(detections: Detections, labels: Bools, incidents: Sequence[Span]) -> Iterator[Row]:
    """The misses and the false alarms, where there are any."""
    near = near_events(labels)
    missed = [(start, end) for start, end in events(labels) if not detections.anomalies[start : end + MARGIN].any()]
    false = [(start, end) for start, end in incidents if not near[start:end].any()]
    for kind, spans, heading, which in (
        ("miss", missed, f"{number_of(len(missed), 'event')} missed", "lowest"),
        ("false alarm", false, number_of(len(false), "false alarm"), "highest"),
    ):
        worst = _apart(sorted(spans, key=lambda span: _peak(detections, span), reverse=which == "highest"))
        if worst:
            yield Row(kind, worst, heading + f"; those with the {which} scores" * (len(worst) < len(spans)))


def _apart(spans: Sequence[Span]) -> list[Span]:
    """The first few that lie outside what is shown of those before them."""
    chosen: list[Span] = []
    for start, end in spans:
        if len(chosen) < SHOWN and all(end <= first or start >= last for first, last in map(around, chosen)):
            chosen.append((start, end))
    return chosen


def _peak(detections: Detections, span: Span) -> tuple[float, float]:
    """Highest score and highest error of a stretch; -1 where none is known."""
    known = [column[slice(*span)] for column in (detections.scores, detections.errors)]
    score, error = (float(part[~np.isnan(part)].max(initial=-1.0)) for part in known)
    return score, error


def _oddest_column(values: Array, span: Span) -> int:
    """The column of values (N, F) that lies farthest from its mean there, in standard deviations."""
    known = np.ma.masked_invalid(values)
    spread = np.where(known.std(axis=0).filled(0.0) > 0, known.std(axis=0).filled(1.0), 1.0)  # (F,)
    return int(np.argmax(np.abs((known[slice(*span)] - known.mean(axis=0)) / spread).max(axis=0).filled(0.0)))


def _draw_closely(cell: SubFigure, detections: Detections, labels: Bools, columns: Sequence[str], span: Span, name: str) -> None:
    column, start = _oddest_column(detections.values, span), detections.time[span[0]]
    time = time_text(detections.time[span[0] : span[0] + 1])[0].replace("T", " ").removesuffix(":00")
    score = _peak(detections, span)[0]
    judged = f"score {score:.2f}" if score >= 0 else "not judged"
    caption = f"{name}: {time}, {number_of(span[1] - span[0], 'point')}, {judged}"
    paint_closely(cell, detections, around(span), {column: columns[column]}, caption, labels=labels, events=[(start, "")])
    for axes in cell.axes:
        is_named = len(columns) > 1 and axes is cell.axes[0]
        axes.set_ylabel(columns[column] if is_named else "", fontsize=8)
