"""The picture of the worst incidents of several columns: of each the columns that made it, as small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from autoencoder.core.types import Detections
from autoencoder.reports.incidents import Incident
from autoencoder.reports.plot import INK, RED, paint, shrink_labels
from autoencoder.reports.wording import COLUMNS, length_text, severity_text

SHOWN = 3  # incidents, side by side
WIDTH, HEIGHT = 5.2, 6.4  # inches of one
AROUND = 40  # points shown on either side of an incident, at least


def draw(
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
    figure = Figure(figsize=(max(1, len(shown)) * WIDTH, HEIGHT), dpi=120)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.08)
    cells = figure.subfigures(1, max(1, len(shown)), squeeze=False)[0]
    for cell, incident in zip(cells, shown, strict=False):
        _draw_closely(cell, detections, incident, columns, timezone, first_row)
    return figure


def _draw_closely(
    cell: SubFigure, detections: Detections, incident: Incident, columns: Sequence[str], timezone: str | None, first_row: int
) -> None:
    start, end = incident.first_row - first_row, incident.last_row - first_row
    around = max(AROUND, (end - start) // 2)
    rows, worst = slice(max(0, start - around), end + around + 1), incident.columns[:COLUMNS]
    places = [list(columns).index(each.name) for each in worst]
    near = replace(detections, values=detections.values[:, places], predictions=detections.predictions[:, places])[rows]
    paint(cell, near, "", [f"{each.name}: {100 * each.share:.0f} %" for each in worst], timezone=timezone)
    begun = incident.start.replace("T", " ").removesuffix("Z")
    text = f"{begun}: {severity_text(incident)}, {length_text(incident)}"
    cell.suptitle(text, x=0.02, ha="left", fontsize=9.5, color=INK, parse_math=False)
    for axes in cell.axes:
        first, last = (near.time[row - rows.start] for row in (start, end))
        axes.axvspan(first, last, color=RED, alpha=0.1, lw=0, zorder=0)
        axes.set_xlabel("")
        shrink_labels(axes, is_dated=near.time.dtype.kind == "M")
