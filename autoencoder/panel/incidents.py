"""Incidents of all series of a panel, numbered in the order of the rows with which they began."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields

from autoencoder.core.types import Detections
from autoencoder.panel.series import ALL, Rows, Series, places_of
from autoencoder.reports.incidents import Incident

Part = tuple[Series, Rows]  # a series, and its rows in a chunk


class PanelIncidents:
    """Numbers the incidents of the series' trackers, each of which counts from 1.

    Attributes:
        count: incidents so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._open: dict[str | None, Incident] = {}

    @property
    def open(self) -> list[Incident]:
        """The incidents that go on, in the order in which they began."""
        return sorted(self._open.values(), key=lambda incident: incident.id)

    def process(self, detections: Detections, parts: Sequence[Part]) -> list[Incident]:
        """The incidents that ended, in the order of the rows with which they did."""
        begun: list[tuple[int, Series, int]] = []  # the row with which a new incident began, and its number in its series
        ended: list[tuple[int, Series, Incident]] = []  # the row after which an incident is over
        for one, rows in parts:
            arrays = (getattr(detections, each.name) for each in fields(Detections))
            own = detections if rows is ALL else Detections(*(array[rows] for array in arrays))
            first, places = one.tracker.row, places_of(rows, len(detections))
            closed = one.tracker.process(own)
            for incident in closed:
                last = incident.last_row + one.tracker.merge_gap + 1 - first
                ended.append((int(places[min(max(last, 0), len(places) - 1)]), one, incident))
            for incident in (*closed, *filter(None, [one.tracker.open])):
                if incident.id not in one.numbers:
                    begun.append((int(places[incident.first_row - first]), one, incident.id))
        for _, one, number in sorted(begun, key=lambda entry: entry[0]):
            self.count += 1
            one.numbers[number] = self.count
        for one, _ in parts:
            self.remember_open(one)
        return [one.name_incident(incident, forget=True) for _, one, incident in sorted(ended, key=lambda entry: entry[0])]

    def remember_open(self, one: Series) -> None:
        """Note which incident of a series goes on."""
        if one.tracker.open:
            self._open[one.name] = one.name_incident(one.tracker.open)
        else:
            self._open.pop(one.name, None)

    def finish(self, series: Iterable[Series]) -> list[Incident]:
        """The stream is over; returns the incidents that were still open."""
        closed = self.open
        for one in series:
            one.tracker.finish()
        self._open.clear()
        return closed
