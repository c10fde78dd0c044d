"""Pipeline: source -> detector -> readers, the run loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from autoencoder.config import difference
from autoencoder.core.errors import ModelError, RunError
from autoencoder.core.state import Reader, State, pack
from autoencoder.core.types import Detections
from autoencoder.detector import Detector
from autoencoder.fingerprint import Fingerprint
from autoencoder.reports.incidents import Incident, IncidentTracker
from autoencoder.reports.runs import CHECKPOINT, RunFolder
from autoencoder.reports.tally import Tally
from data.series import Chunk, Source
from data.text.rows import ignore

VERSION = 4  # of the checkpoint; raised when its meaning changes


class Watcher(Protocol):
    """Somebody who looks on: a live window, a progress bar, a page."""

    def see(self, detections: Detections, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        """One chunk has been judged and written."""
        ...


class Teller(Protocol):
    """Somebody who passes incidents on and loses none: anomalies.log, a webhook."""

    def take(self, ended: Sequence[Incident], is_open: Incident | None) -> None:
        """Incidents that ended in a chunk, and the one that is open after it; they are on record when this returns."""
        ...

    def settle(self) -> None:
        """A checkpoint follows, behind which nothing is told again: what was taken outlives a power cut when this returns."""
        ...

    def finish(self, ended: Sequence[Incident], *, cut_off: bool) -> None:
        """The stream is over; ``cut_off``: the incident that ended with it goes on if the run is resumed."""
        ...


@dataclass(slots=True)
class Stream:
    """A run under way: everything that has a memory, and the loop that feeds it.

    Attributes:
        source: gives the points.
        detector: judges them.
        tracker: joins flags into incidents.
        tally: counts.
        folder: takes rows and incidents.
        settings: the resolved configuration as text; a checkpoint serves no other.
        checkpoint_every: points between two checkpoints.
        training_points: points of the training part; 0 with a saved model.
        watchers: who looks on.
        tellers: who passes incidents on.
        rows: points done.
        replays: the source gives its points from the first one again after a restart; where it does not (stdin), the producer skips.
        reads_ahead: the source has its points at hand, so that the next ones can be asked for before these are written.
        revises: the source may give other values than before for rows that are done (prices, adjusted later): told, but no error.
        unbroken: what runs inside is not torn apart by an interrupt.
        warn: told, in a sentence, of what is wrong and does not stop the run.
        feed: what the source's chunks pass through on their way: a pace, a pause; it may cut them, and changes nothing else.
    """

    source: Source
    detector: Detector
    tracker: IncidentTracker
    tally: Tally
    folder: RunFolder
    settings: str
    checkpoint_every: int
    training_points: int = 0
    watchers: tuple[Watcher, ...] = ()
    tellers: tuple[Teller, ...] = ()
    rows: int = 0
    replays: bool = True
    reads_ahead: bool = False
    revises: bool = False
    unbroken: Callable[[], AbstractContextManager[None]] = nullcontext
    warn: Callable[[str], None] = ignore
    feed: Callable[[Iterator[Chunk]], Iterator[Chunk]] = iter
    _last_time: int = 0  # of the last row done
    _seen: Fingerprint = field(default_factory=Fingerprint)  # of the rows done
    _has_ended: bool = False  # the source has no more points
    _is_settled: bool = True  # all that has a memory stands at ``rows``
    _has_checkpoint: bool = True  # the newest one that was due could be written

    def run(self, on_trained: Callable[[], None] | None = None) -> None:
        """Feed the whole stream; returns when it ends. Rows of a chunk are in the files before its watchers see it.

        Args:
            on_trained: called once, after the chunk that completed the training part.

        Raises:
            DataError, AutoencoderError: see the parts; what was written until then stays and is whole.
        """
        chunks = _Ahead(self._cut_after_training(self._chunks()))
        for chunk in chunks:
            untrained = not self.detector.trained
            with nullcontext() if untrained else self.unbroken():  # training may take minutes: it can be interrupted
                self._is_settled = False
                detections = self.detector.process(chunk.time, chunk.values)
                with self.unbroken():
                    just_trained = untrained and self.detector.trained
                    if just_trained and on_trained:
                        on_trained()
                    before = self.rows
                    self._publish(detections, self.tracker.process(detections), chunk.labels)
                    if just_trained or self.rows // self.checkpoint_every > before // self.checkpoint_every:
                        self.checkpoint()  # also after training: nothing costs as much time to repeat
        self._has_ended = True

    def finish(self, *, cut_off: bool = False) -> None:
        """The stream is over, or was cut off: the open incident ends here and the files are closed; a second call does nothing.

        Args:
            cut_off: the run may be resumed, so it is first written down where it stands, if all of it stands at one row.
        """
        if not self.folder.is_open:  # an interrupt that was held back came at the very end
            return
        with self.unbroken():
            try:
                if cut_off and self.rows and self._is_settled:
                    self.checkpoint()
                ended = self.tracker.finish()
                self.tally.take(_NOTHING, ended, None)
                self.folder.append(_NOTHING, ended)
                for teller in self.tellers:
                    teller.finish(ended, cut_off=cut_off or not self._has_ended)
            finally:
                self.folder.close()

    def _publish(self, detections: Detections, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        self.folder.append(detections, ended, self.tracker.open)
        for teller in self.tellers:
            teller.take(ended, self.tracker.open)
        self.tally.take(detections, ended, labels)
        self.rows += len(detections)
        self._seen.take(detections.time, detections.values)
        self._last_time = int(detections.time.view(np.int64)[-1]) if len(detections) else self._last_time
        self._is_settled = True
        for watcher in self.watchers:
            watcher.see(detections, ended, labels)

    def _cut_after_training(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The same chunks, but one ends with the training part: what is saved then has seen nothing else, however the points came."""
        for chunk in chunks:
            rest = 0 if self.detector.trained else self.detector.training_points - self.detector.waiting
            if 0 < rest < len(chunk):
                yield _rows_between(chunk, 0, rest)
                yield _rows_between(chunk, rest, len(chunk))
            else:
                yield chunk

    def _chunks(self) -> Iterator[Chunk]:
        """The source's chunks after the rows that are done.

        Raises:
            ModelError: those rows are not what they were.
        """
        if not self.replays:
            yield from self._continued()
            return
        before, again = copy(self._seen), Fingerprint()
        for chunk in self.feed(self.source.chunks()):
            done = min(before.rows - again.rows, len(chunk))
            if done:
                again.take(chunk.time[:done], chunk.values[:done])
                self._require_same(again, before)
            if done < len(chunk):
                yield _rows_between(chunk, done, len(chunk)) if done else chunk
        if again.rows < before.rows:
            raise self._changed(before, "are not all there any more")

    def _continued(self) -> Iterator[Chunk]:
        """The chunks of a source that goes on where it was cut off; rows that it counts from 0 again are counted on."""
        done, was_counted = self.rows, self._last_time == self.rows - 1
        counts_on: bool | None = None
        for chunk in self.feed(self.source.chunks()):
            if counts_on is None:
                counts_on = done > 0 and was_counted and chunk.time.dtype.kind == "i" and chunk.time[0] == 0
            yield Chunk(chunk.time + done, chunk.values, chunk.labels) if counts_on else chunk

    def _require_same(self, again: Fingerprint, before: Fingerprint) -> None:
        """Refuse to go on where the rows that are done come again as others, as far as can be told yet."""
        changed = again.difference(before)
        if changed and self.revises and again.times == before.times:
            self.warn(f"{self.source.name}: rows that are done have other values now; their detections stay as they are")
        elif changed and (not self.revises or again.rows == before.rows):
            raise self._changed(before, f"have another {changed} than they had")

    def _changed(self, before: Fingerprint, what: str) -> ModelError:
        keep = f", with --model {self.folder.path} to keep what was learnt" if self.detector.trained else ""
        done = f"{self.source.name}: the {before.rows:,} rows that are done"
        return ModelError(f"{done} {what}; put them back, or run anew without --resume{keep}")

    # --- checkpoints ---

    def checkpoint(self) -> None:
        """Write down where the run stands; where that cannot be done the one before stays, and the run goes on.

        Raises:
            RunError: the rows cannot be saved either.
        """
        for teller in self.tellers:
            teller.settle()
        scores, incidents = self.folder.sizes()
        state: State = {
            "version": VERSION,
            "settings": self.settings,
            "rows": self.rows,
            "last_time": self._last_time,
            "training_points": self.training_points,
            "scores_bytes": scores,
            "incidents_bytes": incidents,
            "detector": self.detector.state(),
            "tracker": self.tracker.state(),
            "tally": self.tally.state(),
            "seen": self._seen.state(),
        }
        try:
            self.folder.write(CHECKPOINT, pack(state))
            self._has_checkpoint = True
        except RunError as error:
            if self._has_checkpoint:
                self.warn(f"{error}; the run goes on without")
            self._has_checkpoint = False

    def resume(self, state: State, files: dict[str, bytes]) -> tuple[int, int]:
        """Go on where a checkpoint stood; returns the sizes that scores.csv and incidents.jsonl had.

        Raises:
            ModelError: of another version or configuration, or damaged.
        """
        saved, self.rows = Reader(state, "the run"), rows_done(state, self.settings)
        self.detector.load(saved.state("detector"), files)
        self.tracker.load(saved.state("tracker"))
        self.tally.load(saved.state("tally"))
        self._last_time = saved.integer("last_time", -(1 << 63), 1 << 63)
        self._seen.load(saved.state("seen"), self.rows)
        self.training_points = self.detector.training_points = saved.integer("training_points", 0)
        return saved.integer("scores_bytes", 0), saved.integer("incidents_bytes", 0)


class _Ahead(Iterator[Chunk]):
    """Chunks of which the next one can be looked at before its turn; what fails on the way to it is raised when its turn comes."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._next: Chunk | None = None
        self._fault: BaseException | None = None

    def peek(self) -> Chunk | None:
        """The next chunk, None where there is none."""
        if self._next is None and self._fault is None:
            try:
                self._next = next(self._chunks)
            except BaseException as fault:  # the end and an interrupt among them
                self._fault = fault
        return self._next

    def __next__(self) -> Chunk:
        chunk, self._next = self.peek(), None
        if chunk is None:
            assert self._fault
            raise self._fault
        return chunk


def rows_done(state: State, settings: str) -> int:
    """Rows that were done when a checkpoint was written.

    Raises:
        ModelError: it is of another version or configuration, or damaged.
    """
    saved = Reader(state, "the run")
    if saved.integer("version", 0) != VERSION:
        raise ModelError(
            f"the checkpoint has version {state['version']}, this program writes {VERSION}; run anew without --resume"
        )
    if changed := difference(saved.text("settings"), settings):
        raise ModelError(f"--resume: {changed}; set it back, or run anew without --resume")
    return saved.integer("rows", 0)


def _rows_between(chunk: Chunk, start: int, end: int) -> Chunk:
    labels = None if chunk.labels is None else chunk.labels[start:end]
    return Chunk(chunk.time[start:end], chunk.values[start:end], labels)


_NONE = np.empty(0)
_NOTHING = Detections(np.empty(0, np.int64), np.empty((0, 1)), np.empty((0, 1)), _NONE, _NONE, _NONE, np.empty(0, bool))
