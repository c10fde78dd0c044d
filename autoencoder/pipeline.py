"""Pipeline: a source yields chunks, a panel of detectors turns each into a batch of detections, sinks write it down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field

from autoencoder.config import difference
from autoencoder.core.checksum import RowChecksum
from autoencoder.core.errors import ResumeError, RunError
from autoencoder.core.state import Reader, State, pack
from autoencoder.panel.panel import Panel
from autoencoder.reports.incidents import RUN_STOPPED, STREAM_ENDED
from autoencoder.reports.piece_file import PieceFile
from autoencoder.reports.run_folder import CHECKPOINT, PIECES, RunFolder
from autoencoder.reports.scores_csv import ResultWriter
from autoencoder.reports.sinks import Batch, Callback, Sink
from autoencoder.reports.statistics import RunStatistics
from autoencoder.sources.chunk import TICK_SECONDS, Chunk, Source

VERSION = 8  # of the checkpoint; raised when its meaning changes
CHECKPOINT_COST = 0.1  # share of a run's time that may go into checkpoints that take a second or more each


@dataclass(slots=True)
class Run:
    """A run under way: everything that has a memory, and the loop that feeds it."""

    source: Source
    panel: Panel
    statistics: RunStatistics  # also one of the sinks
    folder: RunFolder  # takes the checkpoints
    settings: str  # the resolved configuration as text; a checkpoint serves no other
    checkpoint_every: int  # points between two checkpoints
    results: ResultWriter | None = None  # writes the rows and the incidents; the first of the sinks
    sinks: Sequence[Sink] = ()
    callbacks: Sequence[Callback] = ()
    critical: Callable[[], AbstractContextManager[None]] = nullcontext  # what runs inside is not torn apart by an interrupt
    warn: Callable[[str], None] = print  # told of what is wrong and does not stop the run
    writes_ahead: bool = False  # the source has its points at hand, so that a batch is written while the next one is scored
    rows: int = 0  # points done
    _done: RowChecksum = field(default_factory=RowChecksum)  # of the rows that are written
    _pending: tuple[Batch, Future[None] | None] | None = None  # scored, and perhaps not yet written
    _is_over: bool = False  # the source has no more points
    _is_closed: bool = False
    _is_whole: bool = True  # all that has a memory stands at ``rows``
    _tick_due: float = 0.0  # ``time.monotonic()`` from which on the time that passes is looked at
    _checkpoint_due: float = 0.0  # ``time.monotonic()`` before which no other one is written
    _has_checkpoint: bool = True  # the newest one that was due could be written
    _pieces: PieceFile | None = None  # of the checkpoint; there once it is needed

    def run(self, on_trained: Callable[[], object] | None = None) -> None:
        """Feed the whole stream; returns when it ends. Rows of a batch are in the files before its callbacks see it.

        ``on_trained`` is called once, after the chunk with which the first training part was complete. Where an AutoencoderError ends the
        stream, what was written until then stays and is whole.
        """
        with ThreadPoolExecutor(1) as writer:
            for chunk in self._until_trained(self._chunks()):
                if not len(chunk):
                    self._pass_time(writer)
                    continue
                had_model = self.panel.has_model
                guard = self.critical if self.panel.is_fitted else nullcontext  # training may take minutes: it can be interrupted
                with guard():
                    self._is_whole = False
                    batch = self.panel.process(chunk, self.source.series)
                    with self.critical():
                        just_trained = self.panel.has_model and not had_model
                        if just_trained and on_trained:
                            on_trained()
                        before = self.rows
                        self._write(batch, writer)
                        if just_trained or self._is_checkpoint_due(before):
                            self.checkpoint()  # also after training: nothing costs as much time to repeat
                # a series may be silent while others are not
                if self.source.length is None and time.monotonic() >= self._tick_due:
                    self._pass_time(writer)
        self._settle()
        self._is_over = True

    def close(self, *, is_cut_off: bool = False) -> None:
        """The stream is over, or was cut off: open incidents end here and the files are closed; a second call does nothing.

        A run that ``is_cut_off`` may be resumed: it is first written down where it stands, if all of it stands at one row.
        """
        if self._is_closed:  # an interrupt that was held back came at the very end
            return
        with self.critical():
            self._is_closed = True
            try:
                self._settle()
                if is_cut_off and self.rows and self._is_whole:
                    self.checkpoint()
            finally:
                closed = self.panel.finish(STREAM_ENDED if self._is_over else RUN_STOPPED)
                resumable = is_cut_off or not self._is_over
                for sink in self.sinks:
                    sink.close(closed, resumable=resumable)
                if self._pieces:
                    self._pieces.close()

    @property
    def is_whole(self) -> bool:
        """Whether all that has a memory stands at one row: nothing was torn apart."""
        return self._is_whole

    # --- batches ---

    def _pass_time(self, writer: ThreadPoolExecutor) -> None:
        """A series of which nothing comes for now may be worth an incident."""
        self._tick_due = time.monotonic() + TICK_SECONDS
        with self.critical():
            if batch := self.panel.pass_time():
                self._write(batch, writer)

    def _write(self, batch: Batch, writer: ThreadPoolExecutor) -> None:
        """Give a batch to the sinks, in a thread where the next one can be scored meanwhile."""
        self._settle()
        self._pending = batch, writer.submit(self._write_down, batch) if self.writes_ahead else None
        self.rows += len(batch.detections)
        self._is_whole = True
        if not self.writes_ahead:
            self._write_down(batch)
            self._settle()

    def _write_down(self, batch: Batch) -> None:
        for sink in self.sinks:
            sink.write(batch)
        self._done.update(batch.detections.time, batch.detections.values)

    def _settle(self) -> None:
        """See that the batch that was scored last is written, and show it."""
        if not self._pending:
            return
        (batch, written), self._pending = self._pending, None
        if written:
            written.result()
        for callback in self.callbacks:
            callback(batch)

    def _until_trained(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The same chunks, but one ends with the first training part: what is saved then has seen nothing else."""
        for chunk in chunks:
            rest = self.panel.rows_to_model(chunk, self.source.series) if len(chunk) else 0
            if 0 < rest < len(chunk):
                yield chunk[:rest]
                yield chunk[rest:]
            else:
                yield chunk

    def _chunks(self) -> Iterator[Chunk]:
        """The source's chunks after the rows that are done; ResumeError where those rows are not what they were."""
        if not self.source.rewindable:
            yield from self.source.chunks(self.rows)
            return
        before, again = copy(self._done), RowChecksum()
        for chunk in self.source.chunks():
            done = min(before.rows - again.rows, len(chunk))
            if done:
                again.update(chunk.time[:done], chunk.values[:done])
                self._require_same(again, before)
            if done < len(chunk) or not len(chunk):
                yield chunk[done:] if done else chunk
        if again.rows < before.rows:
            raise self._changed(before, "are not all there any more")

    def _require_same(self, again: RowChecksum, before: RowChecksum) -> None:
        """Refuse to go on where the rows that are done come again as others, as far as can be told yet."""
        changed = again.difference(before)
        is_mutable = self.source.mutable
        if changed and is_mutable and again.times == before.times:
            self.warn(f"{self.source.name}: rows that are done have other values now; their detections stay as they are")
        elif changed and (not is_mutable or again.rows == before.rows):
            raise self._changed(before, f"have another {changed} than they had")

    def _changed(self, before: RowChecksum, what: str) -> ResumeError:
        keep = f", with --model {self.folder.path} to keep what was learnt" if self.panel.has_model else ""
        rows = f"{self.source.name}: the {before.rows:,} rows that are done {what}"
        return ResumeError(f"{rows}; put them back, or run anew without --resume{keep}")

    # --- checkpoints ---

    def _is_checkpoint_due(self, before: int) -> bool:
        is_due = self.rows // self.checkpoint_every > before // self.checkpoint_every
        return is_due and time.monotonic() >= self._checkpoint_due

    def checkpoint(self) -> None:
        """Write down where the run stands; where that cannot be done the one before stays, and the run goes on.

        RunError where the rows cannot be saved either.
        """
        began = time.monotonic()
        self._settle()
        for sink in self.sinks:
            sink.flush()
        assert self.results
        scores, incidents = self.results.sizes
        try:
            state: State = {
                "version": VERSION,
                "settings": self.settings,
                "rows": self.rows,
                "last_time": self._done.last_time,
                "scores_bytes": scores,
                "incidents_bytes": incidents,
                **self._panel_state(),
                "tally": self.statistics.state(),
                "seen": self._done.state(),
                "source": self.source.memory(self.rows),
            }
            self.folder.write(CHECKPOINT, pack(state))
            self._has_checkpoint = True
            if self._pieces:
                self._pieces.forget_others()
        except RunError as error:
            if self._has_checkpoint:
                self.warn(f"{error}; the run goes on without")
            self._has_checkpoint = False
        took = time.monotonic() - began
        self._checkpoint_due = time.monotonic() + (took / CHECKPOINT_COST if took > 1 else 0)

    def _panel_state(self) -> State:
        """The state of the panel; of many series what is large is written already."""
        if not self.source.has_series:
            return self.panel.state()
        self._pieces = self._pieces or PieceFile(self.folder.path / PIECES)
        with self._pieces.writing():
            return self.panel.state(self._pieces.put)

    def resume(self, state: State, files: dict[str, bytes]) -> tuple[int, int]:
        """Go on where a checkpoint stood, see ``rows_done``; returns the sizes that scores.csv and incidents.jsonl had."""
        saved, self.rows = Reader(state, "the run"), rows_done(state, self.settings)
        if self.source.has_series:
            self._pieces = PieceFile(self.folder.path / PIECES)
        self.panel.load(state, files, self._pieces.get if self._pieces else None)
        self.statistics.load(saved.state("tally"))
        if saved.has("source"):
            self.source.recall(saved.state("source"))
        self._done.load(saved.state("seen"), self.rows, saved.integer("last_time", -(1 << 63), 1 << 63))
        return saved.integer("scores_bytes", 0), saved.integer("incidents_bytes", 0)


def rows_done(state: State, settings: str) -> int:
    """Rows that were done when a checkpoint was written; ResumeError where it is of another version or configuration."""
    saved = Reader(state, "the run")
    if saved.integer("version", 0) != VERSION:
        raise ResumeError(
            f"the checkpoint has version {state['version']}, this program writes {VERSION}; run anew with another --out"
        )
    require_same(saved.text("settings"), settings)
    return saved.integer("rows", 0)


def require_same(then: str, now: str) -> None:
    """Raise ResumeError where a run was begun with another configuration."""
    if changed := difference(then, now):
        raise ResumeError(f"--resume: {changed}; set it back, or run anew with another --out")
