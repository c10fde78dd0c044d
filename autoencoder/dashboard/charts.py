"""Charts: a snapshot -> what ``chart.js`` draws: the stream above, the error and its threshold below."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import Detections
from autoencoder.dashboard.board import Snapshot
from autoencoder.reports.decimation import Array, Rows, decimate, runs

BINS = 600  # steps to which what is shown is thinned: about one for every other pixel of a wide screen
MOST_PANELS = 4  # value columns that are shown
LARGE = 40.0  # times the everyday error: where the largest is further up, the scale becomes logarithmic

Flags = npt.NDArray[np.bool_]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """What a person looks at.

    Attributes:
        newest: so many of the newest points; None: all.
        zoom: another stretch instead, from and to, in the chart's units (milliseconds since 1970, or the count).
        focus: number of times that the page, not the person, has set ``zoom``; the chart takes it over when this changes.
        chosen: first and last row of the incident that was clicked.
    """

    newest: int | None = None
    zoom: Range | None = None
    focus: int = 0
    chosen: tuple[int, int] | None = None


def positions(time: npt.NDArray[np.generic]) -> Array:
    """Times (N,) as places on the axis: milliseconds since 1970, or the count itself."""
    if time.dtype.kind == "M":
        return time.astype("datetime64[ns]").astype(np.int64) / 1e6
    return time.astype(np.float64)


def thin(x: Array, lines: list[Array], flags: Flags, bins: int = BINS) -> Rows:
    """Rows that draw the same lines as all N of them; every flagged row is among them.

    Args:
        x: (N,) positions.
        lines: heights (N,) each, NaN in gaps.
        flags: (N,) True where a point is flagged.
        bins: see ``decimate``.
    """
    return np.unique(np.concatenate([np.flatnonzero(flags), *(decimate(x, line, bins) for line in lines)]))


def describe(snapshot: Snapshot, view: View) -> dict[str, Any] | None:
    """What is to be drawn, ready for JSON; None before the first point."""
    detections, about = snapshot.detections, snapshot.about
    if detections is None or about is None or not len(detections):
        return None
    x = positions(detections.time)  # (N,)
    shown = _rows_in_view(x, view)
    first, part = snapshot.first_row + shown.start, detections[shown]
    panels = [_value_panel(part, column, name) for column, name in list(enumerate(about.columns))[:MOST_PANELS]]
    panels.append(_error_panel(part, detections))
    lines = [line for panel in panels for line in (panel["line"], panel["companion"])]
    rows = thin(x[shown], lines, part.anomalies)
    for panel in panels:
        panel["line"], panel["companion"] = _packed(panel["line"][rows]), _packed(panel["companion"][rows])
    trained = min(max(about.training_points - first, 0), len(part))
    spans = [(incident.first_row - first, incident.last_row - first) for incident in snapshot.incidents]
    return {
        "dates": detections.time.dtype.kind == "M",
        "timezone": about.timezone,
        "x": _packed(x[shown][rows]),
        "flags": _packed(part.anomalies[rows]),
        "panels": panels,
        "bands": {
            "training": _stretches(x[shown], [(0, trained - 1)] if trained else []),
            "known": _stretches(x[shown], [] if snapshot.labels is None else runs(snapshot.labels[shown]).tolist()),
            "incident": _stretches(x[shown], spans),
            "chosen": _stretches(x[shown], [(row - first, end - first) for row, end in [view.chosen]] if view.chosen else []),
        },
        "whole": [x.min(), x.max()],
        "follow": [x[-(view.newest or len(x)) :].min(), x.max()],
        "zoom": view.zoom,
        "focus": view.focus,
        "points": snapshot.points,
        "flagged": int(detections.anomalies.sum()),
    }


def stretch_of(snapshot: Snapshot, first_row: int, last_row: int) -> Range | None:
    """Where to look to see these rows of the stream and something around them; None where they are not kept any more."""
    if snapshot.detections is None or last_row < snapshot.first_row:
        return None
    x = positions(snapshot.detections.time)
    first, last = (max(row - snapshot.first_row, 0) for row in (first_row, last_row))
    margin = max(30, last - first + 1)  # points
    return float(x[max(first - margin, 0)]), float(x[min(last + margin, len(x) - 1)])


def _rows_in_view(x: Array, view: View) -> slice:
    """The rows that are seen, and one more on each side for the lines that leave the picture."""
    if view.zoom is None:
        return slice(len(x) - min(view.newest or len(x), len(x)), len(x))
    inside = np.flatnonzero((x >= view.zoom[0]) & (x <= view.zoom[1]))
    if not len(inside):
        return slice(0, len(x))
    return slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2)


def _value_panel(detections: Detections, column: int, name: str) -> dict[str, Any]:
    seen, expected = _finite(detections.values[:, column]), _finite(detections.predictions[:, column])
    low, high = _padded(seen, expected)
    return {"name": name, "kind": "value", "line": seen, "companion": expected, "low": low, "high": high, "log": False}


def _error_panel(detections: Detections, whole: Detections) -> dict[str, Any]:
    """The scale's kind follows from the whole stream: it must not change as one zooms."""
    errors, limits = _finite(detections.errors), _finite(detections.thresholds)
    everything = _known(_finite(whole.errors), _finite(whole.thresholds))
    everyday = _everyday(_finite(whole.errors))
    log = bool(everything.size and (everything >= 0).all() and everyday and everything.max() > LARGE * everyday)
    low, high = _padded(errors, limits)
    known = _known(errors, limits)
    if log and (positive := known[known > 0]).size:
        # how far errors lie below the everyday ones says nothing, and would take the room of those above
        low = min(everyday / 5, float(limits[limits > 0].min(initial=np.inf)) / 1.5, float(positive.max()) / 10)
        high = float(positive.max()) * 1.8
    elif not (known < 0).any():
        low = 0.0
    return {"name": "error", "kind": "error", "line": errors, "companion": limits, "low": low, "high": high, "log": log}


def _everyday(errors: Array) -> float:
    positive = errors[errors > 0]
    return float(np.median(positive)) if positive.size else 0.0


def _finite(numbers: Array) -> Array:
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _known(*series: Array) -> Array:
    known = np.concatenate(series)
    return known[np.isfinite(known)]


def _padded(*series: Array) -> Range:
    """Range of all known numbers, with room above and below; (0, 1) where nothing is known."""
    known = _known(*series)
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _stretches(x: Array, spans: list[tuple[int, int]]) -> list[Range]:
    """Positions of first and last rows, those that lie outside of x (N,) left out."""
    last_row = len(x) - 1
    inside = [(max(first, 0), min(last, last_row)) for first, last in spans if last >= 0 and first <= last_row]
    return [(float(x[first]), float(x[last])) for first, last in inside]


def _packed(numbers: npt.NDArray[Any]) -> str:
    """An array as base64 of its bytes: eight a number, or one a flag; NaN survives, as in JSON it would not."""
    return base64.b64encode(numbers.astype(np.uint8 if numbers.dtype == bool else "<f8").tobytes()).decode()
