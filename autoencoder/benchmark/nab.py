"""``bench nab``: a folder laid out like the Numenta Anomaly Benchmark, every file a stream, one configuration for all.

Source: https://github.com/numenta/NAB
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.benchmark.nab_score import PROFILES, FileResult, Times, Window, nab_counts, nab_scores, probation_points
from autoencoder.benchmark.runner import Bench, Report, find_file, read_text, require_folder, table, untrained_lines, write_table
from autoencoder.core.errors import InputError, TrainingError
from autoencoder.core.types import Array, Detections, Progress
from autoencoder.detector import Detector
from autoencoder.factory.detectors import make_waited_for
from autoencoder.factory.runs import points_of
from autoencoder.reports.tracker import AlarmFilter
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.files import FileSource
from autoencoder.sources.schema import ColumnSelection
from autoencoder.thresholds.budget import interval_of

MakeDetector = Callable[[int, Progress], Detector]  # points of the training part, progress of the training
Figures = dict[str, Any]  # of a detector, as in summary.json

CHUNK = 4096  # points that are scored together
PUBLISHED = "golden"  # folder beside the data with the scores that other detectors published
LAYOUT = "a NAB folder holds data/<category>/<file>.csv and labels/combined_windows.json"
HEADER = ("timestamp", "value", "anomaly_score", "label")


@dataclass(frozen=True, slots=True)
class NabFile:
    """One file of a NAB folder: its name within the corpus ("realKnownCause/nyc_taxi.csv"), its path and its labelled windows."""

    name: str
    path: Path
    windows: tuple[Window, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What ``--file`` may call it."""
        return self.name, self.path.name, self.path.stem

    def read(self) -> Chunk:
        """Times, which jump back in some files, values, and labels inside the windows; errors as of ``read_columns``."""
        times, values = read_columns(self.path, "value")
        labels = np.zeros(len(times), dtype=np.bool_)
        for first, last in self.windows:
            labels |= (times >= first) & (times <= last)
        return Chunk(times, values, labels)

    def result(self, out: Path, detector: str) -> Path:
        """Where NAB keeps a detector's result: OUT/<detector>/<category>/<detector>_<file>.csv."""
        category, file = self.name.split("/")
        return out / detector / category / f"{detector}_{file}"


def run(bench: Bench) -> Report | None:
    """Score every file with every detector, or with ``--file`` one, and draw its plot."""
    path, name = bench.arguments.path, bench.arguments.file
    files = nab_files(path)
    wanted = find_file({file: file.names for file in files}, name) if name else None
    bench.scorers()
    makers = {name: partial(make_waited_for, config) for name, config in bench.detectors.items()}
    out = bench.open_results()
    if wanted:
        for name, make in makers.items():
            bench.console.print(f"{_draw(bench, wanted, out, name, make)}")
        return None
    published = _read_published(bench, path, files)
    return _report(files, {name: _score_all(bench, files, out, name, make) for name, make in makers.items()}, published)


def _score_all(bench: Bench, files: Sequence[NabFile], out: Path, name: str, make: MakeDetector) -> Figures:
    """Scores pass an ``AlarmFilter``: NAB takes every high score for an alarm of its own, and a person wants one an event."""
    untrained: dict[str, str] = {}

    def score(file: NabFile) -> FileResult:
        series, path = file.read(), file.result(out, name)
        scores = _finished(path, series)
        if scores is None:
            try:
                usual, interval = bench.config.network.sequence_length, interval_of(series.time[: probation_points(len(series))])
                cooldown = points_of("cooldown", bench.config.incidents.cooldown, usual, interval)
                scores = AlarmFilter(max(1, cooldown)).process(_detect(bench, series, make).scores)
            except TrainingError as error:
                untrained[file.name] = str(error)
                scores = np.zeros(len(series))
            write_result(path, series, scores)
        return FileResult(series.time, scores, file.windows)

    results = bench.run_jobs({file: f"{name}, {file.name}" for file in files}, score)
    return _figures({file.name: result for file, result in zip(files, results, strict=True)}, untrained)


def _detect(bench: Bench, series: Chunk, make: MakeDetector) -> Detections:
    """Detections of a file as a stream; probation trains, or raises TrainingError."""
    with bench.training() as progress:
        detector = make(probation_points(len(series)), progress)
        return Detections.concatenate([detector.process(part.time, part.values) for part in series.split(CHUNK)])


def _draw(bench: Bench, file: NabFile, out: Path, name: str, make: MakeDetector) -> Path:
    """Score one file, write its result and draw its plot; returns the plot's path."""
    from autoencoder.reports.panels import save
    from autoencoder.reports.plot import draw

    series = file.read()
    detections = _detect(bench, series, make)
    result = write_result(file.result(out, name), series, detections.scores)
    path = result.with_name(file.path.name).with_suffix(".png")
    title, training = f"{file.name}, {name}", probation_points(len(series))
    save(draw(detections, title=title, training_points=training, labels=series.labels), path)
    return path


# --- the folder ---


def nab_files(path: Path) -> list[NabFile]:
    """List the files of a folder laid out like NAB, by name, with their windows in order of time.

    Raises:
        InputError: a folder or the labels are missing or broken, there is no file, or one is not in the labels.
    """
    data, labels = path / "data", path / "labels" / "combined_windows.json"
    for folder in (path, data):
        require_folder(folder, LAYOUT)
    paths = {file.relative_to(data).as_posix(): file for file in sorted(data.glob("*/*.csv"))}
    if not paths:
        raise InputError(f"{data}: found no file <category>/<file>.csv; {LAYOUT}")
    windows = _read_windows(labels)
    unlabelled = [name for name in paths if name not in windows]
    if unlabelled:
        raise InputError(f"{labels}: no entry '{unlabelled[0]}'; every file needs one, [] where nothing is anomalous")
    return [NabFile(name, file, windows[name]) for name, file in paths.items()]


def read_columns(path: Path, *columns: str) -> tuple[Times, Array]:
    """Read a csv file's column "timestamp" (N,) as datetime64[ns], and the C named columns of numbers as (N, C).

    Raises:
        InputError: the file cannot be read, a column is missing, or a field is not what its column holds.
    """
    chunk = Chunk.concatenate(list(FileSource(path, ColumnSelection(columns, time="timestamp")).chunks()))
    if chunk.time.dtype.kind != "M":
        raise InputError(f"{path}: the column 'timestamp' holds numbers; it must hold times such as 2014-04-10 16:15:00")
    return chunk.time.astype("datetime64[ns]"), chunk.values


def _read_windows(path: Path) -> dict[str, tuple[Window, ...]]:
    try:
        entries = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not JSON ({error.msg}); restore the file from the benchmark") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: found {type(entries).__name__} at the top; it must map file names to lists of windows")
    windows = {}
    for name, pairs in entries.items():
        where = f"{path}, '{name}'"
        if not isinstance(pairs, list):
            raise InputError(f"{where}: found {pairs!r}; it must be a list of [start, end] pairs")
        windows[name] = tuple(sorted(_window(where, pair) for pair in pairs))
        for (_, last), (first, _) in pairwise(windows[name]):
            if first <= last:
                raise InputError(f"{where}: one window ends at {last} and the next starts at {first}; windows must not overlap")
    return windows


def _window(where: str, pair: Any) -> Window:
    try:
        first, last = (np.datetime64(datetime.fromisoformat(text), "ns") for text in pair)
    except (TypeError, ValueError):
        wanted = '["2014-04-10 16:15:00", "2014-04-12 01:45:00"]'
        raise InputError(f"{where}: found {pair!r}; a window is a pair such as {wanted}") from None
    if last < first:
        raise InputError(f"{where}: the window from {first} to {last} ends before it starts; swap the two")
    return first, last


# --- results ---


def write_result(path: Path, series: Chunk, anomaly_scores: Array) -> Path:
    """Write one file's anomaly scores (N,) in [0, 1] in NAB's format; returns its path.

    An unknown score is written as 0, for NAB's own scorer takes none but numbers; an unknown value is left empty.
    """
    times: Times = series.time
    seconds = times.astype("datetime64[s]")
    texts = np.datetime_as_string(seconds if (seconds == times).all() else times).tolist()
    labels = np.zeros(0) if series.labels is None else series.labels.astype(int)
    stamps, scores = [text.replace("T", " ") for text in texts], np.nan_to_num(anomaly_scores)
    return write_table(path, dict(zip(HEADER, (stamps, series.values[:, 0], scores, labels), strict=True)))


def _finished(path: Path, series: Chunk) -> Array | None:
    """Scores (N,) that an earlier run left for this very series; None where there are none, or where nothing was learnt."""
    try:
        times, columns = read_columns(path, "value", "anomaly_score")
    except InputError:  # not there, or cut off
        return None
    same = np.array_equal(times, series.time) and np.array_equal(columns[:, :1], series.values, equal_nan=True)
    return columns[:, 1] if same and columns[:, 1].any() else None


def read_results(out: Path, detector: str, files: Iterable[NabFile]) -> dict[str, FileResult]:
    """A detector's results for all files, ready for ``nab_scores``; InputError where one is missing or cannot be read."""
    results = {}
    for file in files:
        times, scores = read_columns(file.result(out, detector), "anomaly_score")
        results[file.name] = FileResult(times, scores[:, 0], file.windows)
    return results


def _read_published(bench: Bench, path: Path, files: Sequence[NabFile]) -> dict[str, Figures]:
    """Figures of the detectors whose scores lie beside the data, by name; those that lack a file are left out, saying so."""
    figures = {}
    for folder in sorted((path / PUBLISHED).glob("*/")):
        try:
            figures[folder.name] = _figures(read_results(path / PUBLISHED, folder.name, files), {})
        except InputError as error:
            bench.console.print(f"{error}; {folder.name} is left out of the table")
    return figures


def _figures(results: Mapping[str, FileResult], untrained: Mapping[str, str]) -> Figures:
    """Scores by profile, and counts by file at the threshold that suits the standard profile best; 0 where it is untrained."""
    scores = nab_scores(results)
    return {
        "scores": {profile: round(score.score, 2) for profile, score in scores.items()},
        "thresholds": {profile: score.threshold for profile, score in scores.items()},
        "untrained": dict(untrained),
        "files": {name: counts._asdict() for name, counts in nab_counts(results, scores["standard"].threshold).items()},
    }


def _report(files: Sequence[NabFile], detectors: Mapping[str, Figures], published: Mapping[str, Figures]) -> Report:
    named = {**detectors, **{f"{name} (published)": figures for name, figures in published.items()}}
    scores = [[name, *(f"{score:.2f}" for score in figures["scores"].values())] for name, figures in named.items()]
    counts = [
        [file.name, *(" / ".join(map(str, figures["files"][file.name].values())) for figures in named.values())] for file in files
    ]
    windows = sum(len(file.windows) for file in files)
    text = (
        f"# Numenta Anomaly Benchmark\n\n{len(files)} files, {windows} windows. "
        "0 is a detector that never speaks, 100 a perfect one; one threshold a profile over all files.\n\n"
        + table(["detector", *PROFILES], scores)
        + untrained_lines(detectors)
    )
    details = "Windows found / windows missed / false alarms, at the best threshold for the standard profile:\n\n"
    data = {"benchmark": "nab", "files": len(files), "windows": windows, "detectors": detectors, "published": published}
    return Report(text, data, details + table(["file", *named], counts))
