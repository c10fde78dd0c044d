"""The picture of a stream as it comes, in a window.

The window has a process of its own (``window_process.py``): it wants an event loop on the main thread, where the stream already
runs. Apart, neither waits for the other, a slow stream leaves no frozen window behind, and a window system that breaks down takes
nothing with it. This half never imports matplotlib.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import Detections

FRAME_SECONDS = 0.1  # a frame at most this often
TOOLKITS = ("_tkinter", "PyQt6", "PySide6", "PyQt5", "PySide2", "gi", "wx")
PROBE = "from matplotlib import pyplot as p; c = p.figure().canvas; print(p.get_backend(), c.required_interactive_framework)"
PROBE_SECONDS = 30.0

Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the window is told before the first point; arguments as in ``LiveWindow``."""

    title: str
    columns: tuple[str, ...]
    window: int
    training_points: int
    timezone: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Points on their way to the window.

    Attributes:
        detections: N points, none skipped since the last batch unless there were more than the window shows.
        labels: (N,) True inside a known anomaly.
        points: how many points the stream has had so far, these included.
        flagged: how many of them were flagged.
    """

    detections: Detections
    labels: Labels
    points: int
    flagged: int


class Tail:
    """The newest points of a stream, ``capacity`` of them and at most one chunk more."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.parts: deque[tuple[Detections, Labels]] = deque()
        self.rows = 0

    def add(self, detections: Detections, labels: Labels) -> None:
        """Take N points in and let go of whole chunks that are too old."""
        newest = slice(max(len(detections) - self.capacity, 0), None)
        self.parts.append((detections[newest], labels[newest]))
        self.rows += len(labels[newest])
        while self.rows - len(self.parts[0][1]) >= self.capacity:
            self.rows -= len(self.parts.popleft()[1])

    def join(self) -> tuple[Detections, Labels]:
        """Give the newest points in one piece, at most ``capacity``; there must be some."""
        detections = Detections.concatenate([part for part, _ in self.parts])[-self.capacity :]
        labels = np.concatenate([part for _, part in self.parts])[-self.capacity :]
        self.parts, self.rows = deque([(detections, labels)]), len(labels)
        return detections, labels


class LiveWindow:
    """A window that follows the stream; the user may close it at any time, which ends the drawing and nothing else.

    ``update`` only hands the points to a thread, so that drawing never holds up the stream; what comes faster than it can be
    drawn is drawn together, and no more is kept than is shown.
    """

    def __init__(
        self,
        title: str,
        columns: Sequence[str],
        window: int = 2000,
        training_points: int = 0,
        timezone: str | None = None,
        hold: bool = False,
    ) -> None:
        """Start opening the window; it shows up a second or so later, while the stream already runs.

        Args:
            title: name of the series.
            columns: names of the F columns.
            window: how many of the newest points are shown, 1 or more.
            training_points: how many points at the start of the stream are the training part.
            timezone: zone in which dates are written; None writes them as they are.
            hold: on leaving the ``with`` block in peace, wait until the user closes the window.
        """
        self.hold = hold
        self._pending = Tail(window)
        self._points = self._flagged = 0
        self._failure: str | None = None
        self._lock, self._arrived, self._ended = threading.Lock(), threading.Event(), threading.Event()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (read after the process ended; closed in close)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "autoencoder.reports.window_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
            env=_environment(),
        )
        settings = Settings(title, tuple(columns), window, training_points, timezone)
        self._sender = threading.Thread(target=self._send, args=(settings,), name="live window", daemon=True)
        self._sender.start()

    @property
    def closed(self) -> bool:
        """The window is gone: closed by the user, by ``close``, or because it could not be opened (see ``failure``)."""
        return self._process.poll() is not None

    @property
    def failure(self) -> str | None:
        """Why the window is gone, if it was neither the user nor ``close``; a fragment of a sentence."""
        if not self._ended.is_set() and self._process.poll():  # 0: the user closed it
            self._complaints.seek(0)
            reason = _last_line(self._complaints.read().decode(errors="replace"))
            self._failure = reason or f"exit code {self._process.returncode}"
        return self._failure

    def update(self, detections: Detections, labels: Labels | None = None) -> None:
        """Show the next N points of the stream; returns at once, and does nothing once the window is closed.

        Args:
            detections: the chunk's detections.
            labels: (N,) True inside a known anomaly; None where nothing is known.
        """
        if self.closed or not len(detections):
            return
        with self._lock:
            self._points += len(detections)
            self._flagged += int(np.count_nonzero(detections.anomalies))
            self._pending.add(detections, np.zeros(len(detections), dtype=bool) if labels is None else labels)
        self._arrived.set()

    def wait(self) -> None:
        """Leave the window open until the user closes it."""
        self._process.wait()

    def close(self) -> None:
        """Close the window; a second call does nothing."""
        if self._ended.is_set():
            return
        self._failure = self.failure
        self._ended.set()
        self._arrived.set()
        self._process.kill()  # it holds nothing worth saving; also frees a sender that waits for a window that no longer reads
        self._process.wait()
        self._sender.join()
        self._complaints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self.hold and kind is None:
                self.wait()
        finally:
            self.close()

    def _send(self, settings: Settings) -> None:
        pipe = self._process.stdin
        assert pipe is not None, "the process was started with a pipe"
        with suppress(OSError), pipe:  # OSError: the window is gone
            pickle.dump(settings, pipe)
            pipe.flush()
            while self._arrived.wait() and not self._ended.is_set():
                self._arrived.clear()
                with self._lock:
                    pending, points, flagged = self._pending, self._points, self._flagged
                    self._pending = Tail(settings.window)
                pickle.dump(Batch(*pending.join(), points, flagged), pipe)
                pipe.flush()
                self._ended.wait(FRAME_SECONDS)  # what comes meanwhile goes together


def _environment() -> dict[str, str]:
    """Let a new process find the modules where this one found them."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def display_available() -> str | None:
    """Try whether a window can be opened here; in a process of its own, as some toolkits abort where there is no display.

    Returns:
        None if it can, else why not, as a fragment of a sentence: "neither DISPLAY nor WAYLAND_DISPLAY is set".
    """
    servers = [f"{name}={os.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
    if sys.platform.startswith("linux") and not servers:
        return "neither DISPLAY nor WAYLAND_DISPLAY is set"
    if sys.platform != "darwin" and not any(find_spec(toolkit) for toolkit in TOOLKITS):
        return "no window toolkit is installed; install python3-tk, PyQt6 or PySide6"
    try:
        command = [sys.executable, "-P", "-c", PROBE]
        probe = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False, env=_environment())
    except subprocess.TimeoutExpired:
        return " and ".join(servers) + " did not answer in time"
    if probe.returncode:
        return f"no window opens{_at(servers)}: {_last_line(probe.stderr) or f'exit code {probe.returncode}'}"
    backend, framework = _last_line(probe.stdout).split()
    if framework != "None":
        return None
    chosen = os.environ.get("MPLBACKEND", "")
    if backend.lower() == "agg" != chosen.lower():  # what matplotlib falls back to, without a word, where no display answers
        return f"no window opens{_at(servers)}"
    return f"{'MPLBACKEND' if chosen else 'the backend of matplotlib'} is {chosen or backend}, which opens no windows"


def _at(servers: Sequence[str]) -> str:
    return f" at {' or '.join(servers)}" if servers else ""


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
