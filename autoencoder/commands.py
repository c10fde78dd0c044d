"""Commands: one function each; every one gets a configuration and says what it did on the console."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoencoder.assembly import make_detector, open_source, training_points
from autoencoder.config import Config, dump
from autoencoder.detector import Detector
from autoencoder.errors import AutoencoderError, ConfigError, ModelError, TrainingError
from autoencoder.interrupts import Interrupts
from autoencoder.onlookers import Announcer, Bar, live_window
from autoencoder.outcome import closing_lines, write_report
from autoencoder.pipeline import Stream
from autoencoder.reports.console import Console, Stopwatch, Task
from autoencoder.reports.incidents import IncidentTracker
from autoencoder.reports.runs import (
    CHECKPOINT,
    CONFIG,
    RunFolder,
    default_folder,
    has,
    is_folder,
    read_checkpoint,
    read_model,
    read_model_files,
)
from autoencoder.reports.tally import Tally
from autoencoder.state import Reader, State
from data.series import DataError, Source

Model = tuple[State, dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class Options:
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


def run(config: Config, options: Options, console: Console) -> int:
    """Judge a whole source, or as much of it as comes; leaves a run folder. Returns the exit code."""
    watch = Stopwatch(options.began)
    watch.seconds["start"] = time.perf_counter() - options.began
    with Interrupts() as interrupts:
        model = _read_model(config, options.model) if options.model else None
        bar = console.progress("training")
        with _run_folder(options, config.source, interrupts) as folder:
            checkpoint = read_checkpoint(folder.path) if options.resume else None
            with watch.part("source"):
                source = open_source(config, console.say)
            training = 0 if model else training_points(config, source.points)
            detector = make_detector(config, training, bar)
            stream = Stream(
                source=source,
                detector=detector,
                tracker=IncidentTracker(
                    0, _zone(source), hysteresis=config.incidents.hysteresis, refractory=config.incidents.refractory
                ),
                tally=Tally(),
                folder=folder,
                settings=dump(config),
                checkpoint_every=config.checkpoint.every,
                training_points=training,
                replays=config.source != "stdin",
                unbroken=interrupts.held,
            )
            if model:
                _adopt(detector, model, source, str(options.model))
                stream.tracker.merge_gap = _merge_gap(config, detector)
            keep = stream.resume(checkpoint, read_model_files(folder.path)) if checkpoint else None
            if options.resume:
                _say_where_it_goes_on(stream, console)
            folder.write(CONFIG, stream.settings)
            folder.open_rows(source.columns, _zone(source), keep)
            if model:
                _write_model(config, folder, detector)
            if not detector.trained:
                _import_training(config, watch)
        fault = _feed(config, stream, bar, watch, console)
        if fault and not _is_worth_keeping(stream, fault):
            folder.discard()
            raise fault
        files = write_report(config, stream, fault, watch)
        if isinstance(fault, KeyboardInterrupt):
            go_on = "; --resume goes on with it" if has(folder.path, CHECKPOINT) else ""
            console.say(f"interrupted after {stream.rows:,} points; what was done is in {folder.path}{go_on}")
            return 130
        if fault:
            raise fault
        folder.remove(CHECKPOINT)
        for line in closing_lines(stream, files):
            console.say(line)
    return 0


def train(config: Config, options: Options, console: Console) -> int:
    """Train on the training part of a source and save the model; nothing is scored. Returns the exit code."""
    watch = Stopwatch(options.began)
    with Interrupts() as interrupts, _run_folder(options, f"{config.source}-model", interrupts) as folder:
        with watch.part("source"):
            source = open_source(config, console.say)
        detector = make_detector(config, training_points(config, source.points), console.progress("training"))
        _import_training(config, watch)
        with console.bars(), _naming(source):
            for chunk in source.chunks():
                detector.process(chunk.time, chunk.values)
                if detector.trained:
                    break
            else:
                raise _too_short(detector, detector.waiting)
        folder.write(CONFIG, dump(config))
        _write_model(config, folder, detector)
        watch.seconds["training"] = detector.training_seconds
        folder.write_metrics({"status": "trained", "training": detector.training_report(), "seconds": watch.report()})
    trained = f"{source.name}: trained on {detector.training_points:,} points in {detector.training_seconds:.1f} s"
    console.say(f"{trained}; use it with --model {folder.path}")
    return 0


def _feed(config: Config, stream: Stream, bar: Task, watch: Stopwatch, console: Console) -> BaseException | None:
    """Run the stream to its end; returns what it was cut off by, if it was."""
    detector = stream.detector

    def trained() -> None:
        bar.finish()
        stream.tracker.merge_gap = _merge_gap(config, detector)
        _write_model(config, stream.folder, detector)

    try:
        with live_window(config, stream, console) as window, console.bars(), _naming(stream.source):
            stream.watchers = (Bar(console, stream), Announcer(console, stream), *window)
            with watch.part("stream"):
                stream.run(trained)
            if not detector.trained:
                raise _too_short(detector, stream.rows)
            stream.finish()
    except (KeyboardInterrupt, DataError, AutoencoderError) as fault:
        stream.finish(cut_off=isinstance(fault, KeyboardInterrupt | DataError))
        return fault
    finally:
        watch.seconds["training"] = detector.training_seconds
        watch.seconds["scoring"] = watch.seconds.pop("stream", 0.0) - detector.training_seconds
    return None


@contextmanager
def _run_folder(options: Options, kind: str, interrupts: Interrupts) -> Iterator[RunFolder]:
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


@contextmanager
def _naming(source: Source) -> Iterator[None]:
    """A series that cannot be learnt is named; below here nobody knows its name."""
    try:
        yield
    except TrainingError as error:
        raise TrainingError(f"{source.name}: {error}") from error


def _too_short(detector: Detector, points: int) -> TrainingError:
    return TrainingError(
        f"ended after {points:,} points, within the training part of {detector.training_points:,}; nothing was judged: "
        "set training.points to fewer, or use a saved model with --model"
    )


def _is_worth_keeping(stream: Stream, fault: BaseException) -> bool:
    """Whatever was written is, but for the rows of a training part that is no good and can be read again."""
    wrong_input = isinstance(fault, ConfigError | ModelError | TrainingError)
    return stream.tally.judged > 0 if wrong_input and stream.replays else stream.rows > 0


def _say_where_it_goes_on(stream: Stream, console: Console) -> None:
    """Tell what is done already.

    Raises:
        ModelError: there are rows, but it is not known how many of them the model has seen.
    """
    path = stream.folder.path
    if stream.rows and not stream.replays:
        console.say(f"{path}: {stream.rows:,} rows are done; the producer must begin with row {stream.rows + 1:,}")
    elif not stream.rows and not stream.replays:
        raise ModelError(f"--resume: {path} was cut off before its first checkpoint, and stdin gives no row twice; run anew")
    elif not stream.rows:
        console.say(f"{path}: cut off before its first checkpoint; it begins again with the first row")


def _read_model(config: Config, folder: Path) -> Model:
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


def _adopt(detector: Detector, model: Model, source: Source, folder: str) -> None:
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


def _write_model(config: Config, folder: RunFolder, detector: Detector) -> None:
    """Save what was learnt, and the name of what learnt it."""
    folder.write_model({"detector": config.detector, **detector.state()}, detector.scorer.files())


def _import_training(config: Config, watch: Stopwatch) -> None:
    """Import TensorFlow now, so that its seconds are not taken for training."""
    if config.detector == "lstm_autoencoder":
        with watch.part("import"):
            import tensorflow  # noqa: F401 - the import is the purpose


def _merge_gap(config: Config, detector: Detector) -> int:
    """An anomaly stays in the windows for a while: flags within that time are its echo."""
    gap = config.incidents.merge_gap
    return detector.scorer.span if gap == "auto" else gap


def _zone(source: Source) -> str:
    return "Z" if source.timezone else ""
