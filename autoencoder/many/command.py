"""The run over a file of many series: as ``commands.run``, but that every series is judged on its own, and no run is gone on with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from itertools import count

import numpy as np

from autoencoder.assembly import make_alerts, make_detector, open_many, training_points
from autoencoder.config import Config, dump
from autoencoder.core.errors import AutoencoderError, ConfigError, RunError
from autoencoder.detector import StreamDetector
from autoencoder.interrupts import Interrupts
from autoencoder.many.outcome import closing_lines, draw_picture, write_report
from autoencoder.many.series import ManySeries, Series, owners_of
from autoencoder.many.stream import ManyStream
from autoencoder.preparation import (
    Model,
    Options,
    adopt,
    import_training,
    merge_gap,
    read_model_of,
    run_folder,
    write_model,
    zone_of,
)
from autoencoder.reports.console import Console, Stopwatch, Task
from autoencoder.reports.incidents import IncidentTracker
from autoencoder.reports.runs import CONFIG, RunFolder
from autoencoder.scorers.base import Progress
from data.files import FileSource
from data.series import DataError

MOST_WARNINGS = 10  # series whose leaving out is told one by one

Held = Callable[[], AbstractContextManager[None]]


def is_over_many(config: Config, options: Options) -> bool:
    """Whether a run judges the series of a file one by one.

    Raises:
        ConfigError: it should, and cannot.
    """
    if config.csv.series_column is None or config.source not in ("csv", "stdin"):
        return False
    if config.source == "stdin":
        raise ConfigError("csv.series_column means nothing to --source stdin; write the rows to a file, or leave the column out")
    if config.follow:
        raise ConfigError("csv.series_column needs a file that is complete; leave out --follow, or follow a file of one series")
    if config.adaptation.enabled:
        raise ConfigError(
            "csv.series_column and adaptation.enabled do not go together yet; leave one out, or run series by series"
        )
    if options.resume:
        raise ConfigError("--resume: a run over many series begins anew, as its file is complete; leave out --resume")
    return True


def run_many(config: Config, options: Options, watch: Stopwatch, console: Console) -> int:
    """Score all series of a file; leaves a run folder. Returns the exit code."""
    if config.plot.kind == "live":
        console.say("--plot live: the window shows one series; plot.png in the run folder shows the one with the worst incident")
    with Interrupts() as interrupts, closing(make_alerts(config, console.say)) as alerts:
        model = read_model_of(config, options.model) if options.model else None
        bar = console.progress("training")
        with run_folder(options, config.source, interrupts) as folder:
            folder.write(CONFIG, dump(config))
            with watch.part("source"):
                source = open_many(config, console.say)
            template = _template(config, model, source, folder, str(options.model)) if model else None
            stream = ManyStream(source, _all_series(config, source, template, bar, console), folder)
            folder.open_rows(source.columns, zone_of(source), of_many=True)
            stream.tellers = alerts.open(folder, source.name, source.columns)
            if not template:
                import_training(config, watch)
            fault = _feed(stream, interrupts.held, bar, watch, console)
            if fault and not stream.tally.judged:
                raise fault
        alerts.stop()
        try:
            draw_picture(config, stream, watch)
            interrupts.over()
            files = write_report(config, stream, fault, watch, alerts)
        except RunError as worse:
            raise fault if isinstance(fault, RunError) else worse from None
        lines = alerts.closing_lines()
        if isinstance(fault, KeyboardInterrupt):
            lines.append(f"interrupted after {stream.tally.points:,} points; what was done is in {folder.path}")
        elif not fault:
            alerts.clear(folder)
            lines += closing_lines(stream, files)
        for line in lines:
            console.say(line)
        if fault and not isinstance(fault, KeyboardInterrupt):
            raise fault
    return 130 if fault else 0


def _template(config: Config, model: Model, source: FileSource, folder: RunFolder, name: str) -> StreamDetector:
    """The detector of a saved model, of which every series gets a sibling."""
    detector = make_detector(config, 0)
    adopt(detector, model, source, name)
    write_model(config, folder, detector)
    return detector


def _all_series(
    config: Config, source: FileSource, template: StreamDetector | None, progress: Progress, console: Console
) -> ManySeries:
    """The series of a file; those that are too short to be judged are left out."""
    sizes = np.zeros(len(source.series), np.int64)
    for chunk in source.chunks():
        sizes += np.bincount(owners_of(chunk), minlength=len(sizes))
    told = count(1)

    def tell(one: Series) -> None:
        number = next(told)
        if number <= MOST_WARNINGS:
            console.say(f"{source.name}: series {one.name!r} is left out: {one.left_out}")
        elif number == MOST_WARNINGS + 1:
            console.say(f"{source.name}: more series are left out; metrics.json names them all")

    zone = zone_of(source)
    series = [
        _series(config, name, size, zone, template, progress) for name, size in zip(source.series, sizes.tolist(), strict=True)
    ]
    return ManySeries(series, lambda detector: merge_gap(config, detector), tell)


def _series(config: Config, name: str, size: int, zone: str, template: StreamDetector | None, progress: Progress) -> Series:
    chosen = config.incidents
    tracker = IncidentTracker(0, zone, hysteresis=chosen.hysteresis, refractory=chosen.refractory)
    if template:
        return Series(name, tracker, template.clone())
    try:
        points = training_points(config, size)
    except ConfigError as fault:
        return Series(name, tracker, None, left_out=str(fault))
    return Series(name, tracker, make_detector(config, points, progress), points)


def _feed(stream: ManyStream, held: Held, bar: Task, watch: Stopwatch, console: Console) -> BaseException | None:
    """Run the stream to its end; returns what it was cut off by, if it was."""
    try:
        with console.bars():
            with watch.part("training"):
                stream.train(bar)
            bar.finish()
            with watch.part("scoring"):
                stream.run(held, console.progress("scoring"))
            stream.finish()
    except (KeyboardInterrupt, DataError, AutoencoderError) as fault:
        try:
            stream.finish()
        except RunError as worse:
            return fault if isinstance(fault, RunError) else worse
        return fault
    finally:
        own = sum(one.detector.training_seconds for one in stream.many.judged if one.detector)
        watch.seconds["training"] += own
        watch.seconds["scoring"] = watch.seconds.get("scoring", 0.0) - own
    return None
