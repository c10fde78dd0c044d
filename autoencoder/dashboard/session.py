"""Session: one run at a time, which a page starts, holds, stops and watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from autoencoder.core.errors import sentence_of
from autoencoder.dashboard.board import Board, Phase, Snapshot
from data.chunk import Chunk

LARGEST_PART = 256  # points between two looks at whether the run is to pause or to stop
TICK_SECONDS = 0.05  # between two parts of a paced stream
LATEST_SECONDS = 0.5  # a stream that is further behind its pace does not catch up
STOP_SECONDS = 30.0  # for a run to stop: a download or the import of TensorFlow cannot be cut off
EXIT_SECONDS = 5.0  # where the whole process is to end


class Orders(NamedTuple):
    """What a run is to do: its pace in points a second (None: as fast as possible), and whether it is to wait or to end."""

    pace: float | None
    paused: bool
    stopped: bool


class Controls:
    """How fast a run goes on, and whether it does; every method may be called from any thread.

    Args:
        pace: points a second after the training part; None: as fast as possible.
    """

    def __init__(self, pace: float | None = None) -> None:
        self.listener: Callable[[Orders], object] = lambda _: None  # told of every change
        self._pace = pace
        self._going = threading.Event()
        self._going.set()
        self._stopped = threading.Event()

    @property
    def orders(self) -> Orders:
        """How things stand."""
        return Orders(self._pace, not self._going.is_set(), self._stopped.is_set())

    @property
    def paused(self) -> bool:
        """The run waits."""
        return self.orders.paused

    def set_pace(self, pace: float | None) -> None:
        """So many points a second from now on; None: as fast as possible."""
        self.obey(self.orders._replace(pace=pace))

    def pause(self) -> None:
        """Wait at the next opportunity."""
        self.obey(self.orders._replace(paused=True))

    def resume(self) -> None:
        """Go on."""
        self.obey(self.orders._replace(paused=False))

    def stop(self) -> None:
        """End at the next opportunity."""
        self.obey(self.orders._replace(paused=False, stopped=True))

    def obey(self, orders: Orders) -> None:
        """Take over these orders; what was stopped stays so."""
        self._pace = orders.pace
        if orders.stopped:
            self._stopped.set()
        if orders.paused:
            self._going.clear()
        else:
            self._going.set()
        self.listener(self.orders)

    def wait(self, seconds: float = 0.0) -> None:
        """Wait so long, and then while the run is paused.

        Raises:
            KeyboardInterrupt: it is to stop; to the run that is what Ctrl-C is on the command line.
        """
        self._stopped.wait(max(seconds, 0.0))
        self._going.wait()
        if self._stopped.is_set():
            raise KeyboardInterrupt

    def feed(self, chunks: Iterator[Chunk], training_points: int) -> Iterator[Chunk]:
        """Hand on chunks in parts, at the pace that is set; the training part is not held up."""
        done, due = 0, time.monotonic()
        for chunk in chunks:
            row = 0
            while row < len(chunk):
                self.wait()
                pace = self._pace if done >= training_points else None
                size = LARGEST_PART if pace is None else max(1, min(LARGEST_PART, round(pace * TICK_SECONDS)))
                part = _rows(chunk, row, row + size)
                yield part
                row, done = row + len(part), done + len(part)
                if pace is not None:
                    due = max(due, time.monotonic() - LATEST_SECONDS) + len(part) / pace
                    self.wait(due - time.monotonic())


class Monitor:
    """A run and its board.

    Args:
        work: the run, called in a thread: writes on the board, obeys the controls.
        controls: its controls.
        reword: what a page makes of the sentences that a run says.
    """

    def __init__(
        self, work: Callable[[Board, Controls], None], controls: Controls | None = None, reword: Callable[[str], str] = str
    ) -> None:
        self.controls = controls or Controls()
        self._board = Board()
        self._work = work
        self._reword = reword
        self._thread = threading.Thread(target=self._run, name="dashboard run", daemon=True)
        self._thread.start()

    def snapshot(self) -> Snapshot:
        """The run as it is now."""
        now = self._board.snapshot()
        return replace(now, fault=now.fault and self._reword(now.fault), notes=tuple(map(self._reword, now.notes)))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the run is over, so long at most; whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self, seconds: float = STOP_SECONDS) -> bool:
        """Stop the run and wait for its end, so long at most; whether it came."""
        self.controls.stop()
        return self.wait(seconds)

    def _run(self) -> None:
        try:
            self._work(self._board, self.controls)
        except KeyboardInterrupt:
            self._board.tell(phase=Phase.STOPPED)
        except Exception as error:
            self._board.tell(phase=Phase.FAILED, fault=sentence_of(error))
        else:
            self._board.tell(phase=Phase.ENDED)


class Desk:
    """Holds the run under way: one at a time, whatever pages look at it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.monitor: Monitor | None = None

    def start(self, make: Callable[[], Monitor]) -> bool:
        """End the run under way, if there is one, and start another; False where it does not end in time."""
        with self._lock:
            if self.monitor and not self.monitor.close():
                return False
            self.monitor = make()
            return True

    def close(self) -> None:
        """End the run under way, so that its folder is whole."""
        with self._lock:
            if self.monitor:
                self.monitor.close(EXIT_SECONDS)


def _rows(chunk: Chunk, start: int, stop: int) -> Chunk:
    rows = slice(start, stop)
    return Chunk(chunk.time[rows], chunk.values[rows], None if chunk.labels is None else chunk.labels[rows])
