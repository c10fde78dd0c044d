"""Picture: the plot of the stretch around an incident, from the rows of scores.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autoencoder.alerts.channel import headline
from autoencoder.alerts.outbox import Alert
from autoencoder.core.errors import ModelFileError
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import Incident
from autoencoder.reports.scores_csv import parse_times, read_scores

CONTEXT = 150  # points that are shown before an incident, and after it as far as they are there
MAX_POINTS = 3000  # of a longer incident the newest are shown


def draw_incident(folder: Path, alert: Alert) -> bytes:
    """The plot around an incident as a PNG.

    Raises:
        ModelFileError: scores.csv does not hold the rows any more.
        ModuleNotFoundError: matplotlib is not installed.
    """
    from autoencoder.reports.panels import render
    from autoencoder.reports.plot import draw

    incident = Incident.from_record(alert["incident"])
    detections = around(folder, incident)
    # of missing data there may be no row
    bounds = parse_times([incident.start, incident.end])
    first, last = np.searchsorted(detections.time, bounds[0]), np.searchsorted(detections.time, bounds[1], "right") - 1
    spans = [(int(first), int(last))] if last >= first else []
    return render(draw(detections, title=headline(alert), columns=alert["columns"], spans=spans), "png")


def around(folder: Path, incident: Incident) -> Detections:
    """The rows of an incident, at most ``MAX_POINTS`` of them, and those around them. Raises ModelFileError: they are not there."""
    count = min(incident.length, MAX_POINTS) + 2 * CONTEXT
    detections = read_scores(folder, incident.series, stop=incident.last_row + 1 + CONTEXT, max_rows=count)
    if len(detections) < min(incident.length, MAX_POINTS):
        raise ModelFileError(f"{folder} does not hold the rows of the incident")
    return detections
