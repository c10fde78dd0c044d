"""Pipeline: source -> detector -> readers, the run loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from autoencoder.config import difference
from autoencoder.detector import Detector
from autoencoder.errors import ModelError
from autoencoder.reports.incidents import Incident, IncidentTracker
from autoencoder.reports.runs import CHECKPOINT, RunFolder
from autoencoder.reports.tally import Tally
from autoencoder.state import Reader, State, pack
from autoencoder.verdicts import Verdicts
from data.series import Chunk, Source

VERSION = 1  # of the checkpoint; raised when its meaning changes


class Watcher(Protocol):
    """Somebody who looks on: a live window, a progress bar, a page."""

    def see(self, verdicts: Verdicts, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        """One chunk has been judged and written."""
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
        rows: points done.
        replays: the source gives its points from the first one again after a restart; where it does not (stdin), the producer skips.
        unbroken: what runs inside is not torn apart by an interrupt.
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
    rows: int = 0
    replays: bool = True
    unbroken: Callable[[], AbstractContextManager[None]] = nullcontext
    _last_time: int = 0  # of the last row done
    _is_settled: bool = True  # all that has a memory stands at ``rows``

    def run(self, on_trained: Callable[[], None] | None = None) -> None:
        """Feed the whole stream; returns when it ends. Rows of a chunk are in the files before its watchers see it.

        Args:
            on_trained: called once, after the chunk that completed the training part.

        Raises:
            DataError, AutoencoderError: see the parts; what was written until then stays and is whole.
        """
        for chunk in self._chunks():
            untrained = not self.detector.trained
            with nullcontext() if untrained else self.unbroken():  # training may take minutes: it can be interrupted
                self._is_settled = False
                verdicts = self.detector.process(chunk.time, chunk.values)
                with self.unbroken():
                    just_trained = untrained and self.detector.trained
                    if just_trained and on_trained:
                        on_trained()
                    before = self.rows
                    self._publish(verdicts, self.tracker.process(verdicts), chunk.labels)
                    if just_trained or self.rows // self.checkpoint_every > before // self.checkpoint_every:
                        self.checkpoint()  # also after training: nothing costs as much time to repeat

    def finish(self, *, cut_off: bool = False) -> None:
        """The stream is over, or was cut off: the open incident ends here and the files are closed; a second call does nothing.

        Args:
            cut_off: the run may be resumed, so it is first written down where it stands, if all of it stands at one row.
        """
        if not self.folder.is_open:  # an interrupt that was held back came at the very end
            return
        with self.unbroken():
            if cut_off and self.rows and self._is_settled:
                self.checkpoint()
            ended = self.tracker.finish()
            self.tally.take(_NOTHING, ended, None)
            self.folder.append(_NOTHING, ended)
            self.folder.close()

    def _publish(self, verdicts: Verdicts, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        self.folder.append(verdicts, ended, self.tracker.open)
        self.tally.take(verdicts, ended, labels)
        self.rows += len(verdicts)
        self._last_time = int(verdicts.time[-1].astype(np.int64)) if len(verdicts) else self._last_time
        self._is_settled = True
        for watcher in self.watchers:
            watcher.see(verdicts, ended, labels)

    def _chunks(self) -> Iterator[Chunk]:
        """The source's chunks after the rows that are done.

        Raises:
            ModelError: those rows are not what they were.
        """
        if not self.replays:
            yield from self._continued()
            return
        done = self.rows
        for chunk in self.source.chunks():
            if 0 < done <= len(chunk) and int(chunk.time[done - 1].astype(np.int64)) != self._last_time:
                raise self._changed("has another time than it had")
            if done < len(chunk):
                yield chunk if not done else _rows_after(chunk, done)
            done = max(0, done - len(chunk))
        if done:
            raise self._changed("is not there any more")

    def _continued(self) -> Iterator[Chunk]:
        """The chunks of a source that goes on where it was cut off; rows that it counts from 0 again are counted on."""
        done, was_counted = self.rows, self._last_time == self.rows - 1
        counts_on: bool | None = None
        for chunk in self.source.chunks():
            if counts_on is None:
                counts_on = done > 0 and was_counted and chunk.time.dtype.kind == "i" and chunk.time[0] == 0
            yield Chunk(chunk.time + done, chunk.values, chunk.labels) if counts_on else chunk

    def _changed(self, what: str) -> ModelError:
        return ModelError(f"{self.source.name}: row {self.rows:,}, the last one that was done, {what}; run anew without --resume")

    # --- checkpoints ---

    def checkpoint(self) -> None:
        """Write down where the run stands."""
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
        }
        self.folder.write(CHECKPOINT, pack(state))

    def resume(self, state: State, files: dict[str, bytes]) -> tuple[int, int]:
        """Go on where a checkpoint stood; returns the sizes that scores.csv and incidents.jsonl had.

        Raises:
            ModelError: of another version or configuration, or damaged.
        """
        saved = Reader(state, "the run")
        if saved.integer("version", 0) != VERSION:
            raise ModelError(
                f"the checkpoint has version {state['version']}, this program writes {VERSION}; run anew without --resume"
            )
        if changed := difference(saved.text("settings"), self.settings):
            raise ModelError(f"--resume: {changed}; set it back, or run anew without --resume")
        self.detector.load(saved.state("detector"), files)
        self.tracker.load(saved.state("tracker"))
        self.tally.load(saved.state("tally"))
        self.rows, self._last_time = saved.integer("rows", 0), saved.integer("last_time", -(1 << 63), 1 << 63)
        self.training_points = self.detector.training_points = saved.integer("training_points", 0)
        return saved.integer("scores_bytes", 0), saved.integer("incidents_bytes", 0)


def _rows_after(chunk: Chunk, row: int) -> Chunk:
    return Chunk(chunk.time[row:], chunk.values[row:], None if chunk.labels is None else chunk.labels[row:])


_NONE = np.empty(0)
_NOTHING = Verdicts(np.empty(0, np.int64), np.empty((0, 1)), np.empty((0, 1)), _NONE, _NONE, _NONE, np.empty(0, bool))
