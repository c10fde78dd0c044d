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


def progress_bar(console: Console, run: Run) -> Callback:
    """Shows the progress of a bounded source."""
    bar = console.progress("scoring")

    def move_on(_: Batch) -> None:
        if run.panel.is_fitted:
            bar(run.rows, run.source.length, f"{run.statistics.incidents:,} incidents")

    return move_on


def incident_printer(console: Console, run: Run) -> Callback:
    """Prints each incident that is an alarm once, as it opens: its closing summary may be far off."""
    printed = {incident.id for incident in run.panel.open if incident.alarm}

    def print_new(batch: Batch) -> None:
        for incident in (*batch.closed, *batch.open):
            if incident.alarm and incident.id not in printed:
                printed.add(incident.id)
                series = "" if incident.series is None else f", series {incident.series!r}"
                seen = seen_text(incident, digits=5)
                what = "" if incident.kind == MISSING else "anomaly: "
                console.print(f"{incident.start}  {what}{seen}, severity {severity_text(incident)}{series}")
        printed.difference_update(incident.id for incident in batch.closed)

    return print_new


def model_saver(run: Run, save: Callable[[], object]) -> Callback:
    """Saves the models whenever something was done about one of them; where that fails, with the next chunk: rows can be written."""
    saved = len(run.panel.adaptations)

    def save_new(_: Batch) -> None:
        nonlocal saved
        if (done := len(run.panel.adaptations)) != saved:
            with suppress(RunError):  # told by the checkpoint that cannot be written either, and at the end
                save()
                saved = done

    return save_new


@contextmanager
def callbacks(config: Config, run: Run, save: Callable[[], object], console: Console) -> Iterator[list[Callback]]:
    """What looks on: bars of a source with an end, on a terminal, lines of one without, ``/metrics``, the window of ``--plot live``.

    Where the stream comes to its end, the window stays until its user closes it; where it is cut off, the window goes with it.
    """
    looking_on: list[Callback] = [model_saver(run, save)] if config.adapts(of_many=run.source.has_series) else []
    if run.source.length is None:
        looking_on.append(incident_printer(console, run))
    elif console.is_terminal:
        looking_on.append(progress_bar(console, run))
    with ExitStack() as stack:
        if (port := config.metrics.port) is not None:
            from autoencoder.reports.metrics import exposed

            metrics = run_metrics(config, run)
            address = stack.enter_context(exposed(metrics.registry, config.metrics.host, port))
            console.print(f"metrics: {address}")
            looking_on.append(metrics.on_batch)
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
        yield window.on_batch
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
