"""The process that owns the live window: reads settings and batches from standard input, draws them, ends with the window."""

from __future__ import annotations

import pickle
import signal
import sys
import threading
import time
from typing import BinaryIO

from matplotlib import pyplot

from autoencoder.reports.live import FRAME_SECONDS, Batch, Settings, Tail
from autoencoder.reports.picture import Picture
from autoencoder.reports.plotting import SIZE, headline


class Window:
    """One pyplot figure, filled by a thread that reads and a timer that draws."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.figure = pyplot.figure(figsize=SIZE, dpi=100)
        if manager := self.figure.canvas.manager:
            manager.set_window_title(settings.title)
        self.figure.text(0.5, 0.5, f"{settings.title}: waiting for the first points", ha="center", parse_math=False)
        self.picture: Picture | None = None
        self.tail = Tail(settings.window)
        self.newest: Batch | None = None  # None: nothing new to draw
        self.lock = threading.Lock()
        self.ended = False
        self.rest_until = 0.0
        self.timer = self.figure.canvas.new_timer(interval=int(1000 * FRAME_SECONDS))
        self.timer.add_callback(self.refresh)
        self.timer.start()

    def read(self, pipe: BinaryIO) -> None:
        """Take in batches until the stream's process closes the pipe or is gone."""
        try:
            while True:
                batch: Batch = pickle.load(pipe)
                with self.lock:
                    self.tail.add(batch.detections, batch.labels)
                    self.newest = batch
        except (EOFError, pickle.UnpicklingError):
            self.ended = True

    def refresh(self) -> None:
        """Draw what is new; not while the user zooms or pans, and at most half of the time, to leave the stream its share."""
        if self.ended:
            pyplot.close(self.figure)
            return
        toolbar = self.figure.canvas.toolbar
        if self.newest is None or time.monotonic() < self.rest_until or (toolbar is not None and toolbar.mode):
            return
        with self.lock:
            newest, self.newest = self.newest, None
            detections, labels = self.tail.join()
        started = time.monotonic()
        if self.picture is None:
            self.figure.clear()
            dates = detections.time.dtype.kind == "M"
            self.picture = Picture(self.figure, self.settings.columns, dates=dates, timezone=self.settings.timezone)
        title = headline(self.settings.title, newest.points, newest.flagged)
        training_left = max(0, self.settings.training_points - (newest.points - len(detections)))
        self.picture.show(detections, title, training_points=training_left, labels=labels)
        self.figure.canvas.draw()
        self.rest_until = 2 * time.monotonic() - started


def main() -> None:
    """Show the window until the user closes it or the stream's process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stream's process, which then closes this one
    pipe = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115 (the thread's own: it may outlive sys.stdin)
    window = Window(pickle.load(pipe))
    if window.figure.canvas.required_interactive_framework is None:
        sys.exit("matplotlib opens no window here")
    threading.Thread(target=window.read, args=(pipe,), daemon=True).start()
    pyplot.show()


if __name__ == "__main__":
    main()
