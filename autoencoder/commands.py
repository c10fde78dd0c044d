"""Commands: one function each; every one gets a configuration and says what it did on the console."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.assembly import make_detector, open_source, training_points
from autoencoder.config import Config, dump
from autoencoder.detector import Detector
from autoencoder.errors import AutoencoderError, ModelError, TrainingError
from autoencoder.pipeline import Stream
from autoencoder.reports.console import Console, Stopwatch, summary
from autoencoder.reports.incidents import Incident, IncidentTracker
from autoencoder.reports.runs import CHECKPOINT, RunFolder, default_folder, read_checkpoint, read_model, read_scores
from autoencoder.reports.tally import Tally
from autoencoder.verdicts import Verdicts
from data.series import DataError, Source
from data.synthetic import SyntheticSource, kinds_of


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
    saved = read_model(options.model) if options.model else None
    folder = RunFolder(options.out or default_folder(config.source), resume=options.resume)
    checkpoint = read_checkpoint(folder.path) if options.resume else None
    source = _open(config, folder, console, watch)
    training = 0 if saved else training_points(config, source.points)
    training_bar = console.progress("training")
    detector = make_detector(config, training, training_bar)
    if saved:
        detector.adopt(*saved)
    tally = Tally()
    stream = Stream(
        source=source,
        detector=detector,
        tracker=IncidentTracker(0, _zone(source)),
        tally=tally,
        folder=folder,
        settings=dump(config),
        checkpoint_every=config.checkpoint.every,
        replays=config.source != "stdin",
    )
    if detector.trained:
        stream.tracker.merge_gap = _merge_gap(config, detector)
    keep = stream.resume(checkpoint, _model_files(folder)) if checkpoint else None
    folder.write("config.yaml", stream.settings)
    folder.open_rows(source.columns, _zone(source), keep)
    if saved:
        folder.write_model(detector.state(), detector.scorer.files())
    if keep and not stream.replays:
        console.say(f"{folder.path}: {stream.rows:,} rows are done; the producer must begin with row {stream.rows + 1:,}")
    if not detector.trained:
        _import_training(config, watch)

    def trained() -> None:
        training_bar.finish()
        stream.tracker.merge_gap = _merge_gap(config, detector)
        folder.write_model(detector.state(), detector.scorer.files())

    fault: BaseException | None = None
    with _window(config, source, training, console) as window, console.bars():
        stream.watchers = (_Bar(console, source, stream), _Announcer(console, source, stream), *([window] if window else []))
        try:
            with _terminate_as_interrupt(), watch.part("stream"):
                stream.run(trained)
            if not detector.trained:
                raise TrainingError(
                    f"{source.name} ended after {stream.rows:,} points, within the training part of {detector.training_points:,}; "
                    "nothing was judged: set training.points to fewer, or use a saved model with --model"
                )
        except (KeyboardInterrupt, DataError, AutoencoderError) as error:
            fault = error
        finally:
            stream.finish()
    watch.seconds["training"] = detector.training_seconds
    watch.seconds["scoring"] = watch.seconds.pop("stream", 0.0) - detector.training_seconds
    files = _report(config, stream, training, watch, _status(fault), console)
    if isinstance(fault, KeyboardInterrupt):
        console.say(f"interrupted after {stream.rows:,} points; what was scored is in {folder.path}")
        return 130
    if fault:
        raise fault
    folder.remove(CHECKPOINT)
    for line in summary(
        source.name, tally.counts(detector.share), training, _quality(stream, training), tally.worst, folder.path, files
    ):
        console.say(line)
    return 0


def train(config: Config, options: Options, console: Console) -> int:
    """Train on the training part of a source and save the model; nothing is scored. Returns the exit code."""
    watch = Stopwatch(options.began)
    folder = RunFolder(options.out or default_folder(f"{config.source}-model"))
    source = _open(config, folder, console, watch)
    bar = console.progress("training")
    detector = make_detector(config, training_points(config, source.points), bar)
    _import_training(config, watch)
    with console.bars(), _terminate_as_interrupt():
        for chunk in source.chunks():
            detector.process(chunk.time, chunk.values)
            if detector.trained:
                break
    if not detector.trained:
        raise TrainingError(
            f"{source.name} ended after {detector.waiting:,} points, within the training part of {detector.training_points:,}; set training.points to fewer"
        )
    folder.write("config.yaml", dump(config))
    folder.write_model(detector.state(), detector.scorer.files())
    watch.seconds["training"] = detector.training_seconds
    folder.write_metrics({"status": "trained", "training": detector.training_report(), "seconds": watch.report()})
    console.say(
        f"{source.name}: trained on {detector.training_points:,} points in {detector.training_seconds:.1f} s; use it with --model {folder.path}"
    )
    return 0


def _open(config: Config, folder: RunFolder, console: Console, watch: Stopwatch) -> Source:
    try:
        with watch.part("source"):
            return open_source(config, console.say)
    except BaseException:
        folder.discard()
        raise


def _import_training(config: Config, watch: Stopwatch) -> None:
    """Import TensorFlow now, so that its seconds are not taken for training."""
    if config.detector == "lstm_autoencoder":
        with watch.part("import"):
            import tensorflow  # noqa: F401 - the import is the purpose


def _model_files(folder: RunFolder) -> dict[str, bytes]:
    try:
        return read_model(folder.path)[1]
    except ModelError:  # cut off within the training part: there is no model yet
        return {}


def _merge_gap(config: Config, detector: Detector) -> int:
    """An anomaly stays in the windows for a while: flags within that time are its echo."""
    gap = config.incidents.merge_gap
    return detector.scorer.span if gap == "auto" else gap


def _zone(source: Source) -> str:
    return "Z" if source.timezone else ""


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever owns it deals with signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _window(config: Config, source: Source, training: int, console: Console) -> Iterator[Any]:
    """The live window, if it was asked for and can be opened; it stays until its user closes it."""
    if config.plot.kind != "live":
        yield None
        return
    from autoencoder.reports.live import LiveWindow, display_available

    reason = display_available()
    if reason:
        console.say(f"--plot live: no display ({reason}); the picture is written to plot.png in the run folder instead")
        yield None
        return
    with LiveWindow(source.name, source.columns, config.plot.window, training, source.timezone) as window:
        watcher = _WindowWatcher(window)
        yield watcher
        if not window.closed:
            console.say("the stream has ended; close the window to go on")
            window.wait()


class _WindowWatcher:
    def __init__(self, window: Any) -> None:
        self._window = window

    def see(self, verdicts: Verdicts, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        self._window.update(verdicts, labels)


class _Bar:
    """Progress of a bounded source."""

    def __init__(self, console: Console, source: Source, stream: Stream) -> None:
        self._bar = console.progress("scoring")
        self._total = source.points
        self._stream = stream

    def see(self, verdicts: Verdicts, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        if self._total and self._stream.detector.trained:
            self._bar(self._stream.rows, self._total, f"{self._stream.tally.incidents:,} incidents")


class _Announcer:
    """Tells of an incident of an unbounded source as it opens: nobody waits for the closing summary of those."""

    def __init__(self, console: Console, source: Source, stream: Stream) -> None:
        self._console = console
        self._unbounded = source.points is None
        self._stream = stream
        self._told = 0

    def see(self, verdicts: Verdicts, ended: list[Incident], labels: npt.NDArray[np.bool_] | None) -> None:
        newest = [*ended, self._stream.tracker.open]
        for incident in newest:
            if self._unbounded and incident and incident.id > self._told:
                self._told = incident.id
                seen, expected = incident.peak_value[0], incident.expected[0]
                self._console.say(
                    f"{incident.start}  anomaly: seen {seen:.5g}, expected {expected:.5g}, severity {incident.severity:.2f}"
                )


def _status(fault: BaseException | None) -> str:
    if fault is None:
        return "done"
    return "interrupted" if isinstance(fault, KeyboardInterrupt) else f"failed: {fault}"


def _quality(stream: Stream, training: int) -> dict[str, Any] | None:
    events = None
    if isinstance(stream.source, SyntheticSource):
        events = {
            kind: [(event.start, event.end) for event in found] for kind, found in kinds_of(stream.source, stream.rows).items()
        }
    return stream.tally.quality(training, events)


def _report(config: Config, stream: Stream, training: int, watch: Stopwatch, status: str, console: Console) -> list[str]:
    """Write metrics.json and the picture; returns the names of the files a reader may look for."""
    folder, detector, tally = stream.folder, stream.detector, stream.tally
    if config.plot.kind != "none":
        with watch.part("picture"):
            _draw(config, stream, training)
    metrics = {
        "status": status,
        "source": {
            "kind": config.source,
            "name": stream.source.name,
            "columns": stream.source.columns,
            "timezone": stream.source.timezone,
        },
        "detector": config.detector,
        "threshold": config.threshold.kind,
        "counts": tally.counts(detector.share),
        "training": detector.training_report(),
        "quality": _quality(stream, training),
        "seconds": watch.report(),
    }
    folder.write_metrics(metrics)
    names = (
        "scores.csv",
        "incidents.jsonl",
        "metrics.json",
        "plot.png",
        "model.onnx",
        "model.keras",
        "detector.npz",
        "config.yaml",
    )
    return [name for name in names if (folder.path / name).is_file()]


def _draw(config: Config, stream: Stream, training: int) -> None:
    from autoencoder.reports.plotting import draw, save

    verdicts = read_scores(stream.folder.path)
    left_out = stream.rows - len(verdicts)
    labels = stream.tally.labels
    figure = draw(
        verdicts,
        title=stream.source.name + (f", newest of {stream.rows:,}" if left_out else ""),
        columns=stream.source.columns,
        training_points=max(0, training - left_out),
        labels=None if labels is None or len(labels) < stream.rows else labels[left_out:],
        timezone=stream.source.timezone,
        spans=[(max(0, first - left_out), last - left_out) for first, last in stream.tally.spans if last >= left_out],
    )
    save(figure, stream.folder.path / "plot.png")
