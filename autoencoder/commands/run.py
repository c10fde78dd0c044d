"""The command ``run``: a source is scored, and a run folder is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from autoencoder.alerts.sink import Alerts
from autoencoder.commands.callbacks import callbacks
from autoencoder.commands.summary import closing_lines, write_metrics
from autoencoder.commands.train import RunOptions, import_training, naming, open_folder, too_short, train_network
from autoencoder.config import Config, dump
from autoencoder.console import Console, Stopwatch, Task
from autoencoder.core.errors import (
    AutoencoderError,
    InputError,
    ModelFileError,
    ResumeError,
    RunError,
    SourceError,
    TrainingError,
    UsageError,
)
from autoencoder.core.state import State
from autoencoder.core.types import Progress
from autoencoder.factory.rules import unused
from autoencoder.factory.runs import is_at_hand, make_alerts, make_panel, make_sinks
from autoencoder.factory.sources import open_source
from autoencoder.feedback.store import LabelStore
from autoencoder.interrupts import SignalGuard
from autoencoder.models import SavedModel, save_model
from autoencoder.pipeline import Run, require_same, rows_done
from autoencoder.reports import run_folder
from autoencoder.reports.run_folder import CHECKPOINT, CONFIG, OUTBOX, Found, RunFolder, has
from autoencoder.reports.statistics import RunStatistics
from autoencoder.sources.chunk import Source
from autoencoder.sources.wrapped import OrderedSource

if TYPE_CHECKING:
    from autoencoder.serve.command import HttpServer


def run(config: Config, options: RunOptions, console: Console, server: HttpServer | None = None) -> int:
    """Score a whole source, that of a server or as much of another as comes; leaves a run folder. Returns the exit code.

    Raises:
        AutoencoderError: the run failed.
        KeyboardInterrupt: it was cut off; says what was done.
    """
    watch = Stopwatch(options.began)
    watch.seconds["start"] = time.perf_counter() - options.began
    with SignalGuard() as signals, _alerts(config, console) as alerts:
        if alerts and options.resume and options.out and _has_only_alerts_left(options.out):
            return _send_alerts(alerts, options.out, console)
        with open_folder(options, config.source, signals) as folder:
            found = folder.find_run() if options.resume else Found.NOTHING
            if found is Found.DONE:
                return _leave_done(config, folder, console)
            model = _model(options, folder, found, config.detector)
            checkpoint = _begin(config, options, folder, found, model, console)
            with watch.part("source"):
                opened = server.open_source(model) if server else open_source(config, console.print)
                source = _in_order_of(model, opened, console)
            training = console.progress("training")
            this = Run(
                source=source,
                panel=make_panel(
                    config, source, model, console.print, _interruptible(training, signals), labels=LabelStore(folder.path).of
                ),
                statistics=RunStatistics(),
                folder=folder,
                settings=dump(config),
                checkpoint_every=config.checkpoint.every,
                critical=signals.critical,
                warn=console.print,
                writes_ahead=is_at_hand(source),
            )
            keep = this.resume(checkpoint, run_folder.read_model_files(folder.path)) if checkpoint else None
            if server:
                server.recover(this, keep[0] if keep else None)
            this.results, this.sinks = make_sinks(config, source, this.panel, folder, this.statistics, alerts, keep)
            if found is Found.RUN:
                folder.write(CONFIG, this.settings)
            if not (model or this.panel.is_fitted):
                import_training(config, source, watch)
        fault = _feed(config, this, model, training, watch, console, server)
        if fault and not _is_worth_keeping(this, fault):
            folder.discard()
            raise fault
        return _conclude(config, this, fault, alerts, signals, watch, console)


def _interruptible(training: Task, signals: SignalGuard) -> Progress:
    """Shows how a training goes, and lets an interrupt through that waits for the end of its chunk: a new model may take minutes."""

    def show(done: int, total: int, text: str) -> None:
        signals.raise_due()
        training(done, total, text)

    return show


def _leave_done(config: Config, folder: RunFolder, console: Console) -> int:
    """A run that is done is left as it is: who starts and restarts with one command has what they want. Returns the exit code."""
    with closing(folder):
        require_same(run_folder.read_file(folder.path / CONFIG).decode(errors="replace"), dump(config))
        folder.end()  # a kill at the very end may have left something
    console.print(f"{folder.path}: the run in it is done; nothing is left to go on with")
    return 0


def _model(options: RunOptions, folder: RunFolder, found: Found, kind: str) -> SavedModel | None:
    """The model with which a run begins: that of a run that was cut off lies in its folder."""
    if found is not Found.RUN:
        return SavedModel.read(options.model, kind) if options.model else None
    model = SavedModel.given_to(folder.path)
    if options.model and not model:
        raise ResumeError(
            f"--resume: the run in {folder.path} was begun without --model; leave it out, or give a new --out folder"
        )
    return model


def _in_order_of(model: SavedModel | None, source: Source, console: Console) -> Source:
    """The source with its columns in the order in which the model was trained on them."""
    columns = model.in_order(source.columns) if model else source.columns
    if not model or columns == source.columns:
        return source
    console.print(f"the columns are judged in the order in which the model in {model.folder} was trained: {', '.join(columns)}")
    return OrderedSource(source, columns)


def _begin(
    config: Config, options: RunOptions, folder: RunFolder, found: Found, model: SavedModel | None, console: Console
) -> State | None:
    """Write down what is asked for, first of all, so that a run that is killed before its first row can be resumed.

    Returns the checkpoint from which a run is resumed; None where it begins with the first row.
    """
    checkpoint = run_folder.read_checkpoint(folder.path) if found is Found.RUN else None
    rows = rows_done(checkpoint, dump(config)) if checkpoint else 0
    # before the source is opened, which may wait for a producer, who waits for this
    if config.source == "stdin" and options.resume:
        console.print(f"{folder.path}: {rows:,} rows are done; the producer must begin with row {rows + 1:,}")
    elif found is Found.RUN and not rows and config.source != "http":
        console.print(f"{folder.path}: cut off before its first checkpoint; it begins again with the first row")
    if found is Found.NOTHING:
        folder.begin()
        if model:
            model.keep_in(folder)
        folder.write_config(dump(config))
    return checkpoint


def _feed(
    config: Config,
    run: Run,
    model: SavedModel | None,
    training: Task,
    watch: Stopwatch,
    console: Console,
    server: HttpServer | None,
) -> BaseException | None:
    """Run the stream to its end; returns what it was cut off by, if it was."""
    panel = run.panel

    def save() -> str | None:
        training.finish()
        return save_model(run.folder, config.detector, panel, model)

    try:
        answering = server.serving(run) if server else nullcontext(())
        with callbacks(config, run, save, console) as looking_on, answering as answers, console.bars(), naming(run.source):
            run.callbacks = [*answers, *looking_on]
            with watch.part("stream"):
                train_network(run.source, panel)
                run.run(save)
            panel.require_scored()
            if not panel.has_model:
                raise too_short(panel, run.rows)
            panel.conclude()
            run.close()
            if reason := save():  # where it stands now
                console.print(reason)
    except (KeyboardInterrupt, AutoencoderError) as fault:
        return _close_after(fault, run, save)
    finally:
        panel.stop()
        watch.seconds["training"] = panel.training_seconds
        watch.seconds["scoring"] = watch.seconds.pop("stream", 0.0) - panel.training_seconds
    return None


def _conclude(
    config: Config,
    run: Run,
    fault: BaseException | None,
    alerts: Alerts | None,
    signals: SignalGuard,
    watch: Stopwatch,
    console: Console,
) -> int:
    """Leave the metrics and the plot, and say how it went."""
    with closing(run.folder):
        if alerts:
            alerts.stop()
        try:
            if config.plot.kind != "none":
                with watch.part("picture"):
                    from autoencoder.commands.picture import draw_plot

                    draw_plot(run)
            signals.ignore()
            metrics = write_metrics(config, run, fault, watch, alerts)
        except RunError as worse:
            raise fault if isinstance(fault, RunError) else worse from None
        lines = alerts.closing_lines() if alerts else []
        lines += unused(config, [one.name for one in run.panel])
        if isinstance(fault, KeyboardInterrupt):
            how = "the same command" if config.source == "http" else "--resume"
            go_on = f"; {how} goes on with it" if has(run.folder.path, CHECKPOINT) else ""
            fault = type(fault)(f"interrupted after {run.rows:,} points; what was done is in {run.folder.path}{go_on}")
        elif not fault:
            run.folder.end()
            if alerts:
                alerts.discard_if_empty()
            lines += closing_lines(run, metrics)
    for line in lines:
        console.print(line)
    if fault:
        raise fault
    return 0


@contextmanager
def _alerts(config: Config, console: Console) -> Iterator[Alerts | None]:
    """What sends alerts, if that is switched on; it ends at once where an error ends the run."""
    alerts = make_alerts(config, console.print)
    try:
        yield alerts
    finally:
        if alerts:
            alerts.stop(wait=False)


def _close_after(fault: BaseException, run: Run, save: Callable[[], object]) -> BaseException:
    """Save what there is of a run that was cut off; returns the error to tell: where the disk is full, that."""
    try:
        with run.critical():
            run.close(is_cut_off=isinstance(fault, KeyboardInterrupt | SourceError | InputError))
            if isinstance(fault, KeyboardInterrupt) and run.is_whole:  # a run that follows has no other end
                save()
    except RunError as worse:
        return fault if isinstance(fault, RunError) else worse
    return fault


def _is_worth_keeping(run: Run, fault: BaseException) -> bool:
    """Whether what was written stays: all but the rows of a training part that is no good and can be read again."""
    wrong_input = isinstance(fault, UsageError | ModelFileError | TrainingError)
    return run.statistics.judged > 0 if wrong_input and run.source.rewindable else run.rows > 0


def _has_only_alerts_left(folder: Path) -> bool:
    return has(folder, OUTBOX) and run_folder.read_metrics(folder).get("status") == "done"


def _send_alerts(alerts: Alerts, path: Path, console: Console) -> int:
    """Deliver what a run that is done could not; returns the exit code, 1 where something still waits."""
    with closing(RunFolder(path, resume=True)) as folder:
        alerts.start(folder)
        alerts.stop()
        folder.write_metrics({**run_folder.read_metrics(path), "alerts": alerts.counts()})
        folder.end()  # a kill at the very end may have left something
        alerts.discard_if_empty()
        for line in alerts.closing_lines():
            console.print(line)
    return 1 if has(path, OUTBOX) else 0
