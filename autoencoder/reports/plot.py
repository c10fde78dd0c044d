"""The plot of a run, as a file and in a live window, and of the places in it that are looked at closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from autoencoder.core.types import Array, Bools, Detections
from autoencoder.reports import panels
from autoencoder.reports.decimation import choose_columns, decimate
from autoencoder.reports.evaluation import Span
from autoencoder.reports.evaluation import events as stretches
from autoencoder.reports.incidents import Incident
from autoencoder.reports.wording import COLUMNS, length_text, severity_text

MAX_VALUE_PANELS = 4
SHOWN, CELL_WIDTH, CELL_HEIGHT = 3, 5.2, 6.4  # incidents whose columns are shown side by side, and inches of one
AROUND = 40  # points shown on either side of a place that is looked at closely, at least

LINES: dict[str, dict[str, Any]] = {
    "value": {"color": panels.INK, "linewidth": 1.0, "zorder": 2},
    "prediction": {"color": panels.BLUE, "linewidth": 1.3, "alpha": 0.7, "zorder": 3},
    "error": {"color": panels.SLATE, "linewidth": 0.9, "zorder": 2},
    "threshold": {"color": panels.ORANGE, "linewidth": 1.5, "zorder": 3},
}
# colour, opacity, height as a share of the panel's
BANDS = {
    "training": (panels.GREY, 0.16, 1.0),
    "labelled anomaly": (panels.GREEN, 0.22, 1.0),
    "incident": (panels.RED, 0.75, 0.025),
}

Spans = Sequence[tuple[int, int]]  # first and last rows
Events = Sequence[tuple[np.datetime64 | int, str]]


class Look(NamedTuple):
    """What the next picture of the same stream keeps: one that changes back and forth cannot be read."""

    columns: Sequence[int] = ()  # those that are shown, where there are too many for all; empty while none has a prediction
    is_log: bool = False  # the scale of the errors


def draw(
    detections: Detections,
    *,
    title: str,
    columns: Sequence[str] = ("value",),
    training_points: int = 0,
    labels: Bools | None = None,
    timezone: str | None = None,
    spans: Spans | None = None,
    events: Events = (),
) -> Figure:
    """Draw a whole run: what was seen and expected on top, the error and its moving threshold below.

    Args:
        detections: N points; any N, with gaps and unknown parts.
        title: name of the series; the counts are put behind it.
        columns: names of the F columns; of more than four, the four that deviate most are shown.
        training_points: how many points at the start were trained on; they are shaded.
        labels: (N,) True inside a known anomaly.
        timezone: zone in which dates are written, e.g. "America/New_York" or "+02:00"; None writes them as they are.
        spans: first and last row of each incident; None where incidents were not looked for.
        events: vertical lines, each a time (same kind as ``detections.time``) and a short text.
    """
    figure = panels.new_figure(*panels.SIZE)
    counts = panels.headline(title, len(detections), int(detections.anomalies.sum()), None if spans is None else len(spans))
    paint(figure, detections, counts, columns, training_points, labels, timezone, spans or (), events)
    return figure


def paint(
    figure: FigureBase,
    detections: Detections,
    title: str,
    columns: Sequence[str],
    training_points: int = 0,
    labels: Bools | None = None,
    timezone: str | None = None,
    spans: Spans = (),
    events: Events = (),
    before: Look = Look(),  # noqa: B008 - it cannot be changed
) -> Look:
    """Draw on an empty figure or a part of one, as ``draw`` does; a title stays as it is, and without one there is no legend."""
    chosen = choose_columns(detections, before.columns, MAX_VALUE_PANELS)
    shown = chosen or range(min(len(columns), MAX_VALUE_PANELS))
    stacked = len(shown) > 1
    ratios = [1.0 if stacked else 2.0] * len(shown) + [1.0]
    axes = figure.subplots(len(ratios), sharex=True, height_ratios=ratios)
    x = panels.positions(detections.time)  # (N,)
    trained = min(training_points, len(x))
    bands: dict[str, Spans] = {"training": [(0, trained - 1)] if trained else []}
    bands["labelled anomaly"] = [] if labels is None else [(start, end - 1) for start, end in stretches(labels)]
    handles: dict[str, Any] = {}
    seen, expected, errors, limits = (
        np.where(np.isfinite(each), each, np.nan)
        for each in (detections.values, detections.predictions, detections.errors, detections.thresholds)
    )
    for each, column in zip(axes, shown, strict=False):
        lines = {"value": seen[:, column], "prediction": expected[:, column]}
        handles |= _fill(each, x, lines, detections.anomalies, {**bands, "incident": spans})
        each.set_ylim(*panels.padded(panels.finite(*lines.values())))
        name, most = columns[column], 100 if stacked else 50
        panels.label_axes(each, name if len(name) <= most else f"{name[: most - 1]}…", stacked)
    handles |= _fill(axes[-1], x, {"error": errors, "threshold": limits}, detections.anomalies, bands)
    is_log = _scale_errors(axes[-1], errors, limits, before.is_log)
    panels.label_axes(axes[-1], "error", stacked)
    _scale_time(axes[-1], detections.time, trained, timezone)
    _mark(axes, events, stacked)
    if title and len(columns) > len(shown):
        which = "those furthest from their prediction" if chosen else "the first"
        title += f"\n{len(shown)} of {len(columns)} columns are shown: {which}"
    if title:
        panels.frame(figure, title, handles)
    figure.align_ylabels(axes)
    return Look(chosen, is_log)


def around(span: Span, least: int = AROUND) -> Span:
    """Rows [start, end) that are shown of a place and what surrounds it, at least so many points on either side."""
    start, end = span
    margin = max(least, end - start)
    return max(0, start - margin), end + margin


def paint_closely(
    cell: SubFigure,
    detections: Detections,
    shown: Span,
    columns: Mapping[int, str],
    caption: str,
    *,
    labels: Bools | None = None,
    timezone: str | None = None,
    events: Events = (),
) -> None:
    """Draw the rows ``shown`` of some columns, by their places, into one of many cells, with few and small numbers and no legend."""
    rows, places = slice(*shown), list(columns)
    near = replace(detections, values=detections.values[:, places], predictions=detections.predictions[:, places])[rows]
    known = None if labels is None else labels[rows]
    paint(cell, near, "", list(columns.values()), labels=known, timezone=timezone, events=events)
    cell.suptitle(caption, x=0.02, ha="left", fontsize=9, color=panels.INK, parse_math=False)
    for axes in cell.axes:
        axes.set_xlabel("")
        panels.shrink_labels(axes, is_dated=near.time.dtype.kind == "M")


def draw_culprits(
    detections: Detections, incidents: Sequence[Incident], columns: Sequence[str], timezone: str | None, first_row: int = 0
) -> Figure:
    """Draw the worst columns of up to ``SHOWN`` incidents, each shaded, above the error.

    Args:
        detections: N points, from row ``first_row`` of their series on.
        incidents: the worst first; those that lie before these points are left out.
        columns: names of the F columns.
        timezone: of the times, None where they have none.
        first_row: see ``detections``.
    """
    shown = [each for each in incidents if each.columns and each.first_row >= first_row][:SHOWN]
    figure = panels.new_figure(max(1, len(shown)) * CELL_WIDTH, CELL_HEIGHT)
    cells = figure.subfigures(1, max(1, len(shown)), squeeze=False)[0]
    for cell, incident in zip(cells, shown, strict=False):
        start, end = incident.first_row - first_row, incident.last_row - first_row
        margin = max(AROUND, (end - start) // 2)
        worst = {list(columns).index(each.name): f"{each.name}: {100 * each.share:.0f} %" for each in incident.columns[:COLUMNS]}
        caption = f"{incident.start.replace('T', ' ').removesuffix('Z')}: {severity_text(incident)}, {length_text(incident)}"
        paint_closely(cell, detections, (max(0, start - margin), end + margin + 1), worst, caption, timezone=timezone)
        for axes in cell.axes:
            axes.axvspan(*detections.time[[start, end]], color=panels.RED, alpha=0.1, lw=0, zorder=0)
    return figure


def _fill(axes: Axes, x: Array, lines: Mapping[str, Array], flags: Bools, bands: Mapping[str, Spans]) -> dict[str, Any]:
    """Draw lines, dots on the flagged points of the first, and bands behind them all; returns what the legend explains, by name."""
    axes.autoscale(False)
    artists: dict[str, Any] = {}
    for name, y in lines.items():
        rows = decimate(x, y, panels.BINS)
        known = np.pad(np.isfinite(y[rows]), 1)
        lonely = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])  # between two gaps is no line to lie on: they get a dot
        (line,) = axes.plot(x[rows], y[rows], marker=".", markevery=lonely, label=name, **LINES[name])
        if known.any():
            artists[name] = line
    flagged = np.flatnonzero(flags)
    y, size = next(iter(lines.values()))[flagged], 5.5 if len(flagged) < 1000 else 3.5
    (dots,) = axes.plot(x[flagged], y, "o", mfc=panels.RED, mec="white", mew=0.4, ms=size, zorder=4, label="flagged")
    if np.isfinite(y).any():
        artists["flagged"] = dots
    for name, spans in bands.items():
        color, opacity, height = BANDS[name]
        if spans:  # x in data units, y as a share of the panel
            extents = [(x[first], x[last] - x[first]) for first, last in spans]
            style: dict[str, Any] = {"color": color, "alpha": opacity, "lw": 0.8, "transform": axes.get_xaxis_transform()}
            artists[name] = axes.broken_barh(extents, (0.0, height), zorder=0.5, **style)
    return artists


def _scale_errors(axes: Axes, errors: Array, limits: Array, is_log: bool) -> bool:
    """Scale the errors' panel, by logarithms where it was so before or some are far above the everyday ones; returns whether it is."""
    known = panels.finite(errors, limits)
    everyday = np.median(errors[errors > 0]) if (errors > 0).any() and not (known < 0).any() else np.inf
    if not is_log and not (known.size and known.max() > 40 * everyday):
        low, high = panels.padded(known)
        axes.set_ylim(low if (known < 0).any() else 0.0, high)
        return False
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.15g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if (known > 0).any():
        # How far errors lie below the everyday ones and the threshold says nothing, and would take the room of those above.
        lowest_limit = limits[limits > 0].min(initial=np.inf)
        axes.set_ylim(min(everyday / 5, lowest_limit / 1.5, known.max() / 10), known.max() * 1.8)
    return True


def _scale_time(axes: Axes, time: npt.NDArray[np.generic], trained: int, timezone: str | None) -> None:
    x = panels.positions(time)
    low, high = (x.min(), x.max()) if len(x) else (0.0, 1.0)
    margin = 0.01 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.tick_params(labelbottom=bool(len(x)))  # without points there is no time to tell
    if time.dtype.kind == "M":
        unit, zone = timezone, panels.zone_of(timezone)
        locator = AutoDateLocator(tz=zone, minticks=5, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    else:
        unit, letters = "index", len(f"{int(high):,}")
        ticks = int(np.clip(100 // (letters + 4), 2, 9))
        panels.write_numbers(axes.xaxis, MaxNLocator(nbins=ticks, integer=True, steps=panels.STEPS), ",.0f")
    axes.xaxis.set_label_text(f"time ({unit})" if unit else "time", fontsize=10, color=panels.INK)
    text, place = "" if len(x) else "no points", 0.5
    if trained and x[trained - 1] - x[0] > 0.08 * (high - low):
        text, place = "training", (x[0] + x[trained - 1]) / 2
    style: dict[str, Any] = {"color": panels.SLATE, "ha": "center", "va": "center", "clip_on": True}
    axes.text(place, 0.5, text, transform=axes.get_xaxis_transform(), **style)


def _mark(axes: npt.NDArray[Any], events: Events, stacked: bool) -> None:
    """Draw a vertical line at each event, with its text above the panels where there is room for it."""
    low, high = axes[-1].get_xlim()
    height = 17 if stacked else 3  # points above the upper panel; clear of its name
    purple = {"color": panels.PURPLE}
    style: dict[str, Any] = {"fontsize": 8.5, "va": "bottom", "parse_math": False, "textcoords": "offset points"}
    room_from = -np.inf
    for time, text in sorted(events):
        position = float(panels.positions(np.array([time]))[0])
        for panel in axes:
            panel.axvline(position, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1, **purple)
        share, width = (position - low) / (high - low), 0.0068 * (len(text) + 2)  # of the panel's width
        side, start = ("left", share) if share + width < 1 else ("right", share - width)
        if start >= room_from:
            axes[0].annotate(text, (share, 1.0), (0, height), "axes fraction", ha=side, **purple, **style)
            room_from = start + width
