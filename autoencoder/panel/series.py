"""Series: the detector and the incident tracker of one series, which rows of a chunk are its own, and the incidents of all series."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

import numpy as np

from autoencoder.core.errors import ModelFileError
from autoencoder.core.pieces import Get, Put, put_together, take_apart
from autoencoder.core.state import MAX_STATE_BYTES, Reader, State, from_files, to_files
from autoencoder.core.types import Array, Detections, Integers
from autoencoder.detector import Detector, Time
from autoencoder.panel.start import ModelStart
from autoencoder.reports.incidents import Incident
from autoencoder.reports.tracker import IncidentTracker
from autoencoder.sources.chunk import Chunk

Rows = Integers | slice

ALL = slice(None)


@dataclass(slots=True)
class Series:
    """One series of a source."""

    name: str | None  # None where the source has no series column
    detector: Detector
    tracker: IncidentTracker
    gaps: Callable[[Detector], tuple[int, ...]]  # arguments of ``IncidentTracker.set_gaps`` for a detector that is trained
    start: ModelStart | None = None  # how it begins; None where it uses no saved model
    model_files: Mapping[str, bytes] = field(default_factory=dict)  # of the network of that model, which may be its own
    left_out: str = ""  # why it is not scored; empty where it is
    # of each incident that goes on: the tracker's, which counts alone -> the run's
    numbers: dict[int, int] = field(default_factory=dict)
    arrived: float = field(default_factory=monotonic)  # when its newest row came
    # of the newest rows, those after which a model judges that has learnt a change
    adopted: list[int] = field(default_factory=list)

    def begin(self, time: Time, values: Array) -> Callable[[], Detections]:
        """Begin with its next points, see ``Detector.begin``; TrainingError or ConfigError where its training part cannot be learnt."""
        self.arrived = monotonic()
        was_trained, known = self.detector.current.trained, len(self.detector.adaptations)
        finish = self.detector.begin(time, values)
        self.adopted = [event.row for event in self.detector.adaptations[known:] if event.adopts_change]
        if self.detector.current.trained and not was_trained:
            self.tracker.set_gaps(*self.gaps(self.detector))
        return finish

    def known(self, incident: Incident, number: int) -> Incident:
        """An incident of its tracker as the run knows it, by that number."""
        return replace(self.detector.current.described(incident), id=number, series=self.name)

    def state(self) -> State:
        """State of the detector and of the tracker."""
        training = self.detector.current.training_points
        start: State = {"start": self.start.state()} if self.start else {}
        numbers = np.array([*self.numbers.items()], np.int64).reshape(-1, 2)
        return {
            "detector": self.detector.state(),
            "tracker": self.tracker.state(),
            "numbers": numbers,
            "training_points": training,
            **start,
        }

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave, with the files of the network that the run trained; ModelFileError where it is damaged."""
        saved = Reader(state, "the run")
        self.detector.load(saved.state("detector"), self.model_files if self.start else files)
        self.detector.current.training_points = saved.integer("training_points", 0)
        self.tracker.load(saved.state("tracker"))
        self.numbers = dict(saved.integers("numbers", (None, 2), 1).tolist())
        if any(each.id not in self.numbers for each in self.tracker.ongoing):
            raise saved.fault("numbers", "are not those of the open incidents")
        if self.detector.current.trained:  # rules may be others than before
            _, _, *least = self.gaps(self.detector)
            self.tracker.min_length = least[0] if least else 1
        if self.start and saved.has("start"):
            self.start.load(saved.state("start"))


Part = tuple[Series, Rows]  # a series, and its rows in a chunk


def by_series(chunk: Chunk, names: Sequence[str]) -> Iterator[tuple[str | None, Rows]]:
    """The name of each series that has rows in a chunk, with these rows, ascending; without series, None and all rows."""
    if chunk.series is None:
        yield None, ALL
        return
    order = np.argsort(chunk.series, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(chunk.series[order])) + 1):
        if len(rows):
            yield names[int(chunk.series[rows[0]])], rows


def joined(found: Sequence[Detections], parts: Sequence[Part]) -> Detections:
    """Detections of the parts of a chunk, at least one -> those of its rows, in their order."""
    if len(parts) == 1:
        return found[0]
    return Detections.concatenate(found).where(np.argsort(np.concatenate([rows for _, rows in parts])))


def places_of(rows: Rows, count: int) -> Sequence[int] | Integers:
    """The places of rows in a chunk of ``count``."""
    return range(count) if isinstance(rows, slice) else rows


def states_of(series: Iterable[Series], put: Put | None = None) -> State:
    """The states of series, taken apart; ``put`` takes the pieces, which otherwise are among what is returned."""
    pieces: dict[str, bytes] = {}
    about, parts = [], []
    for one in series:
        about.append((one.name, one.left_out))
        parts.append(take_apart(one.state(), put or (lambda digest, content: pieces.setdefault(digest, content()))))
    sizes = np.array([len(part) for part in parts], np.int64)
    state: State = {"series": json.dumps(about), "parts": np.frombuffer(b"".join(parts), np.uint8), "sizes": sizes}
    return state if put else {**state, "pieces": from_files(pieces)}


def each_state(saved: Reader, get: Get | None = None) -> Iterator[tuple[str, str, State]]:
    """Name, reason why it is left out, and state of each series of which ``states_of`` was saved; ``get`` gives the pieces."""
    try:
        about = [(name, left_out) for name, left_out in json.loads(saved.text("series"))]
    except (ValueError, TypeError, RecursionError):
        about = [(None, None)]
    if not all(isinstance(part, str) for one in about for part in one):
        raise ModelFileError("the checkpoint is damaged (the names of the series); run anew without --resume")
    sizes, parts = saved.integers("sizes", (len(about),), 0, MAX_STATE_BYTES), saved.content("parts")
    get = get or to_files(saved.state("pieces")).__getitem__
    for (name, left_out), size, end in zip(about, sizes.tolist(), sizes.cumsum().tolist(), strict=True):
        yield name, left_out, put_together(parts[end - size : end], get, f"series {name!r:.60} of the checkpoint")


class PanelIncidents:
    """The incidents of all series, numbered in the order of the rows with which they began."""

    def __init__(self) -> None:
        self.count = 0  # so far
        self._open: dict[str | None, list[Incident]] = {}

    @property
    def open(self) -> list[Incident]:
        """The incidents that go on, in the order in which they began."""
        return sorted((each for some in self._open.values() for each in some), key=lambda incident: incident.id)

    def process(self, detections: Sequence[Detections], parts: Sequence[Part]) -> list[Incident]:
        """The incidents that ended, in the order of the rows with which they did, from the detections of each part."""
        begun: list[tuple[int, Series, int]] = []  # the row with which a new incident began, and its number in its series
        ended: list[tuple[int, Series, Incident]] = []  # the row after which an incident is over
        for own, (one, rows) in zip(detections, parts, strict=True):
            first, places = one.tracker.row, places_of(rows, len(own))
            closed = one.tracker.process(own, one.adopted)
            for incident, row in zip(closed, one.tracker.over, strict=True):
                ended.append((int(places[min(max(row - first, 0), len(places) - 1)]), one, incident))
            for incident in (*closed, *one.tracker.ongoing):
                if incident.id not in one.numbers:
                    begun.append((int(places[incident.first_row - first]), one, incident.id))
        for _, one, number in sorted(begun, key=lambda entry: entry[0]):
            self.count += 1
            one.numbers[number] = self.count
        for one, _ in parts:
            self.remember_open(one)
        ended.sort(key=lambda entry: entry[0])
        return [one.known(incident, one.numbers.pop(incident.id)) for _, one, incident in ended]

    def remember_open(self, one: Series) -> None:
        """Note which incidents of a series go on."""
        if ongoing := one.tracker.ongoing:
            self._open[one.name] = [one.known(each, one.numbers[each.id]) for each in ongoing]
        else:
            self._open.pop(one.name, None)

    def pass_time(self, series: Iterable[Series]) -> bool:
        """No point comes; returns whether that has begun or changed an incident of one of the series."""
        now, changed = monotonic(), False
        for one in series:
            if one.left_out or not one.tracker.pass_time(now - one.arrived):
                continue
            for incident in one.tracker.ongoing:
                if incident.id not in one.numbers:
                    self.count += 1
                    one.numbers[incident.id] = self.count
            self.remember_open(one)
            changed = True
        return changed

    def finish(self, reason: str) -> list[Incident]:
        """The stream is over, for that reason; returns the incidents that were still open."""
        closed = [replace(incident, close_reason=reason) for incident in self.open]
        self._open.clear()
        return closed
