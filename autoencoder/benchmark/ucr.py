"""The run over the UCR Time Series Anomaly Archive: where is the one anomaly of each series?"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from autoencoder.benchmark.datasets import UcrFile, read_ucr_file
from autoencoder.benchmark.report import Report, table, untrained_lines
from autoencoder.console import Console
from autoencoder.core.errors import TrainingError
from autoencoder.reports.run_folder import RunFolder
from autoencoder.scorers.base import Array, Progress, Scorer

Finder = Callable[[Array, int, Progress], int]  # values (N,), points of the training part, progress -> place in [0, N)

CHUNK = 4096  # points that are scored together
HEADER = ("file", "location", "begin", "end", "hit", "seconds")
RESULTS = "results.csv"


@dataclass(frozen=True, slots=True)
class UcrRow:
    """Where a detector took the anomaly of a series to be (None: it found nothing), and in how many seconds."""

    file: UcrFile
    location: int | None
    seconds: float

    @property
    def hit(self) -> bool:
        """Whether it lies close enough to the anomaly."""
        return self.location is not None and self.file.is_hit(self.location)

    def fields(self) -> tuple[object, ...]:
        """As in results.csv."""
        location = "" if self.location is None else self.location
        return self.file.path.name, location, self.file.begin, self.file.end, int(self.hit), f"{self.seconds:.2f}"


@dataclass(frozen=True, slots=True)
class UcrOutcome:
    """How a detector did: a row for each series, and why it could not be trained, by file."""

    rows: Sequence[UcrRow]
    untrained: Mapping[str, str]

    def data(self) -> dict[str, Any]:
        """For summary.json."""
        hits, seconds = sum(row.hit for row in self.rows), sum(row.seconds for row in self.rows)
        return {
            "accuracy": hits / len(self.rows),
            "found": hits,
            "seconds_a_series": round(seconds / len(self.rows), 3),
            "untrained": dict(self.untrained),
            "files": {row.file.path.name: {"location": row.location, "hit": row.hit} for row in self.rows},
        }


def most_anomalous(errors: Array, window: int) -> int:
    """The one most anomalous place of a stretch: where errors are high for half a window, not for a moment.

    The place is read off when all errors (N,) are known, so the average, over ``window // 2`` points or one, is centred. Each error
    belongs to the window that ends at its point and tells mostly of that point, so the place is the middle of the stretch, with no
    shift back to a window's middle. Averages leave out unknown errors (NaN). Of equal places the first counts.

    >>> most_anomalous(np.array([0.0, 9.0, 0.0, 5.0, 6.0, 5.0, 0.0]), window=6)
    4
    """
    known = ~np.isnan(errors)
    half = max(1, window // 2)
    sums, counts = (_moving_sum(values, half) for values in (np.where(known, errors, 0.0), known.astype(np.float64)))
    averages = np.divide(sums, counts, out=np.full(len(errors), -np.inf), where=counts > 0)
    return int(np.argmax(averages))


def _moving_sum(values: Array, width: int) -> Array:
    """Sums over ``width`` values around each of values (N,), fewer at the ends -> (N,)."""
    total = np.concatenate([[0.0], np.cumsum(values)])  # (N + 1,)
    ends = np.minimum(np.arange(len(values)) + (width + 1) // 2, len(values))
    starts = np.maximum(np.arange(len(values)) - width // 2, 0)
    sums: Array = total[ends] - total[starts]
    return sums


def find_by_scorer(make: Callable[[], Scorer], values: Array, train: int, progress: Progress) -> int:
    """Train a scorer on the first ``train`` of values (N,), stream the rest through it and give the most anomalous place.

    Raises:
        TrainingError: the training part cannot be learnt, or the rest is too short to score.
    """
    scorer = make()
    scorer.fit(values[:train, None], progress)
    chunks = (values[start : start + CHUNK, None] for start in range(train, len(values), CHUNK))
    errors = np.concatenate([scorer.process(chunk)[0] for chunk in chunks])
    if np.isnan(errors).all():
        raise TrainingError(f"none of the {len(errors):,} points after the training part could be judged")
    return train + most_anomalous(errors, scorer.window)


def run_ucr(files: Sequence[UcrFile], out: Path, name: str, find: Finder, console: Console) -> UcrOutcome:
    """Find the anomaly of every series that is not in OUT/NAME/results.csv yet; each row is in the file once it is known."""
    folder = RunFolder(out / name, resume=True)
    rows = _read_rows(folder.path / RESULTS, files)
    untrained: dict[str, str] = {}
    bar, training = console.progress(name), console.progress("training")
    for done, file in enumerate(files):
        bar(done, len(files), file.path.name)
        if file not in rows:
            values, began, location = read_ucr_file(file), perf_counter(), None
            try:
                location = find(values, file.train, training)
            except TrainingError as error:
                untrained[file.path.name] = str(error)
            rows[file] = UcrRow(file, location, perf_counter() - began)
            training.finish()
            folder.write(RESULTS, _csv(rows.values()))
    bar.finish()
    ordered = [rows[file] for file in files]
    folder.write(RESULTS, _csv(ordered))
    return UcrOutcome(ordered, untrained)


def _csv(rows: Iterable[UcrRow]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *(row.fields() for row in rows)])
    return text.getvalue()


def _read_rows(path: Path, files: Sequence[UcrFile]) -> dict[UcrFile, UcrRow]:
    """Rows that an earlier run left for these files; a row that was cut off, or holds no place, is left out."""
    by_name = {file.path.name: file for file in files}
    rows = {}
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    for line in lines[1:]:
        if len(line) == len(HEADER) and line[0] in by_name and line[1].isdigit():
            with suppress(ValueError):
                rows[by_name[line[0]]] = UcrRow(by_name[line[0]], int(line[1]), float(line[-1]))
    return rows


def ucr_report(files: Sequence[UcrFile], outcomes: Mapping[str, UcrOutcome]) -> Report:
    """Report of a run."""
    data = {name: outcome.data() for name, outcome in outcomes.items()}
    accuracies = [
        [name, f"{one['accuracy']:.3f}", f"{one['found']}", f"{len(files)}", f"{one['seconds_a_series']:.2f}"]
        for name, one in data.items()
    ]
    found = [
        [file.path.name, *("yes" if outcome.rows[place].hit else "no" for outcome in outcomes.values())]
        for place, file in enumerate(files)
    ]
    text = (
        "# UCR Time Series Anomaly Archive\n\n"
        "The share of the series whose one anomaly lies at the detector's most anomalous place, or close by.\n\n"
        + table(["detector", "accuracy", "found", "series", "seconds a series"], accuracies)
        + untrained_lines({name: outcome.untrained for name, outcome in outcomes.items()})
    )
    summary = {"benchmark": "ucr", "files": len(files), "detectors": data}
    return Report(text, "Found:\n\n" + table(["series", *outcomes], found), summary)
