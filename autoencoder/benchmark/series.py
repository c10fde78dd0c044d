"""``bench series``: a folder of labelled series, each trained on its first rows, scored on the rest, beside two controls.

The files are ``<set>/<name>_<train>.csv`` or ``.csv.gz`` with the columns ``timestamp,value[,more],label``; the first ``<train>`` rows
train, and their labels are not looked at.
"""

from __future__ import annotations

import copy
import csv
import gzip
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from autoencoder.benchmark.controls import CONTROLS, t2q_errors
from autoencoder.benchmark.metrics import confusions
from autoencoder.benchmark.runner import Bench, Report, find_file, require_folder, write_table
from autoencoder.benchmark.series_report import T2Q, Outcome, figures_of, report
from autoencoder.config import Config
from autoencoder.core.errors import InputError, TrainingError
from autoencoder.core.types import Array, Bools, Detections, unknown
from autoencoder.detector import MAX_CALIBRATION_ERRORS, Detector
from autoencoder.factory.detectors import make_waited_for
from autoencoder.factory.runs import gaps_of, make_tracker
from autoencoder.reports.incidents import Incident
from autoencoder.scorers.base import Scored, to_detections
from autoencoder.scorers.evidence import DEPENDENCE, PARTS
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.files import FileSource
from autoencoder.sources.schema import ColumnSelection
from autoencoder.thresholds.budget import Budget, interval_of
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold

NAME = re.compile(r"(?P<name>.+)_(?P<train>\d+)\.csv(\.gz)?")
LAYOUT = "a folder of labelled series holds <set>/<name>_<train>.csv or .csv.gz with timestamp,value[,more],label"
CHUNK = 4096  # points that are scored together
HEADER = ("error", "threshold", "score", "anomaly", "label")


@dataclass(frozen=True, slots=True)
class Series:
    """One labelled series: all its rows, the first of which train."""

    rows: Chunk
    train: int
    columns: tuple[str, ...]
    timezone: str | None

    @property
    def rest(self) -> Chunk:
        """The rows that are scored."""
        return self.rows[self.train :]

    @property
    def labels(self) -> Bools:
        """(N,) of the rows that are scored."""
        labels = self.rest.labels
        return np.zeros(len(self.rest), dtype=np.bool_) if labels is None else labels

    def share(self, config: Config) -> float:
        """Share of normal points that may be flagged."""
        return Budget.parse(config.threshold.budget).share(interval_of(self.rows.time[: self.train]))


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """One file of the folder."""

    path: Path
    set_name: str  # of its folder
    short: str  # its name without the training rows
    train: int

    @property
    def name(self) -> str:
        """Within the folder, e.g. "wsd/wsd_00"."""
        return f"{self.set_name}/{self.short}"

    @property
    def names(self) -> tuple[str, ...]:
        """What ``--file`` may call it."""
        return self.name, self.path.name, self.path.name.split(".csv")[0], self.short

    def read(self) -> Series:
        """Read the series. Raises InputError: it cannot be read, has no such columns, or nothing follows the training part."""
        names = [name for name in _header(self.path) if name not in ("timestamp", "label")] or ["value"]
        source = FileSource(self.path, ColumnSelection(names, time="timestamp", label="label"))
        rows = Chunk.concatenate(list(source.chunks()))
        if len(rows) <= self.train:
            raise InputError(
                f"{self.path}: the name says that {self.train} rows train, but it holds {len(rows)}; some must follow"
            )
        return Series(rows, self.train, source.columns, source.timezone)

    def result(self, out: Path, detector: str) -> Path:
        """Where a detector's result is kept."""
        return out / detector / self.set_name / f"{self.short}.csv"


Judge = Callable[[], Detections]  # of the rows that are scored; TrainingError where nothing can be learnt


def run(bench: Bench) -> Report | None:
    """Score every series with every detector and the controls, or with ``--file`` one, and draw its pictures."""
    files = series_files(bench.arguments.path)
    name = bench.arguments.file
    wanted = find_file({file: file.names for file in files}, name) if name else None
    bench.scorers()
    out = bench.open_results()
    if wanted is None:
        outcomes = bench.run_jobs({file: file.name for file in files}, partial(_score, bench, out))
        return report([outcome for group in outcomes for outcome in group], bench.config.threshold.budget)
    series = wanted.read()
    for name, judge in _judges(bench, series).items():
        bench.console.print(f"{_draw(wanted, series, wanted.result(out, name), name, judge)}")
    return None


def _score(bench: Bench, out: Path, file: SeriesFile) -> list[Outcome]:
    """Outcomes of all detectors on a series."""
    series, outcomes = file.read(), []
    for name, judge in _judges(bench, series).items():
        detections, untrained = _result(series, file.result(out, name), judge, file.path)
        incidents = _incidents(bench.config, detections)
        figures = figures_of(detections, series.labels, series.share(bench.config), file.set_name, incidents)
        spans = [(each.first_row, each.last_row + 1) for each in incidents]
        rows = confusions(detections.anomalies, series.labels, spans)
        outcomes.append(Outcome(name, file.set_name, file.name, figures, untrained, rows, len(series.columns)))
    return outcomes


def _incidents(config: Config, detections: Detections) -> list[Incident]:
    """The incidents of a run with these detections."""
    tracker = make_tracker(config.incidents)
    tracker.set_gaps(*gaps_of(config.incidents, config.network.sequence_length, interval_of(detections.time)))
    return [*tracker.process(detections), *tracker.finish()]


def _judges(bench: Bench, series: Series) -> dict[str, Judge]:
    """What judges a series, by name: detectors, these without a part of their evidence where it is asked for, and the controls."""

    @cache
    def trained(name: str) -> Detector:
        with bench.training() as progress:
            detector = make_waited_for(bench.detectors[name], series.train, progress)
            scorer = detector.current.scorer
            if isinstance(scorer, LstmAutoencoderScorer):
                scorer.keeps_surprises = bench.arguments.evidence
            detector.process(series.rows.time[: series.train], series.rows.values[: series.train])
        return detector

    def judge(name: str, without: str | None = None) -> Detections:
        detector = copy.deepcopy(trained(name))
        if without:
            detector = detector.current  # a model that is trained later has all parts again
            assert isinstance(detector.scorer, LstmAutoencoderScorer)
            detector.scorer.leave_out(without)
            detector.recalibrate(detector.scorer.calibration_errors)
        return Detections.concatenate([detector.process(part.time, part.values) for part in series.rest.split(CHUNK)])

    judges: dict[str, Judge] = {name: partial(judge, name) for name in bench.detectors}
    if bench.arguments.evidence:
        parts = [part for part in PARTS if part != DEPENDENCE or len(series.columns) > 1]
        whole = [name for name in bench.detectors if name == LstmAutoencoderScorer.name]
        judges |= {f"{name} without {part}": partial(judge, name, part) for name in whole for part in parts}
    controls = {**CONTROLS, **({T2Q: t2q_errors} if len(series.columns) > 1 else {})}
    return judges | {name: partial(_control, bench.config, errors_of, series) for name, errors_of in controls.items()}


def _result(series: Series, path: Path, judge: Judge, data: Path) -> tuple[Detections, str | None]:
    """Detections of the rest of a series, as an earlier run left them or anew, and why nothing was learnt, if so."""
    detections, untrained = _finished(series, path, data), None
    if detections is None:
        try:
            detections = judge()
        except TrainingError as error:
            detections, untrained = Detections.unknown(series.rest.time, series.rest.values), str(error)
        numbers = (detections.errors, detections.thresholds, detections.scores)
        marks = (detections.anomalies.astype(int), series.labels.astype(int))
        write_table(path, dict(zip(HEADER, (*numbers, *marks), strict=True)))
    return detections, untrained


def _control(config: Config, errors_of: Callable[[Array, int], Array], series: Series) -> Detections:
    errors, rest = errors_of(series.rows.values, series.train), series.rest
    judged = errors[series.train :]
    if errors_of is t2q_errors:  # it has limits of its own; how probable a normal error as large is it does not say
        limits = np.ones(len(rest)), unknown(len(rest))
    else:
        threshold = PeaksOverThreshold(series.share(config), config.threshold.window)
        threshold.fit(errors[: series.train][-MAX_CALIBRATION_ERRORS:])
        limits = threshold.judge(judged)
    return to_detections(rest.time, rest.values, Scored(judged, unknown(*rest.values.shape), judged), *limits)


def _draw(file: SeriesFile, series: Series, result: Path, name: str, judge: Judge) -> Path:
    """Score one file and draw what was missed and what was false; returns the picture's path."""
    from autoencoder.benchmark.series_picture import draw
    from autoencoder.reports.panels import save

    path = result.with_suffix(".png")
    detections, _ = _result(series, result, judge, file.path)
    detections = replace(detections, predictions=unknown(*detections.values.shape))  # a result of an earlier run has none
    save(draw(detections, series.labels, f"{file.name}, {name}", series.columns, series.timezone), path)
    return path


# --- the folder ---


def series_files(path: Path) -> list[SeriesFile]:
    """List the files of a folder of labelled series, by set and name; files of other kinds are passed over.

    Raises:
        InputError: the folder is missing, holds no series, a name does not tell the training part, or two are named alike.
    """
    require_folder(path, LAYOUT)
    files = [_series_file(file) for file in sorted((*path.glob("*/*.csv"), *path.glob("*/*.csv.gz")))]
    if not files:
        raise InputError(f"{path}: found no series; {LAYOUT}")
    known: dict[str, SeriesFile] = {}
    for file in files:
        if (other := known.setdefault(file.name, file)) is not file:
            raise InputError(f"{file.path}: {other.path.name} has the same name before the training rows; rename one of them")
    return files


def _series_file(path: Path) -> SeriesFile:
    match = NAME.fullmatch(path.name)
    if match is None or int(match["train"]) < 1:
        raise InputError(f"{path}: the name does not tell how many rows train; {LAYOUT}")
    return SeriesFile(path, path.parent.name, match["name"], int(match["train"]))


def _header(path: Path) -> Sequence[str]:
    """Names of the columns; none where the file cannot be read, which ``FileSource`` then tells."""
    opened = gzip.open if path.suffix == ".gz" else open
    with suppress(OSError, EOFError, UnicodeDecodeError, csv.Error), opened(path, "rt", encoding="utf-8-sig") as lines:
        return [name.strip() for name in next(csv.reader(lines), ())]
    return ()


# --- results ---


def _finished(series: Series, path: Path, data: Path) -> Detections | None:
    """Detections that an earlier run left; None where there are none, the data are newer or others, or nothing was learnt."""
    try:
        is_older = path.stat().st_mtime < data.stat().st_mtime
        source = FileSource(path, ColumnSelection(HEADER[:-1], label=HEADER[-1]))
    except (OSError, InputError):  # not there, or cut off
        return None
    found, rest = Chunk.concatenate(list(source.chunks())), series.rest
    errors, limits, scores, anomalies = found.values.T
    same = found.labels is not None and np.array_equal(found.labels, series.labels)
    if is_older or not same or np.isnan(errors).all():
        return None
    return Detections(rest.time, rest.values, unknown(*rest.values.shape), errors, limits, scores, anomalies > 0)
