"""Panels: what all plots share, from the colours to the file. pyplot is left alone, so that drawing works in any thread."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from autoencoder.core.errors import RunError
from autoencoder.core.types import Array
from autoencoder.reports.files import write_whole
from autoencoder.reports.wording import number_of

SIZE = (12.0, 7.0)  # inches
BINS = 3000  # steps to which long series are thinned: about two a pixel, so that a gap wider than a pixel stays a gap
STEPS = [1, 2, 2.5, 5, 10]  # between the numbers along an axis

# Colours that the common kinds of colour blindness keep apart (after Okabe and Ito); dots, lines and bands differ in form, too.
INK, SLATE, GREY, BLUE, ORANGE = "#2B3440", "#68737F", "#8A929C", "#1F8DE0", "#E08A00"
RED, GREEN, PURPLE, GRID = "#D1202F", "#009E73", "#7A4FA3", "#E6E9ED"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=120)
    FigureCanvasAgg(figure)
    _lay_out(figure)
    return figure


def _lay_out(figure: Figure) -> None:
    figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.08)


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
        write_numbers(axes.yaxis, MaxNLocator(nbins=4 if stacked else 6, steps=STEPS))


def frame(figure: FigureBase, title: str, handles: Mapping[str, Any]) -> None:
    """Write the title above a figure, and below it what its lines and bands are."""
    if isinstance(figure, Figure):
        _lay_out(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, color=INK, parse_math=False)
    if handles:
        style: dict[str, Any] = {"loc": "outside lower left", "frameon": False, "fontsize": 9, "labelcolor": INK}
        legend = figure.legend(handles.values(), handles, ncols=len(handles), **style)
        for handle in legend.legend_handles:
            if isinstance(handle, Line2D) and handle.get_linestyle() != "None":
                handle.set_marker("")


def write_numbers(axis: Axis, locator: MaxNLocator, form: str = ",.15g") -> None:
    """Write the numbers along an axis; what is next to nothing on its scale is 0."""

    def write(number: float, _: int) -> str:
        low, high = axis.get_view_interval()
        return format(0.0 if abs(number) < 1e-9 * (high - low) else number, form).replace("-", "\N{MINUS SIGN}")

    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(write))


# --- numbers along the axes ---


def positions(time: npt.NDArray[np.generic]) -> Array:
    """Times (N,) as places on the axis: days since 1970, or the count itself."""
    return np.asarray(date2num(time) if time.dtype.kind == "M" else time, dtype=np.float64)


def finite(*series: Array) -> Array:
    """The finite numbers (M,) of all series."""
    numbers = np.concatenate(series)
    return numbers[np.isfinite(numbers)]


def padded(known: Array) -> tuple[float, float]:
    """Range of numbers, with room above and below; (0, 1) where there are none."""
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = 0.07 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def zone_of(timezone: str | None) -> tzinfo | None:
    """The zone of that name, or of an offset such as "+02:00"; UTC where there is none."""
    try:
        return ZoneInfo(timezone or "UTC")
    except (KeyError, ValueError):  # an offset such as "+02:00" is no IANA name
        return datetime.strptime(str(timezone), "%z").tzinfo
