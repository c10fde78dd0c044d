"""``bench ucr``: where is the one anomaly of each series of the UCR Time Series Anomaly Archive?

Source: Wu and Keogh, "Current Time Series Anomaly Detection Benchmarks are Flawed and are Creating the Illusion of Progress",
TKDE 2021, doi 10.1109/TKDE.2021.3112126.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from autoencoder.benchmark.runner import Bench, Report, read_text, require_folder, table, untrained_lines, write_table
from autoencoder.core.errors import ConfigError, InputError, TrainingError
from autoencoder.core.types import Array, Progress
from autoencoder.network.period import dominant_period
from autoencoder.scorers.base import Scorer

Finder = Callable[[Array, int, Progress], int]  # values (N,), points of the training part, progress -> place in [0, N)

MATRIX_PROFILE = "matrix_profile"
NAME = re.compile(r"(?P<number>\d+)_UCR_Anomaly_(?P<name>.+)_(?P<train>\d+)_(?P<begin>\d+)_(?P<end>\d+)\.txt")
LAYOUT = "files are named NNN_UCR_Anomaly_<name>_<train>_<begin>_<end>.txt"
TOLERANCE = 100  # points on either side of an anomaly that count as finding it; more where the anomaly itself is longer
CHUNK = 4096  # points that are scored together
MOST_POINTS = 45_000  # of a series for the matrix profile; longer ones are down-sampled, as the work grows with the square
SHORTEST, WINDOW = 8, 100  # points of its window; where nothing repeats, WINDOW
HEADER = ("file", "location", "begin", "end", "hit", "seconds")
RESULTS = "results.csv"


@dataclass(frozen=True, slots=True)
class UcrFile:
    """One series of the UCR archive: values [0, train) are normal, the one anomaly is [begin, end)."""

    path: Path
    train: int
    begin: int
    end: int

    def is_hit(self, location: int) -> bool:
        """Whether a place counts as finding the anomaly: it lies at most max(100, end - begin) points from it."""
        tolerance = max(TOLERANCE, self.end - self.begin)
        return self.begin - tolerance <= location <= self.end + tolerance


@dataclass(frozen=True, slots=True)
class Row:
    """Where a detector took the anomaly of a series to be (None: it found nothing), in how many seconds, why it was not trained."""

    file: UcrFile
    location: int | None
    seconds: float
    untrained: str | None = None

    @property
    def is_hit(self) -> bool:
        """Whether it lies close enough to the anomaly."""
        return self.location is not None and self.file.is_hit(self.location)


def run(bench: Bench) -> Report:
    """Find the anomaly of every series with every detector."""
    files = ucr_files(bench.arguments.path)
    scorers = {name: partial(_find_by_scorer, make) for name, make in bench.scorers(MATRIX_PROFILE).items()}
    finders: dict[str, Finder] = {name: scorers.get(name, find_discord) for name in bench.detectors}
    out = bench.open_results()
    outcomes = {name: _find_all(bench, files, name, find) for name, find in finders.items()}
    bench.results.write(RESULTS, (out / next(iter(finders)) / RESULTS).read_bytes())
    return _report(files, outcomes)


def _find_all(bench: Bench, files: Sequence[UcrFile], name: str, find: Finder) -> list[Row]:
    """A row for each series; those that are in OUT/NAME/results.csv already are kept, each other one is there once it is known."""
    path = bench.results.path / name / RESULTS

    def work(file: UcrFile) -> Row:
        values, began, location, untrained = read_ucr_file(file), perf_counter(), None, None
        try:
            with bench.training() as progress:
                location = find(values, file.train, progress)
        except TrainingError as error:
            untrained = str(error)
        return Row(file, location, perf_counter() - began, untrained)

    def keep(rows: Iterable[Row]) -> None:
        cells = [
            (row.file.path.name, row.location, row.file.begin, row.file.end, int(row.is_hit), f"{row.seconds:.2f}")
            for row in rows
        ]
        write_table(path, dict(zip(HEADER, zip(*cells, strict=True), strict=True)))

    names = {file: f"{name}, {file.path.name}" for file in files}
    return bench.run_jobs(names, work, _read_rows(path, files), keep)


def _read_rows(path: Path, files: Sequence[UcrFile]) -> dict[UcrFile, Row]:
    """Rows that an earlier run left for these files; a row that was cut off, or holds no place, is left out."""
    by_name, rows = {file.path.name: file for file in files}, {}
    with suppress(OSError, UnicodeDecodeError, csv.Error), path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            with suppress(KeyError, TypeError, ValueError):
                file = by_name[row["file"]]
                rows[file] = Row(file, int(row["location"]), float(row["seconds"]))
    return rows


def _find_by_scorer(make: Callable[[], Scorer], values: Array, train: int, progress: Progress) -> int:
    """Train a scorer on the first ``train`` of values (N,), stream the rest through it and give the most anomalous place."""
    scorer = make()
    scorer.fit(values[:train, None], progress)
    chunks = (values[start : start + CHUNK, None] for start in range(train, len(values), CHUNK))
    errors = np.concatenate([scorer.process(chunk)[0] for chunk in chunks])
    if np.isnan(errors).all():
        raise TrainingError(f"none of the {len(errors):,} points after the training part could be judged")
    return train + most_anomalous(errors, scorer.window)


def most_anomalous(errors: Array, window: int) -> int:
    """The one most anomalous place of a stretch: where errors are high for half a window, not for a moment.

    The place is read off when all errors (N,) are known, so the average, over ``window // 2`` points or one, is centred. Each error
    belongs to the window that ends at its point and tells mostly of that point, so the place is the middle of the stretch, with no
    shift back to a window's middle. Averages leave out unknown errors (NaN). Of equal places the first counts.

    >>> most_anomalous(np.array([0.0, 9.0, 0.0, 5.0, 6.0, 5.0, 0.0]), window=6)
    4
    """
    known = ~np.isnan(errors)
    width, rows = max(1, window // 2), np.arange(len(errors))
    starts, ends = np.maximum(rows - width // 2, 0), np.minimum(rows + (width + 1) // 2, len(errors))
    totals = np.cumsum([np.where(known, errors, 0.0), known], axis=1)  # (2, N) of errors, and how many are known
    totals = np.concatenate([np.zeros((2, 1)), totals], axis=1)  # (2, N + 1)
    sums, counts = totals[:, ends] - totals[:, starts]
    return int(np.argmax(np.divide(sums, counts, out=np.full(len(errors), -np.inf), where=counts > 0)))


def find_discord(values: Array, train: int, progress: Progress) -> int:
    """Middle of the window behind the training part whose nearest neighbour in the whole series, values (N,), is farthest away.

    A window is the dominant period of the training part. The matrix profile sees the whole series at once, so it is no detector.

    Source: Yeh et al., "Matrix Profile I", ICDM 2016, doi 10.1109/ICDM.2016.0179, as implemented in stumpy (Law, JOSS 2019,
    doi 10.21105/joss.01504).
    """
    try:
        import stumpy
    except ImportError:
        needs = "matrix_profile needs the package stumpy: install it with 'pip install stumpy', or leave it out"
        raise ConfigError(needs) from None
    factor = -(-len(values) // MOST_POINTS)
    series = values[: len(values) // factor * factor].reshape(-1, factor).mean(axis=1)  # (M,)
    learnt = train // factor
    window = max(SHORTEST, dominant_period(series[:learnt]) or WINDOW)
    if len(series) - learnt < window:
        raise TrainingError(f"{len(series) - learnt:,} points follow the training part, but a window has {window:,}")
    profile = stumpy.stump(series, window)[:, 0].astype(np.float64)[learnt:]  # distances of the windows that start there
    place = int(np.argmax(np.where(np.isfinite(profile), profile, -np.inf)))
    return (learnt + place + window // 2) * factor


# --- the folder ---


def ucr_files(path: Path) -> list[UcrFile]:
    """List the series of a folder of the UCR archive, in order of their names; files of other kinds are passed over.

    Raises:
        InputError: the folder is missing, holds no series, or a name does not tell where the anomaly is.
    """
    require_folder(path, LAYOUT)
    files = [_ucr_file(file) for file in sorted(path.glob("*UCR_Anomaly*.txt"))]
    if not files:
        raise InputError(f"{path}: found no series; {LAYOUT}")
    return files


def _ucr_file(path: Path) -> UcrFile:
    match = NAME.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path}: the name does not tell train, begin and end; {LAYOUT}")
    train, begin, end = (int(match[key]) for key in ("train", "begin", "end"))
    if not 0 < train <= begin <= end:
        raise InputError(f"{path}: the name says train {train}, begin {begin}, end {end}; it must be 0 < train <= begin <= end")
    return UcrFile(path, train, begin, end)


def read_ucr_file(file: UcrFile) -> Array:
    """Read the values (N,) of one series, one a line or all on one line.

    Raises:
        InputError: the file cannot be read, holds something other than numbers, or ends before the anomaly does.
    """
    values = []
    for line, text in enumerate(read_text(file.path).splitlines(), start=1):
        for field in text.split():
            try:
                value = float(field)
            except ValueError:
                value = math.inf
            if math.isinf(value):
                raise InputError(f"{file.path}, line {line}: found {field!r}; every value must be a number")
            values.append(value)
    if len(values) < file.end:
        raise InputError(f"{file.path}: found {len(values)} values; the name says that the anomaly ends at {file.end}")
    return np.array(values)


def _report(files: Sequence[UcrFile], outcomes: Mapping[str, Sequence[Row]]) -> Report:
    data = {name: _figures(rows) for name, rows in outcomes.items()}
    accuracies = [
        [name, f"{one['accuracy']:.3f}", f"{one['found']}", f"{len(files)}", f"{one['seconds_a_series']:.2f}"]
        for name, one in data.items()
    ]
    text = (
        "# UCR Time Series Anomaly Archive\n\n"
        "The share of the series whose one anomaly lies at the detector's most anomalous place, or close by.\n\n"
        + table(["detector", "accuracy", "found", "series", "seconds a series"], accuracies)
        + untrained_lines(data)
    )
    words = [
        [file.path.name, *("yes" if rows[place].is_hit else "no" for rows in outcomes.values())]
        for place, file in enumerate(files)
    ]
    summary = {"benchmark": "ucr", "files": len(files), "detectors": data}
    return Report(text, summary, "Found:\n\n" + table(["series", *outcomes], words))


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    hits = sum(row.is_hit for row in rows)
    return {
        "accuracy": hits / len(rows),
        "found": hits,
        "seconds_a_series": round(sum(row.seconds for row in rows) / len(rows), 3),
        "untrained": {row.file.path.name: row.untrained for row in rows if row.untrained},
        "files": {row.file.path.name: {"location": row.location, "hit": row.is_hit} for row in rows},
    }
