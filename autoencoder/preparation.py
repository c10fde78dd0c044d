"""Preparation: what every run needs before its first point: its options, its folder, a saved model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoencoder.config import Config
from autoencoder.core.errors import ModelError
from autoencoder.core.state import Reader, State
from autoencoder.detector import Detector
from autoencoder.interrupts import Interrupts
from autoencoder.pipeline import Stream
from autoencoder.reports.console import Stopwatch
from autoencoder.reports.runs import DETECTOR, RunFolder, default_folder, has, is_folder, read_model
from data.series import Source

Model = tuple[State, dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class Options:
    """What a run needs to know beside the configuration.

    Attributes:
        out: run folder; None: a new one below runs/.
        model: run folder whose model is used, so that nothing is trained.
        resume: go on with the run in ``out``.
        began: ``time.perf_counter()`` when the process began.
        attach: called with the stream before it runs, by whoever wants to watch or to steer it.
    """

    out: Path | None = None
    model: Path | None = None
    resume: bool = False
    began: float = 0.0
    attach: Callable[[Stream], None] | None = None


@contextmanager
def run_folder(options: Options, kind: str, interrupts: Interrupts) -> Iterator[RunFolder]:
    """The run folder; what fails inside, before the first point, leaves none behind."""
    if options.resume and not (options.out and is_folder(options.out)):
        raise ModelError(f"--resume: {options.out} is not a folder; give the --out folder of the run that was cut off")
    folder = None
    try:
        with interrupts.held():
            folder = RunFolder(options.out or default_folder(kind), resume=options.resume)
        yield folder
    except BaseException:
        if folder:
            folder.discard()
        raise


def read_model_of(config: Config, folder: Path) -> Model:
    """A saved model of the detector that is asked for.

    Raises:
        ModelError: missing, damaged, or of another detector.
    """
    state, files = read_model(folder)
    made = Reader(state, f"the model in {folder}").text("detector")
    if made != config.detector:
        raise ModelError(
            f"--model {folder} holds a model of {made:.40}, this run asks for {config.detector}; "
            "leave out --detector, or train another model"
        )
    return state, files


def adopt(detector: Detector, model: Model, source: Source, folder: str) -> None:
    """Give a detector what the model learnt.

    Raises:
        ModelError: damaged, or of a stream with more or fewer columns.
    """
    state, files = model
    trained, found = Reader(state, f"the model in {folder}").integer("features", 1), len(source.columns)
    if trained != found:
        raise ModelError(
            f"--model {folder} was trained on {trained} column{'s' * (trained > 1)}, {source.name} has {found} "
            f"({', '.join(source.columns)}); choose as many with --column, in the same order"
        )
    try:
        detector.adopt(state, files)
    except ModelError as error:
        raise ModelError(f"--model {folder}: {error}") from error


def write_model(config: Config, folder: RunFolder, detector: Detector) -> None:
    """Save what was learnt, and the name of what learnt it."""
    folder.write_model({"detector": config.detector, **detector.saved_model()}, detector.scorer.artifacts())


def keep_given_model(folder: RunFolder, model: Model) -> None:
    """Put the model of --model into the run's own folder, so that the run does not need the other one again."""
    state, files = model
    folder.write_model({**state, "given": True}, files)


def given_model(folder: Path) -> Model | None:
    """What ``keep_given_model`` put into a folder, None where there is no such thing: the run trains a model of its own.

    Raises:
        ModelError: damaged.
    """
    model = read_model(folder) if has(folder, DETECTOR) else None
    return model if model and model[0].get("given") is True else None


def import_training(config: Config, watch: Stopwatch) -> None:
    """Import TensorFlow now, so that its seconds are not taken for training."""
    if config.detector == "lstm_autoencoder":
        with watch.part("import"):
            import tensorflow  # noqa: F401 - the import is the purpose


def merge_gap(config: Config, detector: Detector) -> int:
    """An anomaly stays in the windows for a while: flags within that time are its echo."""
    gap = config.incidents.merge_gap
    if config.adaptation.starts_early and gap == "auto":  # what judges first looks back on less than what judges then
        return config.network.steps
    return detector.scorer.window if gap == "auto" else gap


def zone_of(source: Source) -> str:
    """What is put behind every time of a source."""
    return "Z" if source.timezone else ""
