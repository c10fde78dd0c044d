"""The plot of a stream as it comes, in a window that has a process of its own.

A window wants an event loop on the main thread, where the stream runs already. Apart, neither waits for the other, and a window system
that breaks down takes nothing with it. The stream's process never imports matplotlib.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, Self, TypeAlias

import numpy as np

from autoencoder.core.types import Bools, Detections
from autoencoder.reports.sinks import Batch

FRAME_SECONDS = 0.1  # a frame at most this often
TOOLKITS = ("_tkinter", "PyQt6", "PySide6", "PyQt5", "PySide2", "gi", "wx")
PROBE = "from matplotlib import pyplot as p; c = p.figure().canvas; print(p.get_backend(), c.required_interactive_framework)"
PROBE_SECONDS = 30.0

Points: TypeAlias = tuple[Detections, Bools]  # with their labels


def newest(points: Points | None, more: Points, count: int) -> Points:
    """The newest ``count`` of some points and of those that came after them."""
    if points:
        more = Detections.concatenate([points[0], more[0]]), np.concatenate([points[1], more[1]])
    return more[0][-count:], more[1][-count:]


@dataclass(frozen=True, slots=True)
class PlotSettings:
    """What the window knows before the first point."""

    title: str  # name of the series
    columns: tuple[str, ...]
    window: int = 2000  # of the newest points are shown, 1 or more
    training_points: int = 0  # at the start of the stream
    timezone: str | None = None  # in which dates are written; None writes them as they are


class LivePlot:
    """A window that follows the stream. The user may close it at any time, which ends the drawing and nothing else.

    ``on_batch``, a ``Callback``, only hands the points to a thread, so that drawing never holds up the stream; what comes faster than it
    can be drawn is drawn together, and no more is kept than is shown. The window shows up a second or so after this is made.
    """

    def __init__(self, settings: PlotSettings) -> None:
        self._window = settings.window
        self._pending: Points | None = None
        self._points = self._flagged = 0
        self._lock, self._arrived, self._ended = threading.Lock(), threading.Event(), threading.Event()
        context = multiprocessing.get_context("spawn")
        reader, self._writer = context.Pipe(duplex=False)
        self._process = context.Process(target=show_window, args=(settings, reader), name="live plot", daemon=True)
        self._process.start()
        reader.close()  # so that writing fails once the window is gone
        self._sender = threading.Thread(target=self._send, name="live plot", daemon=True)
        self._sender.start()

    @property
    def closed(self) -> bool:
        """The window is gone: closed by the user, by the end of the ``with``, or because it could not be opened."""
        return not self._process.is_alive()

    def on_batch(self, batch: Batch) -> None:
        """Show N points more; returns at once."""
        detections, labels = batch.detections, batch.labels
        if self.closed or not len(detections):
            return
        with self._lock:
            self._points += len(detections)
            self._flagged += int(np.count_nonzero(detections.anomalies))
            labels = np.zeros(len(detections), dtype=bool) if labels is None else labels
            self._pending = newest(self._pending, (detections, labels), self._window)
        self._arrived.set()

    def wait(self) -> None:
        """Leave the window open until the user closes it."""
        self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._arrived.set()
        self._process.kill()  # it holds nothing worth saving; also frees a sender that waits for a window that no longer reads
        self._process.join()
        self._sender.join()

    def _send(self) -> None:
        with suppress(OSError), self._writer:  # OSError: the window is gone
            while self._arrived.wait() and not self._ended.is_set():
                self._arrived.clear()
                with self._lock:
                    frame, self._pending = (self._pending, (self._points, self._flagged)), None
                self._writer.send(frame)
                self._ended.wait(FRAME_SECONDS)  # what comes meanwhile goes together


def display_available() -> str | None:
    """Try whether a window can be opened here; in a process of its own, as some toolkits abort where there is no display.

    Returns:
        None if it can, else why not, as a fragment of a sentence: "neither DISPLAY nor WAYLAND_DISPLAY is set".
    """
    servers = [f"{name}={os.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
    blind = f"no window opens at {' or '.join(servers)}" if servers else "no window opens"
    if sys.platform.startswith("linux") and not servers:
        return "neither DISPLAY nor WAYLAND_DISPLAY is set"
    if sys.platform != "darwin" and not any(find_spec(toolkit) for toolkit in TOOLKITS):
        return "no window toolkit is installed; install python3-tk, PyQt6 or PySide6"
    try:
        probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return " and ".join(servers) + " did not answer in time"
    if probe.returncode:
        return f"{blind}: {(probe.stderr.strip() or f'exit code {probe.returncode}').splitlines()[-1].strip()}"
    backend, framework = probe.stdout.split()[-2:]
    if framework != "None":
        return None
    chosen = os.environ.get("MPLBACKEND", "")
    if backend.lower() == "agg" != chosen.lower():  # what matplotlib falls back to, without a word, where no display answers
        return blind
    return f"{'MPLBACKEND' if chosen else 'the backend of matplotlib'} is {chosen or backend}, which opens no windows"


# --- the process of the window ---


def show_window(settings: PlotSettings, reader: Connection) -> None:
    """Show the window until the user closes it or the stream's process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stream's process, which then closes this one
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - toolkits write what they like
        for descriptor in (1, 2):
            os.dup2(nowhere.fileno(), descriptor)
    from matplotlib import pyplot

    from autoencoder.reports.panels import SIZE

    figure = pyplot.figure(figsize=SIZE, dpi=100)
    if figure.canvas.required_interactive_framework is None:
        sys.exit("matplotlib opens no window here")
    if manager := figure.canvas.manager:
        manager.set_window_title(settings.title)
    figure.text(0.5, 0.5, f"{settings.title}: waiting for the first points", ha="center", parse_math=False)
    timer = figure.canvas.new_timer(interval=int(1000 * FRAME_SECONDS))
    timer.add_callback(frames(settings, reader, figure).__next__)
    timer.start()
    pyplot.show()


def frames(settings: PlotSettings, reader: Connection, figure: Any) -> Iterator[None]:
    """Each step draws what is new; not while the user zooms or pans, and at most half of the time, to leave the stream its share."""
    from matplotlib import pyplot

    from autoencoder.reports.panels import headline
    from autoencoder.reports.plot import Look, paint

    points: Points | None = None
    counts, look, rest_until = None, Look(), 0.0  # counts of points and flags so far; None: nothing new to draw
    while True:
        yield
        try:
            while reader.poll():
                more, counts = reader.recv()
                points = newest(points, more, settings.window)
        except (OSError, EOFError):  # the stream's process closed the pipe, or is gone
            pyplot.close(figure)
            continue
        toolbar = figure.canvas.toolbar
        if points and counts and time.monotonic() >= rest_until and not (toolbar and toolbar.mode):
            started = time.monotonic()
            training_left = max(0, settings.training_points - (counts[0] - len(points[1])))
            figure.clear()
            title = headline(settings.title, *counts)
            look = paint(figure, points[0], title, settings.columns, training_left, points[1], settings.timezone, before=look)
            figure.canvas.draw()
            counts, rest_until = None, 2 * time.monotonic() - started
