"""Onlookers: who watches a stream while it runs: the progress bar, the announcer of incidents, the live window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from autoencoder.config import Config
from autoencoder.console import Console
from autoencoder.core.events import PROMOTED, ROLLED_BACK
from autoencoder.detector import Detector
from autoencoder.pipeline import Stream
from autoencoder.reports.sinks import Batch, Callback


class Bar:
    """Progress of a bounded source."""

    def __init__(self, console: Console, stream: Stream) -> None:
        self._bar = console.progress("scoring")
        self._stream = stream

    def on_batch(self, batch: Batch) -> None:
        """One chunk more is done."""
        if self._stream.source.points and self._stream.detector.trained:
            self._bar(self._stream.rows, self._stream.source.points, f"{self._stream.tally.incidents:,} incidents")


class Announcer:
    """Tells of an incident of an unbounded source as it opens: nobody waits for the closing summary of those."""

    def __init__(self, console: Console, stream: Stream) -> None:
        self._console = console
        self._stream = stream
        self._told = stream.tally.incidents

    def on_batch(self, batch: Batch) -> None:
        """Say a line for every incident in this batch that is an alarm, once."""
        if self._stream.source.points is not None:
            return
        for incident in (*batch.closed, *batch.open):
            if incident.alarm and incident.id > self._told:
                self._told = incident.id
                seen, expected = incident.peak_value[0], incident.expected[0]
                self._console.say(
                    f"{incident.start}  anomaly: seen {seen:.5g}, expected {expected:.5g}, severity {incident.severity:.2f}"
                )


class ModelKeeper:
    """Saves the model whenever another one has taken over, or came back."""

    def __init__(self, detector: Detector, save: Callable[[], None]) -> None:
        self._detector, self._save = detector, save
        self._changes = self._count()

    def on_batch(self, batch: Batch) -> None:
        """Save it, if it is another one."""
        if self._count() != self._changes:
            self._changes = self._count()
            if self._detector.has_model:
                self._save()

    def _count(self) -> int:
        return sum(each.event in (PROMOTED, ROLLED_BACK) for each in self._detector.adaptations)


@contextmanager
def live_window(config: Config, stream: Stream, console: Console) -> Iterator[tuple[Callback, ...]]:
    """The live window, if it was asked for and can be opened.

    Where the stream comes to its end, the window stays until its user closes it; where it is cut off, the window goes with it.
    """
    if config.plot.kind != "live":
        yield ()
        return
    from autoencoder.reports.live_plot import LivePlot, PlotSettings, display_available

    reason = display_available()
    if reason:
        console.say(f"--plot live: no display ({reason}); the picture is written to plot.png in the run folder instead")
        yield ()
        return
    source = stream.source
    settings = PlotSettings(source.name, source.columns, config.plot.window, stream.training_points, source.timezone)
    with LivePlot(settings) as window:
        yield (window,)
        if not window.closed:
            console.say("the stream has ended; close the window to go on")
            with suppress(KeyboardInterrupt):  # so does Ctrl-C: nothing is left to interrupt
                window.wait()
