"""Callbacks: what a person watches while a run goes on: a progress bar, lines for incidents as they open, a live plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from autoencoder.console import Console
from autoencoder.core.events import PROMOTED, ROLLED_BACK
from autoencoder.reports.sinks import Batch, Callback

if TYPE_CHECKING:
    from autoencoder.panel.panel import Panel
    from autoencoder.pipeline import Run


class ProgressBar:
    """Progress of a bounded source."""

    def __init__(self, console: Console, run: Run) -> None:
        self._bar = console.progress("scoring")
        self._run = run

    def on_batch(self, batch: Batch) -> None:
        """Move on."""
        if self._run.source.length and self._run.panel.is_fitted:
            self._bar(self._run.rows, self._run.source.length, f"{self._run.statistics.incidents:,} incidents")


class IncidentPrinter:
    """Prints each incident of an unbounded source that is an alarm once, as it opens: its closing summary may be far off."""

    def __init__(self, console: Console, run: Run) -> None:
        self._console = console
        self._is_unbounded = run.source.length is None
        self._printed = {incident.id for incident in run.panel.open if incident.alarm}

    def on_batch(self, batch: Batch) -> None:
        """Print a line for every new one."""
        for incident in (*batch.closed, *batch.open) if self._is_unbounded else ():
            if incident.alarm and incident.id not in self._printed:
                self._printed.add(incident.id)
                seen, expected = incident.peak_value[0], incident.expected[0]
                series = "" if incident.series is None else f", series {incident.series!r}"
                self._console.print(
                    f"{incident.start}  anomaly: seen {seen:.5g}, expected {expected:.5g}, severity {incident.severity:.2f}{series}"
                )
        self._printed.difference_update(incident.id for incident in batch.closed)


class ModelSaver:
    """Saves the models whenever one of them was replaced."""

    def __init__(self, panel: Panel, save: Callable[[], object]) -> None:
        self._panel, self._save = panel, save
        self._replaced = self._count()

    def on_batch(self, batch: Batch) -> None:
        """Save them, if one is another."""
        if (count := self._count()) != self._replaced:
            self._replaced = count
            self._save()

    def _count(self) -> int:
        return sum(event.event in (PROMOTED, ROLLED_BACK) for event in self._panel.adaptations)


@contextmanager
def live_plot(run: Run, kind: str, points: int, console: Console) -> Iterator[tuple[Callback, ...]]:
    """The window of ``--plot live``, if ``kind`` is that and it can be opened; it shows the newest ``points`` points.

    Where the stream comes to its end, the window stays until its user closes it; where it is cut off, the window goes with it.
    """
    if kind != "live":
        yield ()
        return
    if run.source.has_series:
        console.print(
            "--plot live: the window shows one series; plot.png in the run folder shows the one with the worst incident"
        )
        yield ()
        return
    from autoencoder.reports.live_plot import LivePlot, PlotSettings, display_available

    if reason := display_available():
        console.print(f"--plot live: no display ({reason}); the picture is written to plot.png in the run folder instead")
        yield ()
        return
    source, training = run.source, run.panel[None].detector.current.training_points
    with LivePlot(PlotSettings(source.name, source.columns, points, training, source.timezone)) as window:
        yield (window,)
        if not window.closed:
            console.print("the stream has ended; close the window to go on")
            with suppress(KeyboardInterrupt):  # so does Ctrl-C: nothing is left to interrupt
                window.wait()
