"""The run over a folder laid out like the Numenta Anomaly Benchmark: every file a stream, one configuration for all."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.benchmark.datasets import NabFile, NabSeries, read_columns, read_nab_file
from autoencoder.benchmark.nab import PROFILES, FileCounts, FileResult, Score, Times, nab_counts, nab_scores, probation_points
from autoencoder.benchmark.report import Report, table, untrained_lines
from autoencoder.console import Console
from autoencoder.core.errors import InputError, TrainingError
from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector
from autoencoder.reports.files import reporting
from autoencoder.reports.incidents import AlarmFilter
from autoencoder.scorers.base import Array, Progress

MakeDetector = Callable[[int, Progress], StreamDetector]  # points of the training part, progress of the training

CHUNK = 4096  # points that are scored together
PUBLISHED = "golden"  # folder beside the data with the scores that other detectors published


@dataclass(frozen=True, slots=True)
class NabOutcome:
    """How a detector did on a corpus."""

    scores: Mapping[str, Score]  # by profile
    counts: Mapping[str, FileCounts]  # by file, at the threshold that suits the standard profile best
    untrained: Mapping[str, str]  # why it could not be trained, by file; its scores are 0 there

    @staticmethod
    def of(results: Mapping[str, FileResult], untrained: Mapping[str, str]) -> NabOutcome:
        """Score the results of all files."""
        scores = nab_scores(results)
        return NabOutcome(scores, nab_counts(results, scores["standard"].threshold), untrained)

    def data(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "scores": {profile: round(score.score, 2) for profile, score in self.scores.items()},
            "thresholds": {profile: score.threshold for profile, score in self.scores.items()},
            "untrained": dict(self.untrained),
            "files": {name: asdict(counts) for name, counts in self.counts.items()},
        }


def run_nab(files: Sequence[NabFile], out: Path, name: str, make: MakeDetector, cooldown: int, console: Console) -> NabOutcome:
    """Score every file that has no result in ``out`` yet with the detector ``name``, and the detector on all of them.

    Scores pass an ``AlarmFilter``: NAB takes every high score for an alarm of its own, and a person wants one an event.
    """
    bar = console.progress(name)
    results, untrained = {}, {}
    for done, file in enumerate(files):
        bar(done, len(files), file.name)
        series = read_nab_file(file)
        scores = _finished(result_path(out, name, file.name), series)
        if scores is None:
            try:
                scores = AlarmFilter(cooldown).process(detect(series, make, console).scores)
            except TrainingError as error:
                untrained[file.name] = str(error)
                scores = np.zeros(len(series.values))
            write_result(result_path(out, name, file.name), series, scores)
        results[file.name] = FileResult(series.timestamps, scores, file.windows)
    bar.finish()
    return NabOutcome.of(results, untrained)


def detect(series: NabSeries, make: MakeDetector, console: Console) -> Detections:
    """Detections of a file as a stream; probation trains, or raises TrainingError."""
    bar = console.progress("training")
    detector = make(probation_points(len(series.values)), bar)
    rows = [slice(start, start + CHUNK) for start in range(0, len(series.values), CHUNK)]
    try:
        return Detections.concatenate([detector.process(series.timestamps[part], series.values[part, None]) for part in rows])
    finally:
        bar.finish()


def draw_file(file: NabFile, out: Path, name: str, make: MakeDetector, console: Console) -> Path:
    """Score one file, write its result and draw its plot; returns the plot's path."""
    from autoencoder.reports.plot import draw, save

    series = read_nab_file(file)
    detections = detect(series, make, console)
    result = write_result(result_path(out, name, file.name), series, detections.scores)
    path = result.with_name(file.path.name).with_suffix(".png")
    training = probation_points(len(series.values))
    save(draw(detections, title=f"{file.name}, {name}", training_points=training, labels=series.labels), path)
    return path


def find_file(files: Sequence[NabFile], wanted: str) -> NabFile:
    """The file of that name, with or without its category and its suffix.

    Raises:
        InputError: there is none.
    """
    for file in files:
        if wanted in (file.name, file.path.name, file.path.stem):
            return file
    names = [file.path.stem for file in files]
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.3) or names[:1]
    raise InputError(f"--file {wanted}: the benchmark has no such file; one is called {close[0]}")


# --- results ---


def result_path(out: Path, detector: str, name: str) -> Path:
    """Where NAB keeps a detector's result for a file: OUT/<detector>/<category>/<detector>_<file>.csv."""
    category, file = name.split("/")
    return out / detector / category / f"{detector}_{file}"


def write_result(path: Path, series: NabSeries, anomaly_scores: Array) -> Path:
    """Write one file's anomaly scores (N,) in [0, 1] in NAB's format: timestamp, value, anomaly_score, label; returns its path.

    An unknown score is written as 0, for NAB's own scorer takes none but numbers; an unknown value is left empty.
    """
    scores = np.where(np.isnan(anomaly_scores), 0.0, anomaly_scores)
    rows = zip(_as_text(series.timestamps), series.values.tolist(), scores.tolist(), series.labels, strict=True)
    with reporting(path, "choose another folder for the results"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("timestamp", "value", "anomaly_score", "label"))
            writer.writerows((time, "" if math.isnan(value) else value, score, int(label)) for time, value, score, label in rows)
    return path


def _as_text(timestamps: Times) -> list[str]:
    """Times as NAB writes them; fractions of a second only where there are any."""
    seconds = timestamps.astype("datetime64[s]")
    texts: list[str] = np.datetime_as_string(seconds if (seconds == timestamps).all() else timestamps).tolist()
    return [text.replace("T", " ") for text in texts]


def _finished(path: Path, series: NabSeries) -> Array | None:
    """Scores (N,) that an earlier run left for this very series; None where there are none, or where nothing was learnt."""
    try:
        timestamps, (values, scores) = read_columns(path, "value", "anomaly_score")
    except InputError:  # not there, or cut off
        return None
    same = np.array_equal(timestamps, series.timestamps) and np.array_equal(values, series.values, equal_nan=True)
    return scores if same and (scores > 0).any() else None


def read_results(out: Path, detector: str, files: Iterable[NabFile]) -> dict[str, FileResult]:
    """Read a detector's results for all files, ready for ``nab_scores``.

    Raises:
        InputError: a result is missing or cannot be read.
    """
    results = {}
    for file in files:
        timestamps, (scores,) = read_columns(result_path(out, detector, file.name), "anomaly_score")
        results[file.name] = FileResult(timestamps, scores, file.windows)
    return results


def read_published(path: Path, files: Sequence[NabFile], console: Console) -> dict[str, NabOutcome]:
    """Outcomes of the detectors whose scores lie beside the data, by name; those that lack a file are left out, saying so."""
    outcomes = {}
    for folder in sorted((path / PUBLISHED).glob("*/")):
        try:
            outcomes[folder.name] = NabOutcome.of(read_results(path / PUBLISHED, folder.name, files), {})
        except InputError as error:
            console.print(f"{error}; {folder.name} is left out of the table")
    return outcomes


def nab_report(files: Sequence[NabFile], outcomes: Mapping[str, NabOutcome], others: Mapping[str, NabOutcome]) -> Report:
    """Report of a run; ``others`` are the published outcomes."""
    named = {**outcomes, **{f"{name} (published)": outcome for name, outcome in others.items()}}
    scores = [[name, *(f"{outcome.scores[profile].score:.2f}" for profile in PROFILES)] for name, outcome in named.items()]
    counts = [[file.name, *(f"{outcome.counts[file.name]}" for outcome in named.values())] for file in files]
    windows = sum(len(file.windows) for file in files)
    text = (
        f"# Numenta Anomaly Benchmark\n\n{len(files)} files, {windows} windows. "
        "0 is a detector that never speaks, 100 a perfect one; one threshold a profile over all files.\n\n"
        + table(["detector", *PROFILES], scores)
        + untrained_lines({name: outcome.untrained for name, outcome in outcomes.items()})
    )
    details = "Windows found / windows missed / false alarms, at the best threshold for the standard profile:\n\n"
    data = {
        "benchmark": "nab",
        "files": len(files),
        "windows": windows,
        "detectors": {name: outcome.data() for name, outcome in outcomes.items()},
        "published": {name: outcome.data() for name, outcome in others.items()},
    }
    return Report(text, details + table(["file", *named], counts), data)
