"""Chart: a snapshot -> what ``chart.js`` draws: the stream above, the error and its threshold below."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import Detections
from autoencoder.dashboard.follow import Bools, Snapshot
from autoencoder.reports.decimation import Array, Rows, decimate, runs

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
    x = _positions(detections.time)  # (N,)
    shown = _rows_in_view(x, view)
    first, part = snapshot.first_row + shown.start, detections[shown]
    columns = list(snapshot.columns)[:MAX_PANELS]
    panels = [("value", name, part.values[:, f], part.predictions[:, f]) for f, name in enumerate(columns)]
    panels.append(("error", "error", part.errors, part.thresholds))
    rows = thin(x[shown], [line for _, _, *lines in panels for line in lines], part.anomalies)
    return {
        "dates": detections.time.dtype.kind == "M",
        "zone": " UTC" if snapshot.is_zoned else "",
        "x": _packed(x[shown][rows]),
        "flags": _packed(part.anomalies[rows]),
        "panels": [
            {"kind": kind, "name": name, "line": _packed(line[rows]), "companion": _packed(companion[rows])}
            for kind, name, line, companion in panels
        ],
        "log": _is_logarithmic(detections),  # follows from the whole stream: it must not change as one zooms
        "everyday": _everyday(detections.errors),
        "bands": {
            "training": _stretches(x[shown], [(-first, snapshot.training_points - 1 - first)]),
            "known": _stretches(x[shown], [] if snapshot.labels is None else runs(snapshot.labels[shown]).tolist()),
            "incident": _stretches(x[shown], [(each.first_row - first, each.last_row - first) for each in snapshot.incidents]),
            "chosen": _stretches(x[shown], [(view.chosen[0] - first, view.chosen[1] - first)] if view.chosen else []),
        },
        "whole": [x.min(), x.max()],
        "follow": [x[-(view.newest or len(x)) :].min(), x.max()],
        "zoom": view.zoom,
        "focus": view.focus,
        "points": snapshot.points,
        "flagged": int(detections.anomalies.sum()),
    }


def thin(x: Array, lines: list[Array], flags: Bools, bins: int = BINS) -> Rows:
    """Rows that draw the same lines (N,) over x (N,) as all N of them, see ``decimate``; every flagged row is among them."""
    return np.unique(np.concatenate([np.flatnonzero(flags), *(decimate(x, line, bins) for line in lines)]))


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
    if not len(inside):
        return slice(0, len(x))
    return slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2)


def _everyday(errors: Array) -> float:
    positive = errors[np.isfinite(errors) & (errors > 0)]
    return float(np.median(positive)) if positive.size else 0.0


def _is_logarithmic(detections: Detections) -> bool:
    known = np.concatenate([detections.errors, detections.thresholds])
    known, everyday = known[np.isfinite(known)], _everyday(detections.errors)
    return bool(everyday and known.min() >= 0 and known.max() > LOG_RATIO * everyday)


def _stretches(x: Array, spans: list[tuple[int, int]]) -> list[Range]:
    """Positions of first and last rows, those that lie outside of x (N,) left out."""
    last_row = len(x) - 1
    inside = [(max(first, 0), min(last, last_row)) for first, last in spans if last >= 0 and first <= last_row]
    return [(float(x[first]), float(x[last])) for first, last in inside]


def _packed(numbers: npt.NDArray[Any]) -> str:
    """An array as base64 of its bytes: eight a number, or one a flag; NaN survives, as in JSON it would not."""
    return base64.b64encode(numbers.astype(np.uint8 if numbers.dtype == bool else "<f8").tobytes()).decode()
