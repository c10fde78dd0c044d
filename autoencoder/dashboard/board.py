"""Board: what a run tells, in its own thread or process, and a page reads, both at any time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import Detections
from autoencoder.reports.incidents import Incident
from autoencoder.reports.live_plot import RingBuffer

MOST_POINTS = 200_000  # newest points that are kept for the chart; scores.csv has them all
MOST_NOTES = 50
RATE_SECONDS = 2.0  # over which points a second are counted

Labels = npt.NDArray[np.bool_] | None
Counts = Mapping[str, Any]


class Phase(Enum):
    """Where a run stands; the value is what a page calls it."""

    STARTING = "Starting"
    TRAINING = "Training"
    RUNNING = "Running"
    ENDED = "Done"
    STOPPED = "Stopped"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a run before its first point.

    Attributes:
        name: of the series.
        columns: names of its F columns.
        timezone: of its times; None where they carry none.
        points: how many will come; None where nobody knows.
        training_points: how many of them train.
        detector: what judges.
        threshold: kind of threshold.
        budget: share or rate of false alarms that was asked for, as it was written.
        folder: the run folder.
    """

    name: str
    columns: tuple[str, ...] = ("value",)
    timezone: str | None = None
    points: int | None = None
    training_points: int = 0
    detector: str = ""
    threshold: str = ""
    budget: str = ""
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the training is: ``done`` of ``total`` steps, and a note."""

    done: int
    total: int
    note: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment.

    Attributes:
        phase: where it stands.
        about: what is known of it; None until its source is open.
        detections: the newest N points; None before the first one.
        labels: (N,) True inside a known anomaly; None where nothing is known.
        points: points so far; more than N where the oldest are not kept.
        incidents: all of them, in order; the last one may still be open.
        is_open: whether it is.
        counts: as in metrics.json.
        quality: as in metrics.json, where anomalies are known.
        progress: of the training.
        rate: points a second just now.
        since: when the model in use was made.
        fault: why the run failed, as a sentence.
        notes: what the run said.
    """

    phase: Phase = Phase.STARTING
    about: About | None = None
    detections: Detections | None = None
    labels: Labels = None
    points: int = 0
    incidents: tuple[Incident, ...] = ()
    is_open: bool = False
    counts: Counts = field(default_factory=dict)
    quality: Counts | None = None
    progress: Progress | None = None
    rate: float = 0.0
    since: datetime | None = None
    fault: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_live(self) -> bool:
        """More may come."""
        return self.phase in (Phase.STARTING, Phase.TRAINING, Phase.RUNNING)

    @property
    def first_row(self) -> int:
        """Row in the stream of the first of ``detections``."""
        return self.points - (0 if self.detections is None else len(self.detections))


class Board:
    """Takes in what a run tells; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Snapshot()
        self._tail = RingBuffer(MOST_POINTS)
        self._is_labelled = False
        self._is_joined = True  # the snapshot holds all that was taken
        self._arrivals: deque[tuple[float, int]] = deque()  # seconds, points so far
        self._ended: list[Incident] = []
        self._unfinished: Incident | None = None

    def snapshot(self) -> Snapshot:
        """The run as it is now."""
        with self._lock:
            if not self._is_joined:
                incidents = (*self._ended, self._unfinished) if self._unfinished else tuple(self._ended)
                self._now = replace(self._now, incidents=incidents)
                if self._tail.newest:
                    detections, labels = self._tail.newest
                    self._now = replace(self._now, detections=detections, labels=labels if self._is_labelled else None)
                self._is_joined = True
            return replace(self._now, rate=self._rate(time.monotonic()))

    def tell(self, **changes: Any) -> None:
        """Change fields of the snapshot."""
        with self._lock:
            self._now = replace(self._now, **changes)

    def say(self, sentence: str) -> None:
        """Keep a line that the run said."""
        with self._lock:
            self._now = replace(self._now, notes=(*self._now.notes, sentence)[-MOST_NOTES:])

    def take(
        self,
        detections: Detections | None,
        labels: Labels,
        ended: Sequence[Incident],
        unfinished: Incident | None,
        counts: Counts,
    ) -> None:
        """The next N points, if there are any; incidents that ended in them, the one that is open; the counts so far."""
        with self._lock:
            if detections is not None and len(detections):
                self._is_labelled = labels is not None
                self._tail.add(detections, np.zeros(len(detections), dtype=bool) if labels is None else labels)
            self._is_joined = False
            points = self._now.points + (0 if detections is None else len(detections))
            self._arrivals.append((time.monotonic(), points))
            self._ended += ended
            self._unfinished = unfinished
            self._now = replace(self._now, points=points, is_open=unfinished is not None, counts=counts)

    def reset(self) -> None:
        """Forget the points: the stream begins anew."""
        with self._lock:
            self._tail, self._ended, self._unfinished, self._is_joined = RingBuffer(MOST_POINTS), [], None, True
            self._now = replace(self._now, detections=None, labels=None, points=0, incidents=(), is_open=False)

    def _rate(self, now: float) -> float:
        """Points a second of late; 0 where nothing came."""
        while self._arrivals and self._arrivals[0][0] < now - RATE_SECONDS:
            self._arrivals.popleft()
        if len(self._arrivals) < 2:
            return 0.0
        (began, first), (_, last) = self._arrivals[0], self._arrivals[-1]
        return (last - first) / max(now - began, 0.1)
