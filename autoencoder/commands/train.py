"""The command ``train``: models of a source, saved for others; and the first steps that a run takes in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoencoder.config import Config, dump
from autoencoder.console import Console, Stopwatch
from autoencoder.core.errors import RunError, TrainingError
from autoencoder.factory.runs import is_at_hand, make_panel
from autoencoder.factory.sources import open_source
from autoencoder.interrupts import SignalGuard
from autoencoder.models import save_model
from autoencoder.panel.panel import Panel
from autoencoder.reports.run_folder import CONFIG, RunFolder, default_folder
from autoencoder.sources.chunk import Source
from autoencoder.sources.wrapped import WholeSource


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs to know beside the configuration."""

    out: Path | None = None  # run folder; None: a new one below runs/
    model: Path | None = None  # run folder whose model is used, so that nothing is trained
    resume: bool = False  # go on with the run in ``out``
    began: float = 0.0  # ``time.perf_counter()`` when the process began
    name: Path | None = None  # what ``out`` is called later


def train(config: Config, options: RunOptions, console: Console) -> int:
    """Train on a source, or on each of its series, and save the model, which stands at its end. Returns the exit code.

    All of a source that ends trains, or the first ``training.points`` where that is set; then the model only sees the rest.
    """
    watch = Stopwatch(options.began)
    with SignalGuard() as signals, open_folder(options, f"{config.source}-model", signals) as folder:
        with watch.part("source"):
            source = open_source(config, console.print)
            if config.source == "stdin" and config.training.points is None:
                source = WholeSource(source)
        # all of a source that ends trains, where ``training.points`` does not say otherwise
        on_all = config.model_copy(update={"training": config.training.model_copy(update={"fraction": 1.0})})
        panel = make_panel(on_all, source, None, console.print, console.progress("training"), adapts=False)
        import_training(config, source, watch)
        with console.bars(), naming(source):
            train_network(source, panel)
            rows = _feed(source, panel)
            panel.require_scored()
            if not panel.has_model:
                raise too_short(panel, rows)
        folder.write(CONFIG, dump(config))
        if reason := save_model(folder, config.detector, panel):
            raise RunError(reason)
        watch.seconds["training"] = panel.training_seconds
        folder.write_metrics({"status": "trained", "training": panel.info(), "seconds": watch.report()})
        folder.close()
    trained = f"{source.name}: trained on {panel.training_points:,} points in {panel.training_seconds:.1f} s"
    console.print(f"{trained}; use it with --model {options.name or folder.path}")
    return 0


def _feed(source: Source, panel: Panel) -> int:
    """Give a panel the whole of a source that ends, of another as much as it is trained on; returns the number of rows."""
    rows = 0
    for chunk in source.chunks():
        rows += len(chunk)
        panel.process(chunk, source.series)
        if panel.is_fitted and not is_at_hand(source):
            break
    return rows


@contextmanager
def open_folder(options: RunOptions, kind: str, signals: SignalGuard) -> Iterator[RunFolder]:
    """The run folder; what fails inside, before the first point, leaves none behind."""
    folder = None
    try:
        with signals.critical():
            folder = RunFolder(options.out or default_folder(kind), resume=options.resume)
        yield folder
    except BaseException:
        if folder:
            folder.discard()
        raise


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """A source that cannot be learnt is named in the error; below here its name is not known."""
    try:
        yield
    except TrainingError as error:
        raise TrainingError(f"{source.name}: {error}") from error


def train_network(source: Source, panel: Panel) -> None:
    """Train the network that the series of a bounded source share, which takes an extra pass over their training parts."""
    if is_at_hand(source) and source.has_series and not panel.has_model:
        panel.fit_network(source.chunks(), source.series)


def import_training(config: Config, source: Source, watch: Stopwatch) -> None:
    """Import TensorFlow now, so that its seconds are not taken for training."""
    if config.detector == "lstm_autoencoder" and not config.starts_early(of_many=source.has_series):
        with watch.part("import"):
            import tensorflow  # noqa: F401 - the import is the purpose


def too_short(panel: Panel, points: int) -> TrainingError:
    """The error of a source that ended before a training part was complete."""
    return TrainingError(
        f"ended after {points:,} points, within the training part of {panel.training_points:,}; nothing was judged: "
        "set training.points to fewer, or use a saved model with --model"
    )
