"""Pipeline: source -> detector -> readers, the run loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
        watchers: who looks on.
        rows: points done.
        replays: the source gives its points from the first one again after a restart; where it does not (stdin), the producer skips.
    """

    source: Source
    detector: Detector
    tracker: IncidentTracker
    tally: Tally
    folder: RunFolder
    settings: str
    checkpoint_every: int
    watchers: tuple[Watcher, ...] = ()
    rows: int = 0
    replays: bool = True

    def run(self, on_trained: Callable[[], None] | None = None) -> None:
        """Feed the whole stream; returns when it ends. Rows of a chunk are in the files before its watchers see it.

        Args:
            on_trained: called once, after the chunk that completed the training part.

        Raises:
            DataError, AutoencoderError: see the parts; what was written until then stays and is whole.
        """
        saved = self.rows
        for chunk in self._chunks():
            untrained = not self.detector.trained
            verdicts = self.detector.process(chunk.time, chunk.values)
            if untrained and self.detector.trained and on_trained:
                on_trained()
            self._publish(verdicts, self.tracker.process(verdicts), chunk.labels)
            if self.rows // self.checkpoint_every > saved // self.checkpoint_every:
                self.checkpoint()
                saved = self.rows

    def finish(self) -> None:
        """The stream is over, or was cut off: the open incident ends here and the files are closed."""
        ended = self.tracker.finish()
        self.tally.take(_NOTHING, ended, None)
        self.folder.append(_NOTHING, ended)
        self.folder.close()

    def _publish(self, verdicts: Verdicts, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        self.folder.append(verdicts, ended)
        self.tally.take(verdicts, ended, labels)
        self.rows += len(verdicts)
        for watcher in self.watchers:
            watcher.see(verdicts, ended, labels)

    def _chunks(self) -> Iterator[Chunk]:
        """The source's chunks after the rows that are done."""
        done = self.rows if self.replays else 0
        for chunk in self.source.chunks():
            if done >= len(chunk):
                done -= len(chunk)
                continue
            yield (
                chunk
                if not done
                else Chunk(chunk.time[done:], chunk.values[done:], None if chunk.labels is None else chunk.labels[done:])
            )
            done = 0

    # --- checkpoints ---

    def checkpoint(self) -> None:
        """Write down where the run stands."""
        scores, incidents = self.folder.sizes()
        state: State = {
            "version": VERSION,
            "settings": self.settings,
            "rows": self.rows,
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
        difference = _first_difference(saved.text("settings"), self.settings)
        if difference:
            raise ModelError(
                f"the checkpoint was made with other settings: {difference}; set them back, or run anew without --resume"
            )
        self.detector.load(saved.state("detector"), files)
        self.tracker.load(saved.state("tracker"))
        self.tally.load(saved.state("tally"))
        self.rows = saved.integer("rows", 0)
        return saved.integer("scores_bytes", 0), saved.integer("incidents_bytes", 0)


def _first_difference(then: str, now: str) -> str | None:
    """First line in which two resolved configurations differ."""
    pairs = ((old, new) for old, new in zip(then.splitlines(), now.splitlines(), strict=False) if old != new)
    return next(
        (f"{old.strip()!r} then, {new.strip()!r} now" for old, new in pairs), None if then == now else "one has more lines"
    )


_NONE = np.empty(0)
_NOTHING = Verdicts(np.empty(0, np.int64), np.empty((0, 1)), np.empty((0, 1)), _NONE, _NONE, _NONE, np.empty(0, bool))
