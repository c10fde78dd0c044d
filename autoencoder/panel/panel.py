"""Panel: a detector and an incident tracker for each series of a source; a source without series is a panel of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from autoencoder.core.errors import ConfigError, TrainingError
from autoencoder.core.events import AdaptationEvent
from autoencoder.core.pieces import Get, Put
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Detections, Progress, Time
from autoencoder.panel.series import PanelIncidents, Part, Rows, Series, by_series, each_state, joined, places_of, states_of
from autoencoder.panel.shared_network import SharedNetwork
from autoencoder.reports.incidents import STREAM_ENDED, Incident
from autoencoder.reports.sinks import Batch
from autoencoder.sources.chunk import Chunk

MAX_WARNINGS = 10  # that are said one by one


@dataclass(eq=False)
class Panel:
    """All series of a source, each with a detector of its own; LSTM autoencoders share one network.

    Cutting the stream into other chunks changes nothing. A series that cannot be learnt is left out, and the others go on; a source without
    series ends with the error. Incidents are numbered over all series in the order of the rows with which they began.
    """

    make: Callable[[str | None, int | None], Series]  # builds the series of that name with so many points, None: not known
    warn: Callable[[str], None]  # told in a sentence of each series that is left out
    progress: Progress | None = None  # told how the training of the shared network goes
    columns: tuple[str, ...] = ()  # names of those that are judged, for the model that is saved
    remake: Callable[[str | None], Series] | None = None  # builds the series of that name, whose state is at hand
    max_warnings: int = MAX_WARNINGS

    def __post_init__(self) -> None:
        self._series: dict[str | None, Series] = {}
        self._untrained: set[str | None] = set()
        self._network = SharedNetwork(self.progress)
        self._incidents = PanelIncidents()
        self._warnings = 0

    # --- the series ---

    def __len__(self) -> int:
        return len(self._series)

    def __getitem__(self, name: str | None) -> Series:
        return self._series[name]

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    @property
    def scored(self) -> list[Series]:
        """The series that are not left out."""
        return [one for one in self if not one.left_out]

    @property
    def is_fitted(self) -> bool:
        """Whether every series that is known is trained."""
        return bool(self._series) and not self._untrained

    @property
    def has_model(self) -> bool:
        """Whether a series is trained."""
        return any(one.detector.current.trained for one in self)

    def add(self, name: str | None, points: int | None = None, *, is_restored: bool = False) -> Series:
        """The series of that name, new where there is none yet; ``points`` it will have, None where that is not known."""
        if name not in self._series:
            one = self._series[name] = self.remake(name) if is_restored and self.remake else self.make(name, points)
            self._untrained.add(name)
            self._update(one)
            if one.left_out:
                self._leave_out(one, one.left_out)
            elif name is not None:
                self._network.give_to(one.detector)
        return self._series[name]

    def require_scored(self) -> None:
        """Raise TrainingError where no series is left to score."""
        if self._series and not self.scored:
            one, count = next(iter(self)), len(self)
            none = (
                f"series {one.name!r} cannot be judged" if count == 1 else f"none of {count:,} series can be judged; {one.name!r}"
            )
            raise TrainingError(f"{none}: {one.left_out}")

    def _leave_out(self, one: Series, reason: str) -> None:
        one.left_out = reason
        self._untrained.discard(one.name)
        self._tell(f"series {one.name!r} is left out: {reason}")

    def _tell(self, sentence: str) -> None:
        """Warn of what is odd about a series, up to a number of times."""
        self._warnings += 1
        if self._warnings <= self.max_warnings:
            self.warn(sentence)
        elif self._warnings == self.max_warnings + 1:
            self.warn("there is more to say of other series; metrics.json says it all")

    def _tell_of_start(self, one: Series, notes: Iterable[str]) -> None:
        for note in notes:
            self._tell(note if one.name is None else f"series {one.name!r}: {note}")

    def _update(self, one: Series) -> None:
        """Note whether a series is trained by now."""
        if one.name in self._untrained and one.detector.current.trained:
            self._untrained.discard(one.name)
            if one.name is not None:
                self._network.offer(one.detector)

    # --- training ---

    def fit_network(self, chunks: Iterable[Chunk], names: Sequence[str]) -> None:
        """Train the network that the series of a bounded source share, on the training parts in its chunks."""
        parts: dict[str | None, list[Chunk]] = {one.name: [] for one in self.scored}
        missing = {name: self[name].detector.current.training_points for name in parts}
        for chunk in chunks:
            for name, rows in by_series(chunk, names):
                if missing.get(name):
                    parts[name].append(chunk[rows][: missing[name]])
                    missing[name] -= len(parts[name][-1])
        wholes = {name: Chunk.concatenate(pieces) for name, pieces in parts.items() if pieces}
        views = {name: [self[name].detector.current.view(each.time, each.inputs)] for name, each in wholes.items()}
        for name, fault in self._network.fit(self.scored, views).items():
            self._leave_out(self[name], str(fault))

    def _fit_so_far(self, chunk: Chunk, parts: Sequence[Part]) -> None:
        """Train the shared network of an unbounded source with what there is of every series when the first training part is complete."""
        new = dict.fromkeys((one.name for one in self.scored), chunk[:0]) | {one.name: chunk[rows] for one, rows in parts}
        detectors = {one.name: one.detector.current for one in self.scored}
        wholes = {name: each.training.followed_by(new[name].time, new[name].inputs) for name, each in detectors.items()}
        self._network.fit(self.scored, {name: [each.view(*wholes[name])] for name, each in detectors.items()})
        for one in self.scored:
            self._network.give_to(one.detector)

    def rows_to_model(self, chunk: Chunk, names: Sequence[str]) -> int:
        """Rows of a chunk with which the first training part is complete; 0 where none will be, or a series is trained already."""
        if self.has_model:
            return 0
        ends = []
        for name, rows in by_series(chunk, names):
            detector = self.add(name).detector.current
            rest, places = detector.training_points - len(detector.training), places_of(rows, len(chunk))
            if 0 < rest <= len(places):
                ends.append(int(places[rest - 1]) + 1)
        return min(ends, default=0)

    # --- the stream ---

    def process(self, chunk: Chunk, names: Sequence[str] = ()) -> Batch:
        """Points of any of the series -> what became of them; ``chunk.series`` are places in ``names``, the names of the source's series.

        Raises:
            TrainingError, ConfigError: a source without series cannot be learnt.
        """
        parts = [(self.add(name), rows) for name, rows in by_series(chunk, names)]
        series = None if chunk.series is None else [names[place] for place in chunk.series.tolist()]
        if chunk.series is None:
            begun = [self._begin(parts[0][0], chunk.time, chunk.inputs)]
        else:
            if not self._network.is_trained and self.rows_to_model(chunk, names):
                self._fit_so_far(chunk, parts)
            begun = [self._begin_part(one, chunk, rows) for one, rows in parts]
        found = [finish() for finish in begun]
        detections = joined(found, parts) if found else Detections.unknown(chunk.time, chunk.values)
        return Batch(detections, self._incidents.process(found, parts), self.open, chunk.labels, series)

    def _begin(self, one: Series, time: Time, values: Array) -> Callable[[], Detections]:
        """Begin with the next points of a series, see ``Detector.begin``; what is odd about its start is told."""
        if one.start:
            self._tell_of_start(one, one.start.update(one.detector.current, time, values))
        finish = one.begin(time, values)
        self._update(one)
        return finish

    def _begin_part(self, one: Series, chunk: Chunk, rows: Rows) -> Callable[[], Detections]:
        """Begin with the rows of one of several series."""
        time, values = chunk.time[rows], chunk.values[rows]
        if not one.left_out:
            try:
                return self._begin(one, time, values if chunk.aside is None else chunk.inputs[rows])
            except (TrainingError, ConfigError) as fault:
                self._leave_out(one, str(fault))
        return partial(Detections.unknown, time, values)

    def pass_time(self) -> Batch | None:
        """No point comes; what that has begun or changed, None where that is nothing."""
        if not self._incidents.pass_time(self):
            return None
        nothing = Detections.unknown(np.empty(0, "datetime64[ns]"), np.empty((0, len(self.columns))))
        return Batch(nothing, open=self.open, series=None if None in self._series else ())

    @property
    def open(self) -> list[Incident]:
        """The incidents that go on, in the order in which they began."""
        return self._incidents.open

    def finish(self, reason: str = STREAM_ENDED) -> list[Incident]:
        """The stream is over, for that reason; returns the incidents that were still open."""
        for one in self:
            one.tracker.finish()
        return self._incidents.finish(reason)

    def conclude(self) -> None:
        """The whole stream has come: what is odd about a series with few points is told."""
        for one in self.scored:
            if one.start:
                self._tell_of_start(one, one.start.finish())

    def stop(self) -> None:
        """End the trainings that are under way."""
        for one in self:
            one.detector.stop()

    # --- what there is to know ---

    @property
    def training_points(self) -> int:
        """Points of all training parts."""
        return sum(one.detector.current.training_points for one in self.scored)

    @property
    def training_seconds(self) -> float:
        """Seconds that the first trainings took."""
        return self._network.seconds + sum(one.detector.current.training_seconds for one in self)

    def info(self) -> dict[str, object]:
        """What there is to know about training."""
        if None in self._series:
            return self[None].detector.current.info()
        return {"points": self.training_points, **self._network.info}

    def adaptation_report(self) -> dict[str, object]:
        """What there is to know about adaptations, counts added up over the series; nothing where there can be none."""
        reports = [one.detector.adaptation_report() for one in self.scored]
        if None in self._series:
            return reports[0]
        counts = [key for report in reports[:1] for key, value in report.items() if isinstance(value, int)]
        return {key: sum(int(str(report.get(key, 0))) for report in reports) for key in counts}

    @property
    def adaptations(self) -> list[AdaptationEvent]:
        """What was done about the models so far, series by series."""
        return [replace(event, series=one.name) for one in self for event in one.detector.adaptations]

    @property
    def notes(self) -> dict[str | None, list[str]]:
        """What was told of the start of series that use a saved model, by name."""
        return {one.name: one.start.notes for one in self if one.start and one.start.notes}

    # --- memory ---

    def state(self, put: Put | None = None) -> State:
        """All that is remembered, but for the network's files: of a source without series, or taken apart series by series.

        ``put`` takes the pieces; without it they are in the state.
        """
        if None in self._series:
            return self[None].state()
        return {**states_of(self, put), "incidents": self._incidents.count}

    def load(self, state: State, files: Mapping[str, bytes], get: Get | None = None) -> None:
        """Take back what ``state`` gave; ``files`` are those of the network, ``get`` gives the pieces that ``put`` took.

        ModelFileError where it is damaged.
        """
        if "series" not in state:
            self.restore(None, state, files)
            self._incidents.count = self[None].tracker.count
            return
        saved = Reader(state, "the run")
        for name, left_out, own in each_state(saved, get):
            self.restore(name, own, files, left_out)
        self._incidents.count = saved.integer("incidents", 0)

    def restore(self, name: str | None, state: State, files: Mapping[str, bytes], left_out: str = "") -> None:
        """Take back what ``Series.state`` gave of one, and why it is left out."""
        one = self.add(name, is_restored=True)
        one.load(state, files)
        one.left_out = left_out
        self._update(one)
        if left_out:
            self._untrained.discard(name)
        self._incidents.remember_open(one)
