"""Callbacks: what a person watches while a run goes on: a progress bar, lines for incidents as they open, a live plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from autoencoder import __version__
from autoencoder.config import Config
from autoencoder.console import Console
from autoencoder.core.errors import RunError
from autoencoder.pipeline import Run
from autoencoder.reports.incidents import MISSING
from autoencoder.reports.sinks import Batch, Callback
from autoencoder.reports.wording import seen_text, severity_text

if TYPE_CHECKING:
    from autoencoder.reports.metrics import RunMetrics


class ProgressBar:
    """Progress of a bounded source."""

    def __init__(self, console: Console, run: Run) -> None:
        self._bar = console.progress("scoring")
        self._run = run

    def on_batch(self, batch: Batch) -> None:
        """Move on."""
        if self._run.panel.is_fitted:
            self._bar(self._run.rows, self._run.source.length, f"{self._run.statistics.incidents:,} incidents")


class IncidentPrinter:
    """Prints each incident that is an alarm once, as it opens: its closing summary may be far off."""

    def __init__(self, console: Console, run: Run) -> None:
        self._console = console
        self._printed = {incident.id for incident in run.panel.open if incident.alarm}

    def on_batch(self, batch: Batch) -> None:
        """Print a line for every new one."""
        for incident in (*batch.closed, *batch.open):
            if incident.alarm and incident.id not in self._printed:
                self._printed.add(incident.id)
                series = "" if incident.series is None else f", series {incident.series!r}"
                seen = seen_text(incident, digits=5)
                what = "" if incident.kind == MISSING else "anomaly: "
                self._console.print(f"{incident.start}  {what}{seen}, severity {severity_text(incident)}{series}")
        self._printed.difference_update(incident.id for incident in batch.closed)


class ModelSaver:
    """Saves the models whenever something was done about one of them; where that fails, with the next chunk: rows can be written."""

    def __init__(self, run: Run, save: Callable[[], object]) -> None:
        self._run, self._save = run, save
        self._done = len(run.panel.adaptations)

    def on_batch(self, batch: Batch) -> None:
        """Save them, if one may be another."""
        if (done := len(self._run.panel.adaptations)) != self._done:
            with suppress(RunError):  # told by the checkpoint that cannot be written either, and at the end
                self._save()
                self._done = done


@contextmanager
def callbacks(config: Config, run: Run, save: Callable[[], object], console: Console) -> Iterator[list[Callback]]:
    """What looks on: bars of a source with an end, on a terminal, lines of one without, ``/metrics``, the window of ``--plot live``.

    Where the stream comes to its end, the window stays until its user closes it; where it is cut off, the window goes with it.
    """
    looking_on: list[Callback] = [ModelSaver(run, save)] if config.adapts(of_many=run.source.has_series) else []
    if run.source.length is None:
        looking_on.append(IncidentPrinter(console, run))
    elif console.is_terminal:
        looking_on.append(ProgressBar(console, run))
    with ExitStack() as stack:
        if (port := config.metrics.port) is not None:
            from autoencoder.reports.metrics import exposed

            metrics = run_metrics(config, run)
            address = stack.enter_context(exposed(metrics.registry, config.metrics.host, port))
            console.print(f"metrics: {address}")
            looking_on.append(metrics)
        if config.plot.kind == "live":
            if reason := _no_window(run):
                console.print(f"--plot live: {reason}")
            else:
                looking_on.insert(0, stack.enter_context(_window(config, run, console)))
        yield looking_on


def run_metrics(config: Config, run: Run) -> RunMetrics:
    """What looks on at a run and knows where every series stands."""
    from autoencoder.reports.metrics import RunMetrics

    panel = run.panel
    return RunMetrics(
        run.statistics,
        lambda name: panel[name].detector.current.share,
        columns=run.source.columns,
        max_series=config.metrics.max_series,
        info={"source": run.source.name, "detector": config.detector, "version": __version__},
        open=panel.open,
    )


@contextmanager
def _window(config: Config, run: Run, console: Console) -> Iterator[Callback]:
    from autoencoder.reports.live_plot import LivePlot, PlotSettings

    source, training = run.source, run.panel[None].detector.current.training_points
    with LivePlot(PlotSettings(source.name, source.columns, config.plot.window, training, source.timezone)) as window:
        yield window
        if not window.closed:
            console.print("the stream has ended; close the window to go on")
            with suppress(KeyboardInterrupt):  # so does Ctrl-C: nothing is left to interrupt
                window.wait()


def _no_window(run: Run) -> str:
    """Why no window can be opened; empty where one can."""
    if run.source.has_series:
        return "the window shows one series; plot.png in the run folder shows the one with the worst incident"
    from autoencoder.reports.live_plot import display_available

    reason = display_available()
    return f"no display ({reason}); the picture is written to plot.png in the run folder instead" if reason else ""
