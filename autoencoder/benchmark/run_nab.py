"""The run over a folder laid out like the Numenta Anomaly Benchmark: every file a stream, one configuration for all."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.benchmark.corpora import (
    NabFile,
    NabSeries,
    nab_result_path,
    read_nab_file,
    read_nab_result,
    read_nab_results,
    write_nab_result,
)
from autoencoder.benchmark.nab import PROFILES, FileCounts, FileResult, Score, nab_counts, nab_scores, probation_points
from autoencoder.benchmark.results import Summary, table, untrained_lines
from autoencoder.console import Console
from autoencoder.core.errors import TrainingError
from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector
from autoencoder.reports.incidents import AlarmFilter
from autoencoder.scorers.base import Array, Progress
from data.series import InputError

MakeDetector = Callable[[int, Progress], StreamDetector]  # points of the training part, who is told how training goes

CHUNK = 4096  # points that are judged together
PUBLISHED = "golden"  # folder beside the data with the scores that other detectors published


@dataclass(frozen=True, slots=True)
class NabOutcome:
    """How a detector did on a corpus.

    Attributes:
        scores: by profile.
        counts: by file, at the threshold that suits the standard profile best.
        untrained: why it could not be trained, by file; its scores are 0 there.
    """

    scores: Mapping[str, Score]
    counts: Mapping[str, FileCounts]
    untrained: Mapping[str, str] = field(default_factory=dict)


def run_nab(files: Sequence[NabFile], out: Path, name: str, make: MakeDetector, refractory: int, console: Console) -> NabOutcome:
    """Score every file that is not judged yet, and score the detector on all of them.

    Args:
        files: the corpus.
        out: folder of the results; see ``nab_result_path``.
        name: the detector's.
        make: builds it, for a training part of so many points.
        refractory: see ``AlarmFilter``; NAB takes every high score for an alarm of its own, and a person wants one an event.
        console: shows progress.

    Raises:
        InputError: a file cannot be read.
        RunError: a result cannot be written.
    """
    bar = console.progress(name)
    results, untrained = {}, {}
    for done, file in enumerate(files):
        bar(done, len(files), file.name)
        series = read_nab_file(file)
        scores = _finished(nab_result_path(out, name, file.name), series)
        if scores is None:
            try:
                detections = judge(series, make, console)
            except TrainingError as error:
                untrained[file.name] = str(error)
                scores = np.zeros(len(series.values))
            else:
                scores = AlarmFilter(refractory).process(detections.scores)
            write_nab_result(out, name, file.name, series.timestamps, series.values, scores, series.labels)
        results[file.name] = FileResult(series.timestamps, scores, file.windows)
    bar.finish()
    return _outcome(results, untrained)


def judge(series: NabSeries, make: MakeDetector, console: Console) -> Detections:
    """Detections of a file as a stream; probation trains and is not judged.

    Raises:
        TrainingError: it cannot be learnt.
    """
    bar = console.progress("training")
    detector = make(probation_points(len(series.values)), bar)
    starts = range(0, len(series.values), CHUNK)
    try:
        return Detections.concatenate(
            [
                detector.process(series.timestamps[start : start + CHUNK], series.values[start : start + CHUNK, None])
                for start in starts
            ]
        )
    finally:
        bar.finish()


def _finished(path: Path, series: NabSeries) -> Array | None:
    """Scores (N,) that an earlier run left for this very series; None where there are none, or where nothing was learnt."""
    try:
        result = read_nab_result(path)
    except InputError:  # not there, or cut off
        return None
    same = np.array_equal(result.timestamps, series.timestamps) and np.array_equal(result.values, series.values, equal_nan=True)
    return result.anomaly_scores if same and (result.anomaly_scores > 0).any() else None


def published(path: Path, files: Sequence[NabFile], console: Console) -> dict[str, NabOutcome]:
    """How the detectors did whose scores lie beside the data, by name; those that lack a file are left out, saying so."""
    outcomes = {}
    for folder in sorted((path / PUBLISHED).glob("*/")):
        try:
            outcomes[folder.name] = _outcome(read_nab_results(path / PUBLISHED, folder.name, files), {})
        except InputError as error:
            console.say(f"{error}; {folder.name} is left out of the table")
    return outcomes


def _outcome(results: Mapping[str, FileResult], untrained: Mapping[str, str]) -> NabOutcome:
    scores = nab_scores(results)
    return NabOutcome(scores, nab_counts(results, scores["standard"].threshold), untrained)


def draw_file(file: NabFile, out: Path, name: str, make: MakeDetector, console: Console) -> Path:
    """Score one file, write its result and its picture; returns the picture's path.

    Raises:
        TrainingError: it cannot be learnt.
    """
    from autoencoder.reports.plot import draw, save

    series = read_nab_file(file)
    detections = judge(series, make, console)
    result = write_nab_result(out, name, file.name, series.timestamps, series.values, detections.scores, series.labels)
    path = result.with_name(file.path.name).with_suffix(".png")
    training = probation_points(len(series.values))
    save(draw(detections, title=f"{file.name}, {name}", training_points=training, labels=series.labels), path)
    return path


def find_file(files: Sequence[NabFile], wanted: str) -> NabFile:
    """The file that is called so, with or without its category and its suffix.

    Raises:
        InputError: there is none.
    """
    for file in files:
        if wanted in (file.name, file.path.name, file.path.stem):
            return file
    names = [file.path.stem for file in files]
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.3) or names[:1]
    raise InputError(f"--file {wanted}: the benchmark has no such file; one is called {close[0]}")


def nab_summary(files: Sequence[NabFile], outcomes: Mapping[str, NabOutcome], others: Mapping[str, NabOutcome]) -> Summary:
    """Summary of a run; ``others`` are the published outcomes."""
    named = {**outcomes, **{f"{name} (published)": outcome for name, outcome in others.items()}}
    scores = [[name, *(f"{outcome.scores[profile].score:.2f}" for profile in PROFILES)] for name, outcome in named.items()]
    counts = [[file.name, *(_cell(outcome.counts[file.name]) for outcome in named.values())] for file in files]
    windows = sum(len(file.windows) for file in files)
    text = (
        f"# Numenta Anomaly Benchmark\n\n{len(files)} files, {windows} windows. "
        "0 is a detector that never speaks, 100 a perfect one; one threshold a profile over all files.\n\n"
        + table(["detector", *PROFILES], scores)
        + untrained_lines({name: outcome.untrained for name, outcome in outcomes.items()})
    )
    details = "Windows found / windows missed / false alarms, at the best threshold for the standard profile:\n\n" + table(
        ["file", *named], counts
    )
    data = {
        "benchmark": "nab",
        "files": len(files),
        "windows": windows,
        "detectors": {name: _plain(outcome) for name, outcome in outcomes.items()},
        "published": {name: _plain(outcome) for name, outcome in others.items()},
    }
    return Summary(text, details, data)


def _cell(counts: FileCounts) -> str:
    return f"{counts.true_positives} / {counts.false_negatives} / {counts.false_positives}"


def _plain(outcome: NabOutcome) -> dict[str, Any]:
    return {
        "scores": {profile: round(score.score, 2) for profile, score in outcome.scores.items()},
        "thresholds": {profile: score.threshold for profile, score in outcome.scores.items()},
        "untrained": dict(outcome.untrained),
        "files": {
            name: {"found": counts.true_positives, "missed": counts.false_negatives, "false_alarms": counts.false_positives}
            for name, counts in outcome.counts.items()
        },
    }
