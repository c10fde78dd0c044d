"""The plot of a run: axes and artists, laid out once and refilled, so that the file and the live window share every line of it.

pyplot is left alone: figures are plain objects, so that drawing works in any thread.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from autoencoder.core.errors import RunError
from autoencoder.core.types import Detections
from autoencoder.reports.decimation import Array, runs
from autoencoder.reports.files import write_whole
from autoencoder.reports.plot_panel import INK, PURPLE, SLATE, PlotPanel, plain_number, write_numbers

SIZE = (12.0, 7.0)  # inches
DOTS_PER_INCH = 120
MAX_VALUE_PANELS = 4


class RunPlot:
    """Value panels on top, the error below, sharing the time axis."""

    def __init__(self, figure: Figure, columns: Sequence[str], *, dates: bool, timezone: str | None = None) -> None:
        """Lay out the axes on an empty figure; ``dates`` says that times are datetime64, else they are a count."""
        self.figure, self.columns, self.dates = figure, tuple(columns), dates
        self.chosen = list(range(min(len(self.columns), MAX_VALUE_PANELS)))
        self.settled = False  # the choice comes from what was seen
        self.stacked = len(self.chosen) > 1
        ratios = [1.0 if self.stacked else 2.0] * len(self.chosen) + [1.0]
        axes = figure.subplots(len(ratios), sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})[:, 0]
        self.value_panels = [PlotPanel(each, "value", "prediction") for each in axes[:-1]]
        self.error_panel = PlotPanel(axes[-1], "error", "threshold")
        self.panels = [*self.value_panels, self.error_panel]
        self.error_panel.label("reconstruction error", above=self.stacked)
        for each in axes:
            write_numbers(each.yaxis, MaxNLocator(nbins=4 if self.stacked else 6, steps=[1, 2, 2.5, 5, 10]))
        self._write_times(axes[-1].xaxis, timezone)
        transform = axes[-1].get_xaxis_transform()
        self.word = axes[-1].text(0, 0.5, "", transform=transform, color=SLATE, ha="center", va="center", clip_on=True)
        self.title = figure.suptitle("", x=0.01, ha="left", fontsize=13, color=INK, parse_math=False)
        self.entries: list[str] = []
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.08)
        figure.align_ylabels(axes)

    def show(
        self,
        detections: Detections,
        title: str,
        *,
        training_points: int = 0,
        labels: npt.NDArray[np.bool_] | None = None,
        spans: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Show these points in place of those shown so far; arguments as in ``plotting.draw``, the title as it is."""
        x = self.positions(detections.time)  # (N,)
        trained = min(training_points, len(detections))
        bands = {
            "training": np.array([[0, trained - 1]] if trained else []),
            "labelled anomaly": np.array([]) if labels is None else runs(labels),
        }
        self._choose(detections)
        for panel, column in zip(self.value_panels, self.chosen, strict=True):
            seen_and_expected = _finite(detections.values[:, column]), _finite(detections.predictions[:, column])
            panel.fill(x, seen_and_expected, detections.anomalies, bands | {"incident": np.array(spans)})
            panel.axes.set_ylim(*_padded(_known(*seen_and_expected)))
            name, longest = self.columns[column], 100 if self.stacked else 50
            panel.label(name if len(name) <= longest else f"{name[: longest - 1]}…", above=self.stacked)
        errors_and_limits = _finite(detections.errors), _finite(detections.thresholds)
        self.error_panel.fill(x, errors_and_limits, detections.anomalies, bands)
        self._scale_errors(*errors_and_limits)
        self._scale_time(x, trained)
        self._caption(title)

    def mark(self, events: Sequence[tuple[np.datetime64 | int, str]]) -> None:
        """Draw a vertical line at each event, with its text above the panels where there is room for it."""
        low, high = self.error_panel.axes.get_xlim()
        height = 17 if self.stacked else 3  # points above the upper panel; clear of its name
        style: dict[str, Any] = {"fontsize": 8.5, "color": PURPLE, "va": "bottom", "parse_math": False}
        style |= {"xycoords": "axes fraction", "textcoords": "offset points"}
        room_from = -np.inf
        for time, text in sorted(events):
            position = float(self.positions(np.array([time]))[0])
            for panel in self.panels:
                panel.axes.axvline(position, color=PURPLE, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
            share, width = (position - low) / (high - low), 0.0068 * (len(text) + 2)  # of the panel's width
            side = "left" if share + width < 1 else "right"
            start = share if side == "left" else share - width
            if start >= room_from:
                self.value_panels[0].axes.annotate(text, (share, 1.0), (0, height), ha=side, **style)
                room_from = start + width

    def positions(self, time: npt.NDArray[np.datetime64] | npt.NDArray[np.int64]) -> Array:
        """Turn times (N,) into places on the axis: days since 1970, or the count itself."""
        return np.asarray(date2num(time) if self.dates else time, dtype=np.float64)

    def _write_times(self, axis: Axis, timezone: str | None) -> None:
        if self.dates:
            zone = _zone(timezone)
            locator = AutoDateLocator(tz=zone, minticks=5, maxticks=10)
            axis.set_major_locator(locator)
            axis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
        else:
            write_numbers(axis, MaxNLocator(integer=True, steps=[1, 2, 2.5, 5, 10]), ",.0f")
        unit = timezone if self.dates else "index"
        axis.set_label_text(f"time ({unit})" if unit else "time", fontsize=10, color=INK)

    def _choose(self, detections: Detections) -> None:
        """Settle which columns are shown; a choice stays until points are flagged, so that a live picture does not flicker."""
        judged = detections.anomalies.any() if self.settled else np.isfinite(detections.predictions).any()
        if len(self.columns) > MAX_VALUE_PANELS and judged:
            self.chosen, self.settled = most_deviating(detections, MAX_VALUE_PANELS), True

    def _scale_errors(self, errors: Array, limits: Array) -> None:
        axes = self.error_panel.axes
        known = _known(errors, limits)
        everyday = np.median(errors[errors > 0]) if (errors > 0).any() and not (known < 0).any() else np.inf
        if axes.get_yscale() == "linear" and known.size and known.max() > 40 * everyday:
            axes.set_yscale("log")  # and stays so: a live picture that changes its scale back and forth cannot be read
            axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: plain_number(number)))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if axes.get_yscale() == "linear":
            low, high = _padded(known)
            axes.set_ylim(low if (known < 0).any() else 0.0, high)
        elif (known > 0).any():
            # How far errors lie below the everyday ones and the threshold says nothing, and would take the room of those above.
            lowest_limit = limits[limits > 0].min(initial=np.inf)
            axes.set_ylim(min(everyday / 5, lowest_limit / 1.5, known.max() / 10), known.max() * 1.8)

    def _scale_time(self, x: Array, trained: int) -> None:
        axes = self.error_panel.axes
        low, high = (x.min(), x.max()) if len(x) else (0.0, 1.0)
        margin = 0.01 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
        axes.tick_params(labelbottom=bool(len(x)))  # without points there is no time to tell
        if isinstance(locator := axes.xaxis.get_major_locator(), MaxNLocator):
            letters = len(f"{int(high):,}")
            locator.set_params(nbins=int(np.clip(100 // (letters + 4), 2, 9)))
        is_wide = trained and x[trained - 1] - x[0] > 0.08 * (high - low)
        self.word.set(text="" if len(x) else "no points", x=0.5)
        if is_wide:
            self.word.set(text="training", x=(x[0] + x[trained - 1]) / 2)

    def _caption(self, title: str) -> None:
        if len(self.columns) > len(self.chosen):
            which = "those furthest from their prediction" if self.settled else "the first"
            title += f"\n{len(self.chosen)} of {len(self.columns)} columns are shown: {which}"
        self.title.set_text(title)
        by_name = {str(artist.get_label()): artist for panel in self.panels for artist in panel.shown()}
        if self.entries != list(by_name):
            self.entries = list(by_name)
            for legend in self.figure.legends:
                legend.remove()
            style: dict[str, Any] = {"frameon": False, "fontsize": 9, "labelcolor": INK}
            legend = self.figure.legend(by_name.values(), by_name, loc="outside lower left", ncols=max(len(by_name), 1), **style)
            for handle in legend.legend_handles:
                if isinstance(handle, Line2D) and handle.get_linestyle() != "None":
                    handle.set_marker("")


def draw(
    detections: Detections,
    *,
    title: str,
    columns: Sequence[str] = ("value",),
    training_points: int = 0,
    labels: npt.NDArray[np.bool_] | None = None,
    timezone: str | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
    events: Sequence[tuple[np.datetime64 | int, str]] = (),
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
    figure = Figure(figsize=SIZE, dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    plot = RunPlot(figure, columns, dates=detections.time.dtype.kind == "M", timezone=timezone)
    counts = headline(title, len(detections), int(detections.anomalies.sum()), None if spans is None else len(spans))
    plot.show(detections, counts, training_points=training_points, labels=labels, spans=() if spans is None else spans)
    plot.mark(events)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the plot to a file; the suffix says in which format. Raises RunError: the file cannot be written."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box for a rare letter is no news to anyone
            content = BytesIO()
            figure.savefig(content, format=path.suffix.removeprefix(".") or None)
        write_whole(path, content.getvalue())
    except OSError as error:
        raise RunError(f"{path}: the plot cannot be written ({error.strerror or error}); choose another --out") from error


def headline(title: str, points: int, flagged: int, incidents: int | None = None) -> str:
    """What the plot holds, e.g. "synthetic: 6,000 points, 24 incidents, 143 flagged"."""
    name = title if len(title) <= 60 else f"{title[:28]} … {title[-28:]}"
    counts = [f"{points:,} point{'s' * (points != 1)}", f"{flagged:,} flagged"]
    if incidents is not None:
        counts.insert(1, f"{incidents:,} incident{'s' * (incidents != 1)}")
    return f"{name}: {', '.join(counts)}"


def most_deviating(detections: Detections, count: int) -> list[int]:
    """Choose columns by their distance from the prediction in units of their spread, at flagged points if any; ascending."""
    rows = detections.anomalies if detections.anomalies.any() else slice(None)
    off = np.ma.masked_invalid(detections.values - detections.predictions)[rows]  # (K, F)
    spread = np.ma.masked_invalid(detections.values).std(axis=0).filled(0.0)  # (F,)
    distance = np.abs(off).mean(axis=0).filled(0.0) / np.where(spread > 0, spread, 1.0)  # (F,)
    return sorted(np.argsort(-distance, kind="stable")[:count].tolist())


def _finite(numbers: Array) -> Array:
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _known(*series: Array) -> Array:
    numbers = np.concatenate(series)
    return numbers[np.isfinite(numbers)]


def _padded(known: Array) -> tuple[float, float]:
    """Range of numbers, with room above and below; (0, 1) where there are none."""
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = 0.07 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _zone(timezone: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(timezone or "UTC")
    except (KeyError, ValueError):  # an offset such as "+02:00" is no IANA name
        return datetime.strptime(str(timezone), "%z").tzinfo
