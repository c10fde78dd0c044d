"""Onlookers: who watches a stream while it runs: the progress bar, the announcer of incidents, the live window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.config import Config
from autoencoder.core.types import Detections
from autoencoder.pipeline import Stream, Watcher
from autoencoder.reports.console import Console
from autoencoder.reports.incidents import Incident

Labels = npt.NDArray[np.bool_] | None


class Bar:
    """Progress of a bounded source."""

    def __init__(self, console: Console, stream: Stream) -> None:
        self._bar = console.progress("scoring")
        self._stream = stream

    def see(self, detections: Detections, ended: list[Incident], labels: Labels) -> None:
        """One chunk more is done."""
        if self._stream.source.length and self._stream.detector.trained:
            self._bar(self._stream.rows, self._stream.source.length, f"{self._stream.tally.incidents:,} incidents")


class Announcer:
    """Tells of an incident of an unbounded source as it opens: nobody waits for the closing summary of those."""

    def __init__(self, console: Console, stream: Stream) -> None:
        self._console = console
        self._stream = stream
        self._told = stream.tally.incidents

    def see(self, detections: Detections, ended: list[Incident], labels: Labels) -> None:
        """Say a line for every incident in these detections that is an alarm, once."""
        if self._stream.source.length is not None:
            return
        for incident in (*ended, self._stream.tracker.open):
            if incident and incident.alarm and incident.id > self._told:
                self._told = incident.id
                seen, expected = incident.peak_value[0], incident.expected[0]
                self._console.say(
                    f"{incident.start}  anomaly: seen {seen:.5g}, expected {expected:.5g}, severity {incident.severity:.2f}"
                )


class _WindowOnlooker:
    def __init__(self, window: Any) -> None:
        self._window = window

    def see(self, detections: Detections, ended: list[Incident], labels: Labels) -> None:
        self._window.update(detections, labels)


@contextmanager
def live_window(config: Config, stream: Stream, console: Console) -> Iterator[tuple[Watcher, ...]]:
    """The live window, if it was asked for and can be opened.

    Where the stream comes to its end, the window stays until its user closes it; where it is cut off, the window goes with it.
    """
    if config.plot.kind != "live":
        yield ()
        return
    from autoencoder.reports.live import LiveWindow, display_available

    reason = display_available()
    if reason:
        console.say(f"--plot live: no display ({reason}); the picture is written to plot.png in the run folder instead")
        yield ()
        return
    source = stream.source
    with LiveWindow(source.name, source.columns, config.plot.window, stream.training_points, source.timezone) as window:
        yield (_WindowOnlooker(window),)
        if not window.closed:
            console.say("the stream has ended; close the window to go on")
            with suppress(KeyboardInterrupt):  # so does Ctrl-C: nothing is left to interrupt
                window.wait()
