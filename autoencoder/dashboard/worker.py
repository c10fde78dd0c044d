"""Worker: the process of one run; reads a job and orders from standard input, writes what is to go on the board to standard output."""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import IO, Any

from autoencoder import commands
from autoencoder.console import Console, Task, quiet_libraries
from autoencoder.core.errors import sentence_of
from autoencoder.core.types import Detections
from autoencoder.dashboard.board import About, Board, Counts, Labels, Phase, Progress
from autoencoder.dashboard.process import Ending, Job
from autoencoder.dashboard.session import Controls
from autoencoder.pipeline import Stream
from autoencoder.preparation import Options
from autoencoder.reports.incidents import Incident
from autoencoder.reports.sinks import Batch

INTERRUPTED = 130  # what the run command returns then
QUALITY_SECONDS = 0.4  # between two looks at how the known anomalies fare
QUALITY_REST = 10.0  # and so many times what such a look takes: it takes longer as the stream gets longer


class BoardElsewhere:
    """Sends what is to go on a board to the process that has it."""

    def __init__(self, pipe: IO[bytes], controls: Controls) -> None:
        self._pipe = pipe
        self._controls = controls

    def tell(self, **changes: Any) -> None:
        """As ``Board.tell``."""
        self._send((Board.tell.__name__, (), changes))

    def say(self, sentence: str) -> None:
        """As ``Board.say``."""
        self._send((Board.say.__name__, (sentence,), {}))

    def take(
        self,
        detections: Detections | None,
        labels: Labels,
        ended: Sequence[Incident],
        unfinished: Incident | None,
        counts: Counts,
    ) -> None:
        """As ``Board.take``."""
        self._send((Board.take.__name__, (detections, labels, ended, unfinished, counts), {}))

    def end(self, ending: Ending) -> None:
        """Nothing more will come."""
        self._send(ending)

    def _send(self, message: object) -> None:
        try:
            pickle.dump(message, self._pipe)
            self._pipe.flush()
        except OSError:  # nobody listens any more
            self._controls.stop()


class PageConsole(Console):
    """A console whose lines and training progress go to a board; the training obeys the controls."""

    def __init__(self, board: BoardElsewhere, controls: Controls) -> None:
        super().__init__(io.StringIO())
        self._board = board
        self._controls = controls

    def say(self, sentence: str) -> None:
        """One line."""
        self._board.say(sentence)

    def progress(self, what: str) -> Task:
        """A bar called ``what``; only that of the training is shown, for a chart shows how far the stream is."""
        return _TrainingTask(self, what, self._board, self._controls) if what == "training" else Task(self, what)


class _TrainingTask(Task):
    def __init__(self, console: Console, what: str, board: BoardElsewhere, controls: Controls) -> None:
        super().__init__(console, what)
        self._board = board
        self._controls = controls

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """So much is done."""
        self._board.tell(progress=Progress(done, total or done, note))
        self._controls.wait()


class StreamWatcher:
    """A watcher of the pipeline that writes what it sees on a board."""

    def __init__(self, board: BoardElsewhere, stream: Stream) -> None:
        self._board = board
        self._stream = stream
        self._unfinished: Incident | None = None
        self._was_trained = False
        self._quality_due = 0.0

    def on_batch(self, batch: Batch) -> None:
        """One chunk has been judged and written."""
        stream = self._stream
        if stream.detector.trained and not self._was_trained:
            self._was_trained = True
            self._board.tell(phase=Phase.RUNNING, since=datetime.now(UTC), progress=None)
        self._unfinished = stream.tracker.open
        self._board.take(batch.detections, batch.labels, list(batch.closed), self._unfinished, self._counts())
        if (now := time.monotonic()) >= self._quality_due:
            self._look_at_quality()
            self._quality_due = time.monotonic() + QUALITY_REST * (time.monotonic() - now) + QUALITY_SECONDS

    def finish(self) -> None:
        """The stream is over, and with it the incident that was open."""
        self._board.take(None, None, [self._unfinished] if self._unfinished else [], None, self._counts())
        self._look_at_quality()

    def _counts(self) -> Counts:
        return self._stream.tally.counts(self._stream.detector.share)

    def _look_at_quality(self) -> None:
        self._board.tell(quality=self._stream.tally.quality({None: self._stream.training_points}))


def judge(job: Job, board: BoardElsewhere, controls: Controls) -> int:
    """Run the program's ``run`` command for a page; returns its exit code.

    Raises:
        DataError, AutoencoderError: as that does.
    """
    config = job.config
    watchers: list[StreamWatcher] = []

    def attach(stream: Stream) -> None:
        stream.feed = partial(controls.feed, training_points=stream.training_points)
        watchers.append(StreamWatcher(board, stream))
        stream.callbacks = (*stream.callbacks, *watchers)
        source = stream.source
        about = About(
            name=job.name or source.name,
            columns=source.columns,
            timezone=source.timezone,
            points=source.points,
            training_points=stream.training_points,
            detector=config.detector,
            threshold=config.threshold.kind,
            budget=str(config.threshold.budget),
            folder=stream.folder.path,
        )
        board.tell(about=about, phase=Phase.TRAINING)

    try:
        return commands.run(config, Options(began=time.perf_counter(), attach=attach), PageConsole(board, controls))
    finally:
        for watcher in watchers:
            watcher.finish()


def main() -> None:
    """Do the job that comes first on standard input; the end of standard input is an order to stop."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no message
    job: Job = pickle.load(sys.stdin.buffer)
    controls = Controls()
    controls.obey(job.orders)
    threading.Thread(target=_listen, args=(controls,), daemon=True).start()
    board = BoardElsewhere(pipe, controls)
    with quiet_libraries():
        try:
            board.end(Ending(interrupted=judge(job, board, controls) == INTERRUPTED))
        except KeyboardInterrupt:
            board.end(Ending(interrupted=True))
        except Exception as error:
            board.end(Ending(fault=sentence_of(error)))


def _listen(controls: Controls) -> None:
    try:
        while True:
            controls.obey(pickle.load(sys.stdin.buffer))
    except (EOFError, OSError, pickle.UnpicklingError):
        controls.stop()


if __name__ == "__main__":
    main()
