"""The picture of a run on prices, from its scores and, where it can be read again, its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoencoder.core.types import Array, Detections
from autoencoder.panel.series import by_series
from autoencoder.pipeline import Run
from autoencoder.quotes.detector import PriceDetector
from autoencoder.reports.logs import closed_incidents
from autoencoder.sources.chunk import ASIDE, UNKNOWN_ASIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draws_prices(run: Run, name: str | None) -> bool:
    """Whether a series is one of prices, and far enough to say how they move."""
    detector = run.panel[name].detector.current if len(run.panel) else None
    return isinstance(detector, PriceDetector) and detector.trained


def draw_prices(run: Run, name: str | None, detections: Detections, title: str, first_row: int) -> Figure:
    """Draw a series by its detections, the first of which is the row ``first_row``."""
    from autoencoder.reports.price_plot import PriceMoves, draw

    detector, source = run.panel[name].detector.current, run.source
    assert isinstance(detector, PriceDetector)
    inputs = _inputs(run, name, detections, first_row, detector.aside)
    moves = detector.moves_again(detections.time, inputs)
    volume = inputs[:, ASIDE.index("volume") - len(ASIDE)] if detector.aside else None
    return draw(
        detections,
        PriceMoves((moves.own[:, 0] + moves.market), moves.own[:, 0] / moves.scale[:, 0], moves.scale[:, 0], volume),
        title=title,
        column=source.columns[0],
        training_points=max(0, detector.training_points - first_row),
        timezone=source.timezone,
        incidents=[each for each in closed_incidents(run.folder) if each.series == name],
        first_row=first_row,
    )


def _inputs(run: Run, name: str | None, detections: Detections, first_row: int, aside: int) -> Array:
    """The prices and what is known beside them (N, F + A); a source that goes on cannot be asked again for the latter."""
    if aside and run.source.length is not None:
        chunks = run.source.chunks()
        parts = [chunk.inputs[rows] for chunk in chunks for each, rows in by_series(chunk, run.source.series) if each == name]
        return np.concatenate(parts)[first_row : first_row + len(detections)]
    blank = np.tile(UNKNOWN_ASIDE[:aside], (len(detections), 1))
    return np.concatenate([detections.values, blank], axis=1)
