"""Many series in one stream of rows: each has a detector state of its own; where they train together they share one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ConfigError, TrainingError
from autoencoder.core.types import Detections, unknown
from autoencoder.detector import StreamDetector
from autoencoder.reports.incidents import Incident, IncidentTracker
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.scorers.panel import fit_panel
from data.series import Chunk

Rows = npt.NDArray[np.int64]


@dataclass(slots=True)
class Series:
    """One of many series.

    Attributes:
        name: of the series.
        tracker: joins its flags into incidents.
        detector: judges it; None once it is left out.
        training_points: rows of its training part; 0 with a saved model.
        left_out: why it is not judged; empty where it is.
        points: rows so far.
        judged: of them, those with a detection.
        flagged: of those, the anomalous ones.
        spans: first and last row, in the series, of each of its incidents.
        severity: of its worst incident; -1 where it has none.
    """

    name: str
    tracker: IncidentTracker
    detector: StreamDetector | None
    training_points: int = 0
    left_out: str = ""
    points: int = 0
    judged: int = 0
    flagged: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)
    severity: float = -1.0

    def judge(self, time: npt.NDArray[np.datetime64] | Rows, values: Array) -> Detections | None:
        """The detections of its next rows (N,), (N, F); None where there are none.

        Raises:
            TrainingError, ConfigError: its training part is complete and cannot be learnt.
        """
        return self.detector.process(time, values) if self.detector else None

    def track(self, detections: Detections) -> list[Incident]:
        """Count detections; returns the incidents that ended with them."""
        self.points += len(detections)
        self.judged += int(np.count_nonzero(~np.isnan(detections.thresholds)))
        self.flagged += int(np.count_nonzero(detections.anomalies))
        return self._named(self.tracker.process(detections))

    def finish(self) -> list[Incident]:
        """The stream is over; returns the incident that was still open."""
        return self._named(self.tracker.finish())

    def _named(self, ended: list[Incident]) -> list[Incident]:
        for incident in ended:
            self.spans.append((incident.first_row, incident.last_row))
            self.severity = max(self.severity, incident.severity)
        return [replace(incident, series=self.name) for incident in ended]

    def closing_row(self, incident: Incident) -> int:
        """The row, in the series, with which an incident was over."""
        return incident.last_row + self.tracker.merge_gap + 1


class ManySeries:
    """The series of one stream of rows.

    Args:
        series: all of them; a chunk names each by its place here.
        merge_gap: points without a flag inside one incident, for a trained detector.
        leave_out: told of a series that cannot be judged.
    """

    def __init__(
        self, series: Sequence[Series], merge_gap: Callable[[StreamDetector], int], leave_out: Callable[[Series], None]
    ) -> None:
        self.series = tuple(series)
        self._merge_gap = merge_gap
        self._leave_out = leave_out
        self._incidents = 0
        for one in self.series:
            if one.left_out:
                leave_out(one)

    def leave_out(self, one: Series, fault: Exception) -> None:
        """Score a series no more."""
        one.detector, one.left_out = None, str(fault)
        self._leave_out(one)

    @property
    def judged(self) -> list[Series]:
        """The series that are not left out."""
        return [one for one in self.series if one.detector]

    def share_network(self, parts: Sequence[Array], progress: Progress | None = None) -> dict[str, object]:
        """Train one network for all series whose detector is an LSTM autoencoder, from their training parts (N, F), one a series.

        A single series is left to train when its training part is complete, as it would alone.

        Returns:
            What a reader wants to know of the network; empty where none was trained.
        """
        together = [
            (one, one.detector.scorer, part)
            for one, part in zip(self.series, parts, strict=True)
            if one.detector and isinstance(one.detector.scorer, LstmAutoencoderScorer)
        ]
        if len(together) < 2:
            return {}
        together.sort(key=lambda entry: entry[0].name)  # so that the order of a file's rows does not matter
        scorers = [scorer for _, scorer, _ in together]
        faults = fit_panel(scorers, [part for _, _, part in together], progress)
        for position, fault in faults.items():
            self.leave_out(together[position][0], fault)
        report = next((scorer.info() for place, scorer in enumerate(scorers) if place not in faults), {})
        return {key: report[key] for key in ("steps", "validation_loss") if key in report}

    def judge(self, chunk: Chunk) -> Detections:
        """Rows (N,) of any of the series -> their detections, in the order of the rows; only the detectors move on."""
        detections = nothing_known(chunk)
        for place, rows in by_series(chunk):
            one = self.series[place]
            try:
                own = one.judge(chunk.time[rows], chunk.values[rows])
            except (TrainingError, ConfigError) as fault:
                self.leave_out(one, fault)
                continue
            for name in (column.name for column in fields(Detections) if own):
                getattr(detections, name)[rows] = getattr(own, name)
        return detections

    def track(self, chunk: Chunk, detections: Detections) -> list[Incident]:
        """Count the detections of a chunk; returns the incidents that ended, in the order of the rows with which they did."""
        ended: list[tuple[int, Incident]] = []
        for place, rows in by_series(chunk):
            one = self.series[place]
            if one.detector and one.detector.trained:
                one.tracker.merge_gap = self._merge_gap(one.detector)
            before = one.points
            for incident in one.track(_at(detections, rows)):
                row = min(max(one.closing_row(incident) - before, 0), len(rows) - 1)
                ended.append((int(rows[row]), incident))
        return self._numbered([incident for _, incident in sorted(ended, key=lambda entry: entry[0])])

    def finish(self) -> list[Incident]:
        """The stream is over; returns the incidents that were still open, series by series."""
        return self._numbered([incident for one in self.series for incident in one.finish()])

    def _numbered(self, incidents: list[Incident]) -> list[Incident]:
        first = self._incidents + 1
        self._incidents += len(incidents)
        return [replace(incident, id=number) for number, incident in enumerate(incidents, first)]


def by_series(chunk: Chunk) -> Iterator[tuple[int, Rows]]:
    """The place of each series that has rows in a chunk, with these rows, ascending."""
    owners = owners_of(chunk)
    order = np.argsort(owners, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
        yield int(owners[rows[0]]), rows


def owners_of(chunk: Chunk) -> Rows:
    """The places (N,) of the series that the rows of a chunk belong to."""
    assert chunk.series is not None, "the source was asked for its series"
    return chunk.series


def nothing_known(chunk: Chunk) -> Detections:
    """Detections of rows of which nothing is known."""
    count = len(chunk)
    errors, limits, scores = unknown(count), unknown(count), unknown(count)
    return Detections(chunk.time, chunk.values, unknown(*chunk.values.shape), errors, limits, scores, np.zeros(count, dtype=bool))


def _at(detections: Detections, rows: Rows) -> Detections:
    return Detections(*(getattr(detections, column.name)[rows] for column in fields(Detections)))
