"""The run over the UCR Time Series Anomaly Archive: where is the one anomaly of each series?"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np

from autoencoder.benchmark.corpora import UcrFile, read_ucr_file, ucr_hit
from autoencoder.benchmark.results import Summary, table, untrained_lines
from autoencoder.core.errors import RunError, TrainingError
from autoencoder.reports.console import Console
from autoencoder.reports.runs import RunFolder
from autoencoder.scorers.base import Array, Progress, Scorer

Finder = Callable[[Array, int, Progress], int]  # values (N,), points of the training part, who is told how it goes -> place

CHUNK = 4096  # points that are judged together
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
        return self.location is not None and ucr_hit(self.location, self.file.begin, self.file.end)

    def fields(self) -> tuple[object, ...]:
        """As in results.csv."""
        location = "" if self.location is None else self.location
        return self.file.path.name, location, self.file.begin, self.file.end, int(self.hit), f"{self.seconds:.2f}"


@dataclass(frozen=True, slots=True)
class UcrOutcome:
    """How a detector did: a row for each series, and why it could not be trained, by file."""

    rows: Sequence[UcrRow]
    untrained: Mapping[str, str] = field(default_factory=dict)

    @property
    def hits(self) -> int:
        """Series whose anomaly was found."""
        return sum(row.hit for row in self.rows)

    @property
    def accuracy(self) -> float:
        """Share of the series whose anomaly was found."""
        return self.hits / len(self.rows)


def most_anomalous(errors: Array, span: int) -> int:
    """The one most anomalous place of a stretch: where errors are high for half a window, not for a moment.

    The place is read off when all errors are known, so the average may look to both sides: it is centred. Each error belongs to
    the window that ends at its point and tells mostly of that point, so the place is the middle of the stretch, with no shift
    back to a window's middle.

    Args:
        errors: (N,) NaN where unknown; an average leaves those out.
        span: points of a window; the average is over ``span // 2`` of them, at least one.

    Returns:
        The place in [0, N); of equals the first.

    Raises:
        ValueError: no error is known.

    >>> most_anomalous(np.array([0.0, 9.0, 0.0, 5.0, 6.0, 5.0, 0.0]), span=6)
    4
    """
    known = ~np.isnan(errors)
    if not known.any():
        raise ValueError("no error is known, so there is no most anomalous place")
    half = max(1, span // 2)
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
    """Train a scorer on the first values, stream the rest through it chunk by chunk and give the most anomalous place.

    Args:
        make: builds the scorer.
        values: (N,).
        train: points of the training part.
        progress: told how training goes.

    Raises:
        TrainingError: the training part cannot be learnt, or the rest is too short to judge.
    """
    scorer = make()
    scorer.fit(values[:train, None], progress)
    chunks = (values[start : start + CHUNK, None] for start in range(train, len(values), CHUNK))
    errors = np.concatenate([scorer.process(chunk)[0] for chunk in chunks])
    if np.isnan(errors).all():
        raise TrainingError(f"none of the {len(errors):,} points after the training part could be judged")
    return train + most_anomalous(errors, scorer.window)


def run_ucr(files: Sequence[UcrFile], out: Path, name: str, find: Finder, console: Console) -> UcrOutcome:
    """Look for the anomaly of every series that is not in NAME/results.csv yet; each row is in the file when it is known.

    Args:
        files: the archive, or some of it.
        out: folder of the results.
        name: the detector's.
        find: gives the most anomalous place of a series.
        console: shows progress.

    Raises:
        InputError: a series cannot be read.
        RunError: a result cannot be written.
    """
    path = out / name / RESULTS
    rows = read_results(path, files)
    untrained: dict[str, str] = {}
    folder = RunFolder(path.parent, resume=True)
    folder.write(RESULTS, _table(rows.values()))
    bar, training = console.progress(name), console.progress("training")
    for done, file in enumerate(files):
        bar(done, len(files), file.name)
        if file.path.name not in rows:
            rows[file.path.name] = _look(file, find, training, untrained)
            training.finish()
            _append(path, _csv([rows[file.path.name].fields()]))
    bar.finish()
    ordered = [rows[file.path.name] for file in files]
    folder.write(RESULTS, _table(ordered))
    return UcrOutcome(ordered, untrained)


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}); free space or give another --out folder") from None


def _look(file: UcrFile, find: Finder, progress: Progress, untrained: dict[str, str]) -> UcrRow:
    values = read_ucr_file(file)
    began = perf_counter()
    location = None
    try:
        location = find(values, file.train, progress)
    except TrainingError as error:
        untrained[file.path.name] = str(error)
    return UcrRow(file, location, perf_counter() - began)


def read_results(path: Path, files: Sequence[UcrFile]) -> dict[str, UcrRow]:
    """Rows that an earlier run left for these files, by file; a row that was cut off, or holds no place, is left out."""
    by_name = {file.path.name: file for file in files}
    rows = {}
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    for line in lines[1:]:
        if len(line) == len(HEADER) and line[0] in by_name and line[1].isdigit():
            try:
                rows[line[0]] = UcrRow(by_name[line[0]], int(line[1]), float(line[-1]))
            except ValueError:
                continue
    return rows


def _table(rows: Iterable[UcrRow]) -> str:
    return _csv([HEADER, *(row.fields() for row in rows)])


def _csv(lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def ucr_summary(files: Sequence[UcrFile], outcomes: Mapping[str, UcrOutcome]) -> Summary:
    """Summary of a run."""
    accuracies = [
        [name, f"{outcome.accuracy:.3f}", f"{outcome.hits}", f"{len(files)}", f"{_mean_seconds(outcome):.2f}"]
        for name, outcome in outcomes.items()
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
    details = "Found:\n\n" + table(["series", *outcomes], found)
    data = {
        "benchmark": "ucr",
        "files": len(files),
        "detectors": {
            name: {
                "accuracy": outcome.accuracy,
                "found": outcome.hits,
                "seconds_a_series": round(_mean_seconds(outcome), 3),
                "untrained": dict(outcome.untrained),
                "files": {row.file.path.name: {"location": row.location, "hit": row.hit} for row in outcome.rows},
            }
            for name, outcome in outcomes.items()
        },
    }
    return Summary(text, details, data)


def _mean_seconds(outcome: UcrOutcome) -> float:
    return sum(row.seconds for row in outcome.rows) / len(outcome.rows)
