"""The plot of a run on prices: the price in its expected band, the returns with what was flagged and when, and the volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from autoencoder.core.types import Array, Detections, Time
from autoencoder.reports import panels
from autoencoder.reports.decimation import decimate
from autoencoder.reports.incidents import Incident

SIZE = (13.0, 8.0)  # inches
MOST_LABELS = 24
LETTER = 0.0056  # width of a letter, as a share of the panel's
ROWS = 4  # of labels above, and below, the returns
WIDE = 6.0  # highest price over the lowest from which prices are drawn by logarithms
UNITS = ("Y", "M", "D", "h", "m")  # of the ticks, the longest first
MOST_TICKS = 11
MIN_BAND, MAX_BAND = 2.0, 8.0  # volatilities


@dataclass(frozen=True, slots=True)
class PriceMoves:
    """How N prices moved; NaN where unknown."""

    returns: Array  # (N,) log returns
    deviations: Array  # (N,) what a return is beside the market's, in volatilities
    scale: Array  # (N,) volatility
    volume: Array | None  # (N,) None where it is not known


def draw(
    detections: Detections,
    moves: PriceMoves,
    *,
    title: str,
    column: str = "price",
    training_points: int = 0,
    timezone: str | None = None,
    incidents: Sequence[Incident] = (),
    first_row: int = 0,
) -> Figure:
    """Draw a run; rows stand side by side, so that closed time takes no room.

    Args:
        detections: N points, of which the first column is drawn.
        moves: of them.
        title: name of the series; the counts are put behind it.
        column: name of the price.
        training_points: how many at the start were trained on; they are shaded.
        timezone: zone in which times within a day are written.
        incidents: labelled with their date and return, the most severe first where there is no room for all.
        first_row: of these points, in the series.
    """
    figure = panels.new_figure(*SIZE)
    volume = moves.volume if moves.volume is not None and np.nansum(moves.volume) > 0 else None
    ratios = [3.0, 2.4, 0.8][: 2 if volume is None else 3]
    axes = list(figure.subplots(len(ratios), sharex=True, height_ratios=ratios))
    handles: dict[str, object] = {}
    band = _band(detections, moves)
    _draw_prices(axes[0], detections, moves, band, handles)
    panels.label_axes(axes[0], column, stacked=False)
    _draw_returns(axes[1], detections, moves, band)
    _label_incidents(axes[1], detections, moves, incidents, first_row)
    if volume is not None:
        handles["volume"] = _draw_volume(axes[2], volume)
    for panel in axes if training_points else ():
        handles["training"] = panel.axvspan(-0.5, training_points - 0.5, color=panels.GREY, alpha=0.16, lw=0, zorder=0.5)
    _write_times(axes[-1], detections.time, timezone)
    panels.frame(figure, panels.headline(title, len(detections), int(detections.anomalies.sum()), len(incidents)), handles)
    figure.align_ylabels(axes)
    return figure


def _band(detections: Detections, moves: PriceMoves) -> float:
    """Half the height of the band in volatilities: as many judged returns lie outside it as were flagged."""
    judged = np.isfinite(detections.thresholds) & np.isfinite(moves.deviations)
    if not judged.any():
        return MIN_BAND
    share = max(1, int(np.count_nonzero(detections.anomalies))) / np.count_nonzero(judged)
    return float(np.clip(np.quantile(np.abs(moves.deviations[judged]), 1.0 - min(share, 1.0)), MIN_BAND, MAX_BAND))


def _draw_prices(axes: Axes, detections: Detections, moves: PriceMoves, band: float, handles: dict[str, object]) -> None:
    price, expected = detections.values[:, 0], detections.predictions[:, 0]
    x = np.arange(len(price), dtype=float)
    low, high = (expected * np.exp(sign * band * moves.scale) for sign in (-1, 1))
    positive = price[price > 0]
    if len(positive) and positive.max() > WIDE * positive.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.10g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    rows = np.union1d(decimate(x, low, panels.BINS), decimate(x, high, panels.BINS))
    label = f"expected \N{PLUS-MINUS SIGN} {band:.1f} volatilities"
    handles["price"] = axes.plot(*_line(x, price), color=panels.INK, linewidth=0.9, zorder=3)[0]
    if np.isfinite(low).any():
        handles[label] = axes.fill_between(x[rows], low[rows], high[rows], color=panels.BLUE, alpha=0.28, lw=0, zorder=2)
    if detections.anomalies.any():
        flagged = np.flatnonzero(detections.anomalies)
        handles["flagged"] = axes.plot(x[flagged], price[flagged], "o", mfc=panels.RED, mec="white", mew=0.5, ms=6, zorder=4)[0]


def _draw_returns(axes: Axes, detections: Detections, moves: PriceMoves, band: float) -> None:
    percent = 100 * np.expm1(moves.returns)
    x = np.arange(len(percent), dtype=float)
    rows = decimate(x, percent, panels.BINS)
    axes.vlines(x[rows], 0, percent[rows], color=panels.SLATE, linewidth=0.6, alpha=0.8, zorder=2)
    for sign in (-1, 1):
        axes.plot(*_line(x, 100 * np.expm1(sign * band * moves.scale)), color=panels.ORANGE, linewidth=1.0, zorder=3)
    flagged = np.flatnonzero(detections.anomalies)
    axes.vlines(flagged, 0, percent[flagged], color=panels.RED, linewidth=1.3, zorder=4)
    axes.plot(flagged, percent[flagged], "o", mfc=panels.RED, mec="white", mew=0.5, ms=5, zorder=5)
    known = np.abs(percent[np.isfinite(percent) & np.isfinite(detections.thresholds)])
    most = float(known.max()) if len(known) else 1.0
    axes.set_ylim(-2 * most, 2 * most)  # half of it for the labels
    panels.label_axes(axes, "return", stacked=False)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.3g} %".replace("-", "\N{MINUS SIGN}")))


def _draw_volume(axes: Axes, volume: Array) -> object:
    rows = decimate(np.arange(len(volume), dtype=float), volume, panels.BINS)
    axes.set_ylim(0, float(np.nanmax(volume)) * 1.05)
    panels.label_axes(axes, "volume", stacked=False)
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=panels.STEPS))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    return axes.vlines(rows, 0, volume[rows], color=panels.SLATE, linewidth=0.5)


def _label_incidents(
    axes: Axes, detections: Detections, moves: PriceMoves, incidents: Sequence[Incident], first_row: int
) -> None:
    """Write date and return of the most severe incidents above the rises and below the falls, where none hides another."""
    style: dict[str, Any] = {"fontsize": 8, "color": panels.INK, "ha": "center", "parse_math": False, "annotation_clip": False}
    taken: list[tuple[int, float, float]] = []  # row of labels, and its begin and end
    for incident in sorted(incidents, key=lambda each: -each.severity)[:MOST_LABELS]:
        rows = np.arange(max(0, incident.first_row - first_row), incident.last_row - first_row + 1)
        rows = rows[detections.anomalies[rows]] if len(rows) and rows[-1] < len(detections) else rows[:0]
        if not len(rows) or incident.change is None:
            continue
        sizes = np.abs(np.expm1(moves.returns[rows]) - incident.change)
        row = int(rows[np.nanargmin(sizes)]) if np.isfinite(sizes).any() else int(rows[0])
        text, side = label_of(incident, detections.time[row]), 1 if incident.change > 0 else -1
        width = LETTER * len(text) * len(detections)
        middle = float(np.clip(row, 0.5 * width, len(detections) - 0.5 * width))
        begin, end = middle - width / 2, middle + width / 2
        free = [at for at in range(ROWS) if not any(r == side * (at + 1) and b < end and begin < e for r, b, e in taken)]
        if not free:
            continue
        taken.append((side * (free[0] + 1), begin, end))
        height = side * axes.get_ylim()[1] * (0.94 - 0.105 * free[0])
        tip = 100 * incident.change
        axes.annotate("", (row, tip), (row, height), arrowprops={"arrowstyle": "-", "color": panels.GREY, "lw": 0.6})
        axes.annotate(
            text, (middle, height), va="bottom" if side > 0 else "top", **style, bbox={"fc": "white", "ec": "none", "pad": 0.6}
        )


def label_of(incident: Incident, time: np.datetime64 | np.int64) -> str:
    """Date and return of an incident, and what it looks like where that is no plain move of its own.

    >>> incident = Incident(1, "", "", "", (1.0,), (1.0,), 0.5, 1, 0, 0, True, move="market move", change=-0.179)
    >>> print(label_of(incident, np.datetime64("2008-09-29")))
    2008-09-29 −17.9 % (market move)
    """
    moment = time.astype("datetime64[m]") if isinstance(time, np.datetime64) else time
    text = str(moment).replace("T00:00", "").replace("T", " ")
    what = "" if incident.move in ("move", "own move", None) else f" ({incident.move})"
    return f"{text} {100 * (incident.change or 0.0):+.1f} %{what}".replace(" -", " \N{MINUS SIGN}")


def _write_times(axes: Axes, time: Time, timezone: str | None) -> None:
    """Write when the rows were, where a year, month, day or hour begins with them."""
    axes.set_xlim(-0.01 * len(time) - 1, 1.01 * len(time))
    if time.dtype.kind != "M" or not len(time):
        axes.set_xlabel("row", fontsize=10, color=panels.INK)
        return
    local = _local(time, timezone)
    for unit in UNITS:
        starts = np.flatnonzero(np.diff(local.astype(f"datetime64[{unit}]").astype(np.int64), prepend=-(1 << 40)))
        if len(starts) > 4:
            break
    starts = starts[:: -(-len(starts) // MOST_TICKS)]
    unit = "m" if unit == "h" else unit
    axes.set_xticks(starts, [str(each.astype(f"datetime64[{unit}]")).replace("T", "\n") for each in local[starts]])
    axes.set_xlabel(f"time ({timezone})" if timezone else "time", fontsize=10, color=panels.INK)


def _local(time: Time, timezone: str | None) -> Time:
    """Times (N,) in UTC as the clocks of a zone show them."""
    hours, places = np.unique(time.astype("datetime64[h]"), return_inverse=True)
    shown = [each.replace(tzinfo=UTC).astimezone(panels.zone_of(timezone)) for each in hours.astype("datetime64[s]").tolist()]
    offsets = np.array([moment.replace(tzinfo=None) for moment in shown], "datetime64[s]") - hours
    return np.asarray(time + offsets[places])


def _line(x: Array, y: Array) -> tuple[Array, Array]:
    rows = decimate(x, y, panels.BINS)
    return x[rows], y[rows]


def _short(number: float, _: int) -> str:
    """A large number with its power: "2 M"."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g} {letter}"
    return f"{number:g}"
