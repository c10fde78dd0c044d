"""The picture of a run as a file.

matplotlib is imported where it is used; pyplot never is: figures are plain objects, so that drawing works in any thread.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import RunError
from autoencoder.core.types import Detections
from autoencoder.reports.disk import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (12.0, 7.0)  # inches
DOTS_PER_INCH = 120


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from autoencoder.reports.picture import Picture

    figure = Figure(figsize=SIZE, dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    picture = Picture(figure, columns, dates=detections.time.dtype.kind == "M", timezone=timezone)
    counts = headline(title, len(detections), int(detections.anomalies.sum()), None if spans is None else len(spans))
    picture.show(detections, counts, training_points=training_points, labels=labels, spans=() if spans is None else spans)
    picture.mark(events)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the picture to a file; the suffix says in which format.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box for a rare letter is no news to anyone
            content = BytesIO()
            figure.savefig(content, format=path.suffix.removeprefix(".") or None)
        write_whole(path, content.getvalue())
    except OSError as error:
        raise RunError(f"{path}: the picture cannot be written ({error.strerror or error}); choose another --out") from error


def headline(title: str, points: int, flagged: int, incidents: int | None = None) -> str:
    """Say what the picture holds, e.g. "synthetic: 6,000 points, 24 incidents, 143 flagged"."""
    name = title if len(title) <= 60 else f"{title[:28]} … {title[-28:]}"
    parts = [_count(points, "point"), f"{flagged:,} flagged"]
    if incidents is not None:
        parts.insert(1, _count(incidents, "incident"))
    return f"{name}: {', '.join(parts)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
