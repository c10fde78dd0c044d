"""Picture: the plot of the stretch around an incident, from the rows of scores.csv."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from autoencoder.alerts.channel import headline
from autoencoder.alerts.outbox import Alert
from autoencoder.core.errors import ModelFileError
from autoencoder.core.types import Detections
from autoencoder.reports.files import open_inside
from autoencoder.reports.run_folder import SCORES
from autoencoder.reports.scores_csv import parse_scores, parse_times, series_field

CONTEXT = 150  # points that are shown before an incident, and after it as far as they are there
MAX_POINTS = 3000  # of a longer incident the newest are shown
BLOCK_BYTES = 1 << 20  # of scores.csv that are read first; twice as many where they do not reach back far enough
MAX_BYTES = 1 << 26


def draw_incident(folder: Path, alert: Alert) -> bytes:
    """The plot around an incident as a PNG.

    Raises:
        ModelFileError: scores.csv does not hold the rows any more.
        ModuleNotFoundError: matplotlib is not installed.
    """
    from autoencoder.reports.plot import draw, render

    detections = _stretch(folder / SCORES, alert)
    first, last = _rows_of(detections, alert)
    spans = [(first, last)] if last >= first else []
    return render(draw(detections, title=headline(alert), columns=alert["columns"], spans=spans), "png")


def _stretch(path: Path, alert: Alert) -> Detections:
    """The rows around an incident."""
    size = BLOCK_BYTES
    try:
        while True:
            detections, is_all = _rows_before(path, alert, size)
            first, last = _rows_of(detections, alert)
            if is_all or first >= CONTEXT or size >= MAX_BYTES:
                begin = max(0, first - CONTEXT, last + 1 - MAX_POINTS)
                return detections[begin : last + 1 + CONTEXT]
            size *= 2
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise ModelFileError(f"{path} does not hold the rows of the incident ({type(error).__name__})") from None


def _rows_before(path: Path, alert: Alert, size: int) -> tuple[Detections, bool]:
    """The rows of an incident's series in the last ``size`` bytes that the file had when it was reported; whether these are all."""
    series = alert["incident"].get("series")
    ending = b"\n" if series is None else f",{series_field(series)}\n".encode()
    with open_inside(path) as file:
        names = next(csv.reader([file.readline().decode()]))
        begin, end = file.tell(), alert["scores_bytes"]
        start = max(begin, end - size)
        file.seek(start)
        lines = file.read(max(0, end - start)).splitlines(keepends=True)
    whole = lines if start == begin else lines[1:]
    rows = [*csv.reader(line.decode() for line in whole if line.endswith(ending))]
    own = None if series is None else next(csv.reader([series_field(series)]))[0]
    return parse_scores(names, [row for row in rows if own is None or row[-1] == own]), start == begin


def _rows_of(detections: Detections, alert: Alert) -> tuple[int, int]:
    """First and last row of an incident among detections; missing data may have none, and then the last comes before the first."""
    start, end = parse_times([alert["incident"]["start"], alert["incident"]["end"]])
    return int(np.searchsorted(detections.time, start)), int(np.searchsorted(detections.time, end, "right")) - 1
