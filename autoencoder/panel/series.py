"""Series: the detector and the incident tracker of one series, and which rows of a chunk are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State
from autoencoder.core.types import Detections
from autoencoder.detector import Detector, Time
from autoencoder.reports.incidents import Incident, IncidentTracker
from autoencoder.scorers.base import Array
from autoencoder.sources.chunk import Chunk

Rows = npt.NDArray[np.int64] | slice

ALL = slice(None)


@dataclass(slots=True)
class Series:
    """One series.

    Attributes:
        name: of the series; None where the source has no series column.
        detector: scores it.
        tracker: joins its anomalies into incidents.
        merge_gap: points without an anomaly inside one incident, for a detector that is trained.
        left_out: why it is not scored; empty where it is.
        numbers: the run's number of each incident that goes on, by the tracker's, which counts from 1 in every series.
    """

    name: str | None
    detector: Detector
    tracker: IncidentTracker
    merge_gap: Callable[[Detector], int]
    left_out: str = ""
    numbers: dict[int, int] = field(default_factory=dict)

    def process(self, time: Time, values: Array) -> Detections:
        """Detections of its next points.

        Raises:
            TrainingError, ConfigError: its training part is complete and cannot be learnt.
        """
        was_trained = self.detector.current.trained
        detections = self.detector.process(time, values)
        if self.detector.current.trained and not was_trained:
            self.tracker.merge_gap = self.merge_gap(self.detector)
        return detections

    def name_incident(self, incident: Incident, *, forget: bool = False) -> Incident:
        """An incident as the run knows it; ``forget`` its number, where it is over."""
        number = self.numbers.pop(incident.id) if forget else self.numbers[incident.id]
        return replace(incident, id=number, series=self.name)

    def state(self) -> State:
        """State of the detector and of the tracker."""
        training = self.detector.current.training_points
        return {"detector": self.detector.state(), "tracker": self.tracker.state(), "training_points": training}

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave, with the network's files.

        Raises:
            ModelFileError: damaged.
        """
        saved = Reader(state, "the run")
        self.detector.load(saved.state("detector"), files)
        self.detector.current.training_points = saved.integer("training_points", 0)
        self.tracker.load(saved.state("tracker"))


def by_series(chunk: Chunk, names: Sequence[str]) -> Iterator[tuple[str | None, Rows]]:
    """The name of each series that has rows in a chunk, with these rows, ascending; without series, None and all rows."""
    if chunk.series is None:
        yield None, ALL
        return
    order = np.argsort(chunk.series, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(chunk.series[order])) + 1):
        if len(rows):
            yield names[int(chunk.series[rows[0]])], rows


def places_of(rows: Rows, count: int) -> Sequence[int] | npt.NDArray[np.int64]:
    """The places of rows in a chunk of ``count``."""
    return range(count) if isinstance(rows, slice) else rows
