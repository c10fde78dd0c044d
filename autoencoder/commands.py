"""Commands: one function each; every one gets a configuration and says what it did on the console."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from autoencoder.assembly import make_adaptive, make_alerts, make_detector, open_source, training_points
from autoencoder.config import Config, dump
from autoencoder.core.errors import AutoencoderError, ConfigError, ModelError, RunError, TrainingError
from autoencoder.detector import Detector
from autoencoder.interrupts import Interrupts
from autoencoder.many.command import is_over_many, run_many
from autoencoder.onlookers import Announcer, Bar, live_window
from autoencoder.outcome import closing_lines, draw_picture, write_report
from autoencoder.pipeline import Stream, rows_done
from autoencoder.preparation import (
    Options,
    adopt,
    given_model,
    import_training,
    keep_given_model,
    merge_gap,
    read_model_of,
    run_folder,
    write_model,
    zone_of,
)
from autoencoder.reports.adaptations import AdaptationLog
from autoencoder.reports.console import Console, Stopwatch, Task
from autoencoder.reports.incidents import IncidentTracker
from autoencoder.reports.runs import (
    CHECKPOINT,
    CONFIG,
    SPOOL,
    RunFolder,
    has,
    read_checkpoint,
    read_metrics,
    read_model_files,
)
from autoencoder.reports.tally import Tally
from data.series import DataError, Source


def run(config: Config, options: Options, console: Console) -> int:
    """Score a whole source, or as much of it as comes; leaves a run folder. Returns the exit code."""
    watch = Stopwatch(options.began)
    watch.seconds["start"] = time.perf_counter() - options.began
    if options.resume and options.out and config.alerts.webhook.enabled and _has_only_alerts_left(options.out):
        return _send_alerts(config, options.out, console)
    if is_over_many(config, options):
        return run_many(config, options, watch, console)
    with Interrupts() as interrupts, closing(make_alerts(config, console.say)) as alerts:
        model = read_model_of(config, options.model) if options.model else None
        bar = console.progress("training")
        with run_folder(options, config.source, interrupts) as folder:
            checkpoint = read_checkpoint(folder.path) if options.resume else None
            if not options.resume:  # first of all, so that a run that is killed before its first row can be resumed
                if model:
                    keep_given_model(folder, model)
                folder.write(CONFIG, dump(config))
            else:  # before the source is opened, which may wait for a producer, who waits for this
                _say_where_it_goes_on(config, folder.path, rows_done(checkpoint, dump(config)) if checkpoint else 0, console)
                model = None if checkpoint else given_model(folder.path)
            with watch.part("source"):
                source = open_source(config, console.say)
            training = 0 if model else training_points(config, source.points)
            at_hand = source.points is not None and not config.synthetic.pace  # its points are there before they are asked for
            detector: Detector
            if config.adaptation.enabled:
                detector = make_adaptive(config, training, bar, early=not model, waits=at_hand)
            else:
                detector = make_detector(config, training, bar)
            stream = Stream(
                source=source,
                detector=detector,
                tracker=IncidentTracker(
                    0, zone_of(source), hysteresis=config.incidents.hysteresis, refractory=config.incidents.refractory
                ),
                tally=Tally(),
                folder=folder,
                settings=dump(config),
                checkpoint_every=config.checkpoint.every,
                training_points=detector.training_points,
                replays=config.source != "stdin",
                reads_ahead=at_hand,
                revises=config.source == "yfinance",
                unbroken=interrupts.held,
                warn=console.say,
            )
            if model:
                adopt(detector, model, source, str(options.model or folder.path))
                stream.tracker.merge_gap = merge_gap(config, detector)
            keep = stream.resume(checkpoint, read_model_files(folder.path)) if checkpoint else None
            if options.resume:
                folder.write(CONFIG, stream.settings)
            folder.open_rows(source.columns, zone_of(source), keep)
            stream.tellers = alerts.open(folder, source.name, source.columns)
            if config.adaptation.enabled:
                log = AdaptationLog(folder, detector, zone_of(source), lambda: write_model(config, folder, detector))
                stream.watchers = (log,)
            if not detector.trained and not config.adaptation.starts_early:
                import_training(config, watch)
        fault = _feed(config, stream, bar, watch, console)
        if fault and not _is_worth_keeping(stream, fault):
            folder.discard()
            raise fault
        alerts.stop()
        try:
            draw_picture(config, stream, watch)
            interrupts.over()
            files = write_report(config, stream, fault, watch, alerts)
        except RunError as worse:
            raise fault if isinstance(fault, RunError) else worse from None
        if fault:
            _say_all(alerts.closing_lines(), console)
        if isinstance(fault, KeyboardInterrupt):
            go_on = "; --resume goes on with it" if has(folder.path, CHECKPOINT) else ""
            console.say(f"interrupted after {stream.rows:,} points; what was done is in {folder.path}{go_on}")
            return 130
        if fault:
            raise fault
        folder.remove(CHECKPOINT)
        alerts.clear(folder)
        _say_all([*alerts.closing_lines(), *closing_lines(stream, files)], console)
    return 0


def _has_only_alerts_left(folder: Path) -> bool:
    return has(folder, SPOOL) and read_metrics(folder).get("status") == "done"


def _send_alerts(config: Config, path: Path, console: Console) -> int:
    """Deliver what a run that is done could not; returns the exit code, 1 where something still waits."""
    with (
        Interrupts(),
        closing(make_alerts(config, console.say)) as alerts,
        closing(RunFolder(path, resume=True)) as folder,
    ):
        alerts.deliver(folder)
        folder.write_metrics({**read_metrics(path), "alerts": alerts.counts()})
        folder.remove(CHECKPOINT)  # a kill at the very end may have left it
        alerts.clear(folder)
        _say_all(alerts.closing_lines(), console)
    return 1 if has(path, SPOOL) else 0


def _say_all(lines: Iterable[str], console: Console) -> None:
    for line in lines:
        console.say(line)


def train(config: Config, options: Options, console: Console) -> int:
    """Train on the training part of a source and save the model; nothing is scored. Returns the exit code."""
    if is_over_many(config, options):
        raise ConfigError(
            "csv.series_column means nothing to train, which makes a model of one series; give a file of one, without it"
        )
    watch = Stopwatch(options.began)
    with Interrupts() as interrupts, run_folder(options, f"{config.source}-model", interrupts) as folder:
        with watch.part("source"):
            source = open_source(config, console.say)
        detector = make_detector(config, training_points(config, source.points), console.progress("training"))
        import_training(config, watch)
        with console.bars(), _naming(source):
            for chunk in source.chunks():
                detector.process(chunk.time, chunk.values)
                if detector.trained:
                    break
            else:
                raise _too_short(detector, detector.waiting)
        folder.write(CONFIG, dump(config))
        write_model(config, folder, detector)
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
        stream.tracker.merge_gap = merge_gap(config, detector)
        if detector.has_model:
            write_model(config, stream.folder, detector)

    try:
        with live_window(config, stream, console) as window, console.bars(), _naming(stream.source):
            stream.watchers = (Bar(console, stream), Announcer(console, stream), *window, *stream.watchers)
            with watch.part("stream"):
                stream.run(trained)
            if not detector.trained:
                raise _too_short(detector, stream.rows)
            stream.finish()
    except (KeyboardInterrupt, DataError, AutoencoderError) as fault:
        return _finish_after(fault, stream)
    finally:
        detector.stop()
        watch.seconds["training"] = detector.training_seconds
        watch.seconds["scoring"] = watch.seconds.pop("stream", 0.0) - detector.training_seconds
    return None


def _finish_after(fault: BaseException, stream: Stream) -> BaseException:
    """Save what there is of a stream that was cut off; returns the fault to tell of: where the disk is full, that."""
    try:
        stream.finish(cut_off=isinstance(fault, KeyboardInterrupt | DataError))
    except RunError as worse:
        return fault if isinstance(fault, RunError) else worse
    return fault


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


def _say_where_it_goes_on(config: Config, path: Path, rows: int, console: Console) -> None:
    """Tell what is done already, and what the producer of a pipe must leave out."""
    if config.source == "stdin":
        console.say(f"{path}: {rows:,} rows are done; the producer must begin with row {rows + 1:,}")
    elif not rows:
        console.say(f"{path}: cut off before its first checkpoint; it begins again with the first row")
