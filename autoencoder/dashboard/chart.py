"""Chart: a snapshot -> what ``chart.js`` draws: the stream above, the error and its threshold below."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import Array, Detections
from autoencoder.dashboard.follow import Snapshot
from autoencoder.reports.decimation import decimate
from autoencoder.reports.evaluation import events

BINS = 600  # steps to which what is shown is thinned: about one for every other pixel of a wide screen
MAX_PANELS = 4  # value columns that are shown
LOG_RATIO = 40.0  # of the largest error and the everyday one, beyond which the scale is logarithmic

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """What a person looks at, in the chart's units: milliseconds since 1970, or the count."""

    newest: int | None = None  # so many of the newest points; None: all
    zoom: Range | None = None  # another stretch instead
    focus: int = 0  # number of times that the page, not the person, has set ``zoom``; the chart takes it over when this changes
    chosen: tuple[int, int] | None = None  # first and last row of the incident that was clicked


def describe(snapshot: Snapshot, view: View) -> dict[str, Any] | None:
    """What is to be drawn, ready for JSON; None before the first point."""
    detections = snapshot.detections
    if detections is None:
        return None
    whole = _positions(detections.time)  # (N,)
    shown = _rows_in_view(whole, view)
    x, part = whole[shown], detections[shown]
    begin = snapshot.first_row + shown.start
    columns = list(snapshot.columns)[:MAX_PANELS]
    panels = [("value", name, part.values[:, f], part.predictions[:, f]) for f, name in enumerate(columns)]
    panels.append(("error", "error", part.errors, part.thresholds))
    thinned = [decimate(x, line, BINS) for _, _, *lines in panels for line in lines]
    rows = np.unique(np.concatenate([np.flatnonzero(part.anomalies), *thinned]))  # every flag is among them
    everyday, is_log = _scale(detections)  # of the whole stream: it must not change as one zooms

    def stretches(spans: Iterable[tuple[int, int]]) -> list[Range]:
        """Positions of first and last rows of the stream, of what is seen of them."""
        rows = [(max(first - begin, 0), min(last - begin, len(x) - 1)) for first, last in spans]
        return [(float(x[first]), float(x[last])) for first, last in rows if first <= last]

    known = [] if snapshot.labels is None else events(snapshot.labels[shown])
    return {
        "dates": detections.time.dtype.kind == "M",
        "zone": " UTC" if snapshot.is_zoned else "",
        "x": _packed(x[rows]),
        "flags": _packed(part.anomalies[rows]),
        "panels": [
            {"kind": kind, "name": name, "line": _packed(line[rows]), "companion": _packed(companion[rows])}
            for kind, name, line, companion in panels
        ],
        "log": is_log,
        "everyday": everyday,
        "bands": {
            "training": stretches([(0, snapshot.training_points - 1)]),
            "known": stretches((begin + start, begin + end - 1) for start, end in known),
            "incident": stretches((each.first_row, each.last_row) for each in snapshot.incidents),
            "chosen": stretches([view.chosen] if view.chosen else []),
        },
        "whole": [whole.min(), whole.max()],
        "follow": [whole[-(view.newest or len(whole)) :].min(), whole.max()],
        "zoom": view.zoom,
        "focus": view.focus,
        "points": snapshot.points,
        "flagged": int(detections.anomalies.sum()),
    }


def stretch_of(snapshot: Snapshot, first_row: int, last_row: int) -> Range | None:
    """Where to look to see these rows of the stream and something around them; None where they are not kept any more."""
    if snapshot.detections is None or last_row < snapshot.first_row:
        return None
    x = _positions(snapshot.detections.time)
    first, last = (max(row - snapshot.first_row, 0) for row in (first_row, last_row))
    margin = max(30, last - first + 1)  # points
    return float(x[max(first - margin, 0)]), float(x[min(last + margin, len(x) - 1)])


def _positions(time: npt.NDArray[np.generic]) -> Array:
    """Times (N,) as places on the axis: milliseconds since 1970, or the count itself."""
    if time.dtype.kind == "M":
        return time.astype("datetime64[ns]").astype(np.int64) / 1e6
    return time.astype(np.float64)


def _rows_in_view(x: Array, view: View) -> slice:
    """The rows that are seen, and one more on each side for the lines that leave the picture."""
    if view.zoom is None:
        return slice(max(len(x) - (view.newest or len(x)), 0), len(x))
    inside = np.flatnonzero((x >= view.zoom[0]) & (x <= view.zoom[1]))
    return slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2) if len(inside) else slice(0, len(x))


def _scale(detections: Detections) -> tuple[float, bool]:
    """The everyday error, and whether the scale is logarithmic."""
    known = np.concatenate([detections.errors, detections.thresholds])
    known, positive = known[np.isfinite(known)], detections.errors[np.isfinite(detections.errors) & (detections.errors > 0)]
    everyday = float(np.median(positive)) if positive.size else 0.0
    return everyday, bool(everyday and known.min() >= 0 and known.max() > LOG_RATIO * everyday)


def _packed(numbers: npt.NDArray[Any]) -> str:
    """An array as base64 of its bytes: eight a number, or one a flag; NaN survives, as in JSON it would not."""
    return base64.b64encode(numbers.astype(np.uint8 if numbers.dtype == bool else "<f8").tobytes()).decode()
