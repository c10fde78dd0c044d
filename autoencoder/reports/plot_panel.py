"""A panel of the plot: one axes with a line, its companion, flags and bands, and how numbers are written on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from autoencoder.reports.decimation import Array, Rows, decimate

BINS = 3000  # steps to which long series are thinned: about two a pixel, so that a gap wider than a pixel stays a gap

# Colours that the common kinds of colour blindness keep apart (after Okabe and Ito); dots, lines and bands differ in form, too.
INK, SLATE, GREY, BLUE, ORANGE = "#2B3440", "#68737F", "#8A929C", "#1F8DE0", "#E08A00"
RED, GREEN, PURPLE, GRID = "#D1202F", "#009E73", "#7A4FA3", "#E6E9ED"
LINES: dict[str, dict[str, Any]] = {
    "value": {"color": INK, "linewidth": 1.0, "zorder": 2},
    "prediction": {"color": BLUE, "linewidth": 1.3, "alpha": 0.7, "zorder": 3},
    "error": {"color": SLATE, "linewidth": 0.9, "zorder": 2},
    "threshold": {"color": ORANGE, "linewidth": 1.5, "zorder": 3},
}
BANDS = {  # colour, opacity, lower and upper edge as shares of the panel's height
    "training": (GREY, 0.16, 0.0, 1.0),
    "labelled anomaly": (GREEN, 0.22, 0.0, 1.0),
    "incident": (RED, 0.75, 0.0, 0.025),
}


class PlotPanel:
    """One axes: a line, its companion (what was expected, or the limit), flagged dots on the line, bands behind them all."""

    def __init__(self, axes: Axes, line: str, companion: str) -> None:
        self.axes = axes
        self.lines = [axes.plot([], [], marker=".", label=name, **LINES[name])[0] for name in (line, companion)]
        (self.flags,) = axes.plot([], [], ls="none", marker="o", mfc=RED, mec="white", mew=0.4, zorder=4, label="flagged")
        self.bands = {
            name: PolyCollection([], facecolor=color, edgecolor=color, alpha=opacity, linewidth=0.8, label=name, zorder=0.5)
            for name, (color, opacity, _, _) in BANDS.items()
        }
        for band in self.bands.values():
            band.set_transform(axes.get_xaxis_transform())  # x in data units, y as a share of the panel
            axes.add_collection(band, autolim=False)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GREY)
        axes.tick_params(which="both", labelcolor=INK, labelsize=9, color=GREY)
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)

    def fill(self, x: Array, heights: tuple[Array, Array], flags: npt.NDArray[np.bool_], bands: dict[str, Rows]) -> None:
        """Show N points of the line and its companion, the flagged ones, and the bands, each (K, 2) first and last rows."""
        for line, y in zip(self.lines, heights, strict=True):
            rows = decimate(x, y, BINS)
            known = np.pad(np.isfinite(y[rows]), 1)
            line.set_data(x[rows], y[rows])
            # A point between two gaps has no line to lie on: it gets a dot.
            line.set_markevery(np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:]))
        self.flags.set_data(x[flags], heights[0][flags])
        self.flags.set_markersize(5.5 if np.count_nonzero(flags) < 1000 else 3.5)
        for name, rows in bands.items():
            bottom, top = BANDS[name][2:]
            ends = x[rows.reshape(-1, 2).astype(np.int64)]  # (K, 2)
            self.bands[name].set_verts([[(low, bottom), (low, top), (high, top), (high, bottom)] for low, high in ends])

    def label(self, text: str, *, above: bool) -> None:
        """Name the panel at its side, or above it where panels are too low for that."""
        if above:
            self.axes.set_title(text, loc="left", fontsize=9.5, pad=4, color=INK, parse_math=False)
        else:
            self.axes.set_ylabel(text, fontsize=10, color=INK, parse_math=False)

    def shown(self) -> list[Line2D | PolyCollection]:
        """The artists that have something to show."""
        lines = [line for line in (*self.lines, self.flags) if np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()]
        return [*lines, *(band for band in self.bands.values() if band.get_paths())]


def write_numbers(axis: Axis, locator: MaxNLocator, form: str = ",.15g") -> None:
    """Write the numbers along an axis; what is next to nothing on its scale is 0."""

    def write(number: float, _: int) -> str:
        low, high = axis.get_view_interval()
        return plain_number(0.0 if abs(number) < 1e-9 * (high - low) else number, form)

    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(write))


def plain_number(number: float, form: str = ",.15g") -> str:
    """A number with a proper minus sign."""
    return format(number, form).replace("-", "\N{MINUS SIGN}")
