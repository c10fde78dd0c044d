"""Picture: what plot.png shows of a run, from its scores and, where prices can be read again, its source."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from autoencoder.commands.summary import worst_first
from autoencoder.core.events import DECLARED, PROMOTED, ROLLED_BACK
from autoencoder.core.types import Array, Detections
from autoencoder.panel.series import by_series
from autoencoder.pipeline import Run
from autoencoder.quotes.detector import PriceDetector
from autoencoder.reports import plot, price_plot
from autoencoder.reports.logs import closed_incidents, event_time
from autoencoder.reports.panels import save
from autoencoder.reports.run_folder import COLUMNS_PLOT, PLOT
from autoencoder.reports.scores_csv import read_scores
from autoencoder.reports.statistics import SeriesStatistics
from autoencoder.sources.chunk import ASIDE, UNKNOWN_ASIDE

MARKED = (DECLARED, PROMOTED, ROLLED_BACK)  # events that the plot shows


def draw_plot(run: Run) -> None:
    """Draw plot.png, of many series the one with the worst incident, and of several columns columns.png."""
    source, statistics, folder = run.source, run.statistics, run.folder.path
    name = next(iter(worst_first(run)), None)
    one = statistics.series.get(name, SeriesStatistics())
    detections = read_scores(folder, name)
    first_row = one.points - len(detections)  # rows before it are left out
    detector = run.panel[name].detector.current if len(run.panel) else None
    look: dict[str, Any] = {"title": _title(run, name, one, newest=first_row > 0), "timezone": source.timezone}
    look["training_points"] = max(0, detector.training_points - first_row) if detector else 0
    if isinstance(detector, PriceDetector) and detector.trained:
        save(_draw_prices(run, name, detector, detections, first_row, look), folder / PLOT)
        return
    labels = statistics.labels(name)
    events = [(event_time(each), each.event) for each in run.panel.adaptations if each.event in MARKED and each.series == name]
    figure = plot.draw(
        detections,
        columns=source.columns,
        labels=None if labels is None or len(labels) < one.points else labels[first_row:],
        events=[event for event in events if len(detections) and event[0] >= detections.time[0]],
        spans=[(max(0, start - first_row), end - first_row) for start, end in one.spans if end >= first_row],
        **look,
    )
    save(figure, folder / PLOT)
    worst = [each for each in statistics.worst if each.series == name and each.columns and each.first_row >= first_row]
    if worst:
        save(plot.draw_culprits(detections, worst, source.columns, source.timezone, first_row), folder / COLUMNS_PLOT)


def _title(run: Run, name: str | None, one: SeriesStatistics, *, newest: bool) -> str:
    if name is None:
        return run.source.name + (f", newest of {one.points:,}" if newest else "")
    rank = "most severe" if one.spans else "one"
    return f"{name!r}, {rank} of {len(run.panel):,} in {run.source.name}" + (", newest" if newest else "")


def _draw_prices(
    run: Run, name: str | None, detector: PriceDetector, detections: Detections, first_row: int, look: dict[str, Any]
) -> Figure:
    inputs = _inputs(run, name, detections, first_row, detector.aside)
    moves = detector.moves_again(detections.time, inputs)
    own, scale = moves.own[:, 0], moves.scale[:, 0]
    volume = inputs[:, ASIDE.index("volume") - len(ASIDE)] if detector.aside else None
    incidents = [each for each in closed_incidents(run.folder) if each.series == name]
    prices = price_plot.PriceMoves(own + moves.market, own / scale, scale, volume)
    return price_plot.draw(detections, prices, column=run.source.columns[0], incidents=incidents, first_row=first_row, **look)


def _inputs(run: Run, name: str | None, detections: Detections, first_row: int, aside: int) -> Array:
    """The prices and what is known beside them (N, F + A); a source that goes on cannot be asked again for the latter."""
    if aside and run.source.length is not None:
        chunks = run.source.chunks()
        parts = [chunk.inputs[rows] for chunk in chunks for each, rows in by_series(chunk, run.source.series) if each == name]
        return np.concatenate(parts)[first_row : first_row + len(detections)]
    blank = np.tile(UNKNOWN_ASIDE[:aside], (len(detections), 1))
    return np.concatenate([detections.values, blank], axis=1)
