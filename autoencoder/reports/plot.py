"""The plot of a run, as a file and in a live window. pyplot is left alone, so that drawing works in any thread."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, StrMethodFormatter

from autoencoder.core.errors import RunError
from autoencoder.core.types import Detections
from autoencoder.reports.axis_values import finite, padded, positions, zone_of
from autoencoder.reports.decimation import Array, choose_columns, decimate
from autoencoder.reports.evaluation import events as stretches
from autoencoder.reports.files import write_whole
from autoencoder.reports.wording import number_of

SIZE = (12.0, 7.0)  # inches
BINS = 3000  # steps to which long series are thinned: about two a pixel, so that a gap wider than a pixel stays a gap
MAX_VALUE_PANELS = 4
STEPS = [1, 2, 2.5, 5, 10]  # between the numbers along an axis

# Colours that the common kinds of colour blindness keep apart (after Okabe and Ito); dots, lines and bands differ in form, too.
INK, SLATE, GREY, BLUE, ORANGE = "#2B3440", "#68737F", "#8A929C", "#1F8DE0", "#E08A00"
RED, GREEN, PURPLE, GRID = "#D1202F", "#009E73", "#7A4FA3", "#E6E9ED"
LINES: dict[str, dict[str, Any]] = {
    "value": {"color": INK, "linewidth": 1.0, "zorder": 2},
    "prediction": {"color": BLUE, "linewidth": 1.3, "alpha": 0.7, "zorder": 3},
    "error": {"color": SLATE, "linewidth": 0.9, "zorder": 2},
    "threshold": {"color": ORANGE, "linewidth": 1.5, "zorder": 3},
}
# colour, opacity, height as a share of the panel's
BANDS = {"training": (GREY, 0.16, 1.0), "labelled anomaly": (GREEN, 0.22, 1.0), "incident": (RED, 0.75, 0.025)}

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
    labels: npt.NDArray[np.bool_] | None = None,
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
    figure = Figure(figsize=SIZE, dpi=120)
    FigureCanvasAgg(figure)
    counts = headline(title, len(detections), int(detections.anomalies.sum()), None if spans is None else len(spans))
    paint(figure, detections, counts, columns, training_points, labels, timezone, spans or (), events)
    return figure


def paint(
    figure: FigureBase,
    detections: Detections,
    title: str,
    columns: Sequence[str],
    training_points: int = 0,
    labels: npt.NDArray[np.bool_] | None = None,
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
    x = positions(detections.time)  # (N,)
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
        each.set_ylim(*padded(finite(*lines.values())))
        name, most = columns[column], 100 if stacked else 50
        label_axes(each, name if len(name) <= most else f"{name[: most - 1]}…", stacked)
    handles |= _fill(axes[-1], x, {"error": errors, "threshold": limits}, detections.anomalies, bands)
    is_log = _scale_errors(axes[-1], errors, limits, before.is_log)
    label_axes(axes[-1], "error", stacked)
    _scale_time(axes[-1], detections.time, trained, timezone)
    _mark(axes, events, stacked)
    if title and len(columns) > len(shown):
        which = "those furthest from their prediction" if chosen else "the first"
        title += f"\n{len(shown)} of {len(columns)} columns are shown: {which}"
    if title:
        frame(figure, title, handles)
    figure.align_ylabels(axes)
    return Look(chosen, is_log)


def save(figure: Figure, path: Path) -> None:
    """Write the plot to a file; the suffix says in which format. Raises RunError: the file cannot be written."""
    content = render(figure, path.suffix.removeprefix("."))
    try:
        write_whole(path, content)
    except OSError as error:
        raise RunError(f"{path}: the plot cannot be written ({error.strerror or error}); choose another --out") from error


def render(figure: Figure, form: str = "") -> bytes:
    """The content of a file of that form, e.g. "png"."""
    content = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box for a rare letter is no news to anyone
        figure.savefig(content, format=form or None)
    return content.getvalue()


def headline(title: str, points: int, flagged: int, incidents: int | None = None) -> str:
    """What the plot holds, e.g. "synthetic: 6,000 points, 24 incidents, 143 flagged"."""
    name = title if len(title) <= 60 else f"{title[:28]} … {title[-28:]}"
    counted = "" if incidents is None else f", {number_of(incidents, 'incident')}"
    return f"{name}: {number_of(points, 'point')}{counted}, {flagged:,} flagged"


def _fill(
    axes: Axes, x: Array, lines: Mapping[str, Array], flags: npt.NDArray[np.bool_], bands: Mapping[str, Spans]
) -> dict[str, Any]:
    """Draw lines, dots on the flagged points of the first, and bands behind them all; returns what the legend explains, by name."""
    axes.autoscale(False)
    artists: dict[str, Any] = {}
    for name, y in lines.items():
        rows = decimate(x, y, BINS)
        known = np.pad(np.isfinite(y[rows]), 1)
        lonely = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])  # between two gaps is no line to lie on: they get a dot
        (line,) = axes.plot(x[rows], y[rows], marker=".", markevery=lonely, label=name, **LINES[name])
        if known.any():
            artists[name] = line
    flagged = np.flatnonzero(flags)
    y, size = next(iter(lines.values()))[flagged], 5.5 if len(flagged) < 1000 else 3.5
    (dots,) = axes.plot(x[flagged], y, "o", mfc=RED, mec="white", mew=0.4, ms=size, zorder=4, label="flagged")
    if np.isfinite(y).any():
        artists["flagged"] = dots
    for name, spans in bands.items():
        color, opacity, height = BANDS[name]
        if spans:  # x in data units, y as a share of the panel
            extents = [(x[first], x[last] - x[first]) for first, last in spans]
            style: dict[str, Any] = {"color": color, "alpha": opacity, "lw": 0.8, "transform": axes.get_xaxis_transform()}
            artists[name] = axes.broken_barh(extents, (0.0, height), zorder=0.5, **style)
    return artists


def shrink_labels(axes: Axes, *, is_dated: bool) -> None:
    """Write few and small numbers along a panel that is one of many."""
    axes.tick_params(labelsize=8)
    axes.xaxis.get_offset_text().set_fontsize(8)
    if is_dated:
        locator = AutoDateLocator(minticks=2, maxticks=4)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3))


def label_axes(axes: Axes, text: str, stacked: bool) -> None:
    """Name a panel at its side, or above it where panels are too low for that; rule it, and write the numbers along it."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(which="both", labelcolor=INK, labelsize=9, color=GREY)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    if stacked:
        axes.set_title(text, loc="left", fontsize=9.5, pad=4, color=INK, parse_math=False)
    else:
        axes.set_ylabel(text, fontsize=10, color=INK, parse_math=False)
    if axes.get_yscale() == "linear":
        _write_numbers(axes.yaxis, MaxNLocator(nbins=4 if stacked else 6, steps=STEPS))


def _scale_errors(axes: Axes, errors: Array, limits: Array, is_log: bool) -> bool:
    """Scale the errors' panel, by logarithms where it was so before or some are far above the everyday ones; returns whether it is."""
    known = finite(errors, limits)
    everyday = np.median(errors[errors > 0]) if (errors > 0).any() and not (known < 0).any() else np.inf
    if not is_log and not (known.size and known.max() > 40 * everyday):
        low, high = padded(known)
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
    x = positions(time)
    low, high = (x.min(), x.max()) if len(x) else (0.0, 1.0)
    margin = 0.01 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.tick_params(labelbottom=bool(len(x)))  # without points there is no time to tell
    if time.dtype.kind == "M":
        unit, zone = timezone, zone_of(timezone)
        locator = AutoDateLocator(tz=zone, minticks=5, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    else:
        unit, letters = "index", len(f"{int(high):,}")
        ticks = int(np.clip(100 // (letters + 4), 2, 9))
        _write_numbers(axes.xaxis, MaxNLocator(nbins=ticks, integer=True, steps=STEPS), ",.0f")
    axes.xaxis.set_label_text(f"time ({unit})" if unit else "time", fontsize=10, color=INK)
    text, place = "" if len(x) else "no points", 0.5
    if trained and x[trained - 1] - x[0] > 0.08 * (high - low):
        text, place = "training", (x[0] + x[trained - 1]) / 2
    style: dict[str, Any] = {"color": SLATE, "ha": "center", "va": "center", "clip_on": True}
    axes.text(place, 0.5, text, transform=axes.get_xaxis_transform(), **style)


def _mark(axes: npt.NDArray[Any], events: Events, stacked: bool) -> None:
    """Draw a vertical line at each event, with its text above the panels where there is room for it."""
    low, high = axes[-1].get_xlim()
    height = 17 if stacked else 3  # points above the upper panel; clear of its name
    style: dict[str, Any] = {"fontsize": 8.5, "color": PURPLE, "va": "bottom", "parse_math": False, "textcoords": "offset points"}
    room_from = -np.inf
    for time, text in sorted(events):
        position = float(positions(np.array([time]))[0])
        for panel in axes:
            panel.axvline(position, color=PURPLE, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
        share, width = (position - low) / (high - low), 0.0068 * (len(text) + 2)  # of the panel's width
        side, start = ("left", share) if share + width < 1 else ("right", share - width)
        if start >= room_from:
            axes[0].annotate(text, (share, 1.0), (0, height), "axes fraction", ha=side, **style)
            room_from = start + width


def frame(figure: FigureBase, title: str, handles: Mapping[str, Any]) -> None:
    """Write the title above a figure, and below it what its lines and bands are."""
    if isinstance(figure, Figure):
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.08)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, color=INK, parse_math=False)
    if handles:
        style: dict[str, Any] = {"loc": "outside lower left", "frameon": False, "fontsize": 9, "labelcolor": INK}
        legend = figure.legend(handles.values(), handles, ncols=len(handles), **style)
        for handle in legend.legend_handles:
            if isinstance(handle, Line2D) and handle.get_linestyle() != "None":
                handle.set_marker("")


def _write_numbers(axis: Axis, locator: MaxNLocator, form: str = ",.15g") -> None:
    """Write the numbers along an axis; what is next to nothing on its scale is 0."""

    def write(number: float, _: int) -> str:
        low, high = axis.get_view_interval()
        return format(0.0 if abs(number) < 1e-9 * (high - low) else number, form).replace("-", "\N{MINUS SIGN}")

    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(write))
