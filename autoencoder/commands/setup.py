"""Setup: what the commands that read a source share: options, the run folder, training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoencoder.config import Config
from autoencoder.console import Stopwatch
from autoencoder.core.errors import ResumeError, TrainingError
from autoencoder.factory.runs import is_at_hand
from autoencoder.interrupts import SignalGuard
from autoencoder.panel.panel import Panel
from autoencoder.reports.run_folder import RunFolder, default_folder, is_folder
from autoencoder.sources.chunk import Source


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs to know beside the configuration.

    Attributes:
        out: run folder; None: a new one below runs/.
        model: run folder whose model is used, so that nothing is trained.
        resume: go on with the run in ``out``.
        began: ``time.perf_counter()`` when the process began.
    """

    out: Path | None = None
    model: Path | None = None
    resume: bool = False
    began: float = 0.0


@contextmanager
def open_folder(options: RunOptions, kind: str, signals: SignalGuard) -> Iterator[RunFolder]:
    """The run folder; what fails inside, before the first point, leaves none behind."""
    if options.resume and not (options.out and is_folder(options.out)):
        raise ResumeError(f"--resume: {options.out} is not a folder; give the --out folder of the run that was cut off")
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


def import_training(config: Config, watch: Stopwatch) -> None:
    """Import TensorFlow now, so that its seconds are not taken for training."""
    if config.detector == "lstm_autoencoder" and not config.adaptation.starts_early:
        with watch.part("import"):
            import tensorflow  # noqa: F401 - the import is the purpose


def too_short(panel: Panel, points: int) -> TrainingError:
    """The error of a source that ended before a training part was complete."""
    return TrainingError(
        f"ended after {points:,} points, within the training part of {panel.training_points:,}; nothing was judged: "
        "set training.points to fewer, or use a saved model with --model"
    )
