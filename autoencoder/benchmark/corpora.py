"""The folders of two benchmarks: the Numenta Anomaly Benchmark (NAB) and the UCR Time Series Anomaly Archive.

Sources: https://github.com/numenta/NAB; Wu and Keogh, "Current Time Series Anomaly Detection Benchmarks are Flawed and are
Creating the Illusion of Progress", TKDE 2021, doi 10.1109/TKDE.2021.3112126.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoencoder.benchmark.nab import FileResult, Window
from autoencoder.benchmark.tables import Array, Times, parse_number, parse_time, read_columns, read_text
from autoencoder.core.errors import RunError
from data.chunk import InputError

Labels = npt.NDArray[np.bool_]

NAB_LAYOUT = "a NAB folder holds data/<category>/<file>.csv and labels/combined_windows.json"
UCR_NAME = re.compile(r"(?P<number>\d+)_UCR_Anomaly_(?P<name>.+)_(?P<train>\d+)_(?P<begin>\d+)_(?P<end>\d+)\.txt")
UCR_LAYOUT = "files are named NNN_UCR_Anomaly_<name>_<train>_<begin>_<end>.txt"
UCR_TOLERANCE = 100  # points on either side of an anomaly in which its place counts as found, if the anomaly itself is no longer


@dataclass(frozen=True, slots=True)
class NabFile:
    """One file of a NAB folder: its name within the corpus ("realKnownCause/nyc_taxi.csv"), its path and its labelled windows."""

    name: str
    path: Path
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class NabSeries:
    """What a NAB file holds.

    Attributes:
        timestamps: (N,) datetime64[ns]; some files jump back in time.
        values: (N,) NaN where one is missing.
        labels: (N,) True inside a labelled window.
    """

    timestamps: Times
    values: Array
    labels: Labels


@dataclass(frozen=True, slots=True)
class NabResult:
    """What a detector's result file holds, one row a point: timestamps (N,), values (N,) and anomaly scores (N,)."""

    timestamps: Times
    values: Array
    anomaly_scores: Array


@dataclass(frozen=True, slots=True)
class UcrFile:
    """One series of the UCR archive: values [0, train) are normal, the one anomaly is [begin, end)."""

    path: Path
    name: str
    number: int
    train: int
    begin: int
    end: int


def nab_files(path: Path) -> list[NabFile]:
    """List the files of a folder laid out like NAB, by name, with their windows in order of time.

    Raises:
        InputError: a folder or the labels are missing or broken, there is no file, or one is not in the labels.
    """
    _check_folder(path, NAB_LAYOUT)
    data = path / "data"
    _check_folder(data, NAB_LAYOUT)
    paths = {file.relative_to(data).as_posix(): file for file in sorted(data.glob("*/*.csv"))}
    if not paths:
        raise InputError(f"{data}: found no file <category>/<file>.csv; {NAB_LAYOUT}")
    labels = path / "labels" / "combined_windows.json"
    windows = _read_windows(labels)
    unlabelled = [name for name in paths if name not in windows]
    if unlabelled:
        raise InputError(f"{labels}: no entry '{unlabelled[0]}'; every file needs one, [] where nothing is anomalous")
    return [NabFile(name, file, windows[name]) for name, file in paths.items()]


def read_nab_file(file: NabFile) -> NabSeries:
    """Read timestamps, values and labels of one file.

    Raises:
        InputError: the file cannot be read, a column is missing, or a field is not what its column holds.
    """
    timestamps, (values,) = read_columns(file.path, ("value",))
    labels = np.zeros(len(timestamps), dtype=np.bool_)
    for first, last in file.windows:
        labels |= (timestamps >= first) & (timestamps <= last)
    return NabSeries(timestamps, values, labels)


def nab_result_path(out: Path, detector: str, name: str) -> Path:
    """Where NAB keeps a detector's result for a file: OUT/<detector>/<category>/<detector>_<file>.csv."""
    category, file = name.split("/")
    return out / detector / category / f"{detector}_{file}"


def write_nab_result(
    out: Path, detector: str, name: str, timestamps: Times, values: Array, anomaly_scores: Array, labels: Labels
) -> Path:
    """Write one file's result in NAB's format, with the columns timestamp, value, anomaly_score and label.

    An unknown score is written as 0, for NAB's own scorer takes none but numbers; an unknown value is left empty.

    Args:
        out: the folder of all detectors' results.
        detector: its name.
        name: the file's name within the corpus, e.g. "realKnownCause/nyc_taxi.csv".
        timestamps: (N,).
        values: (N,).
        anomaly_scores: (N,) in [0, 1].
        labels: (N,).

    Returns:
        The path of the file written.

    Raises:
        RunError: the file cannot be written.
    """
    path = nab_result_path(out, detector, name)
    scores = np.where(np.isnan(anomaly_scores), 0.0, anomaly_scores)
    rows = zip(_as_text(timestamps), values.tolist(), scores.tolist(), labels, strict=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("timestamp", "value", "anomaly_score", "label"))
            writer.writerows((time, "" if math.isnan(value) else value, score, int(label)) for time, value, score, label in rows)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); choose another folder for the results") from None
    return path


def read_nab_result(path: Path) -> NabResult:
    """Read a result file, with or without the label column.

    Raises:
        InputError: the file cannot be read, a column is missing, or a field is not what its column holds.
    """
    timestamps, (values, scores) = read_columns(path, ("value", "anomaly_score"))
    return NabResult(timestamps, values, scores)


def read_nab_results(out: Path, detector: str, files: Iterable[NabFile]) -> dict[str, FileResult]:
    """Read a detector's results for all files, ready for ``nab_scores``.

    Raises:
        InputError: a result is missing or cannot be read.
    """
    results = {}
    for file in files:
        result = read_nab_result(nab_result_path(out, detector, file.name))
        results[file.name] = FileResult(result.timestamps, result.anomaly_scores, file.windows)
    return results


def ucr_files(path: Path) -> list[UcrFile]:
    """List the series of a folder of the UCR archive, in order of their names; files of other kinds are passed over.

    Raises:
        InputError: the folder is missing, holds no series, or a name does not tell where the anomaly is.
    """
    _check_folder(path, UCR_LAYOUT)
    files = [_ucr_file(file) for file in sorted(path.glob("*UCR_Anomaly*.txt"))]
    if not files:
        raise InputError(f"{path}: found no series; {UCR_LAYOUT}")
    return files


def read_ucr_file(file: UcrFile) -> Array:
    """Read the values (N,) of one series, one a line or all on one line.

    Raises:
        InputError: the file cannot be read, holds something other than numbers, or ends before the anomaly does.
    """
    values = []
    for row, line in enumerate(read_text(file.path).splitlines(), start=1):
        try:
            values += [parse_number(field) for field in line.split()]
        except ValueError as error:
            raise InputError(f"{file.path}, line {row}: {error}; every value must be a number") from None
    if len(values) < file.end:
        raise InputError(f"{file.path}: found {len(values)} values; the name says that the anomaly ends at {file.end}")
    return np.array(values)


def ucr_hit(location: int, begin: int, end: int) -> bool:
    """Whether a place counts as finding the anomaly [begin, end): it lies at most max(100, end - begin) points from it.

    >>> ucr_hit(900, 1000, 1020), ucr_hit(899, 1000, 1020), ucr_hit(1120, 1000, 1020)
    (True, False, True)
    """
    tolerance = max(UCR_TOLERANCE, end - begin)
    return begin - tolerance <= location <= end + tolerance


def _ucr_file(path: Path) -> UcrFile:
    match = UCR_NAME.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path}: the name does not tell train, begin and end; {UCR_LAYOUT}")
    number, train, begin, end = (int(match[key]) for key in ("number", "train", "begin", "end"))
    if not 0 < train <= begin <= end:
        raise InputError(f"{path}: the name says train {train}, begin {begin}, end {end}; it must be 0 < train <= begin <= end")
    return UcrFile(path, match["name"], number, train, begin, end)


def _read_windows(path: Path) -> dict[str, tuple[Window, ...]]:
    try:
        entries = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not JSON ({error.msg}); restore the file from the benchmark") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: found {type(entries).__name__} at the top; it must map file names to lists of windows")
    return {name: _windows(f"{path}, '{name}'", pairs) for name, pairs in entries.items()}


def _windows(where: str, pairs: object) -> tuple[Window, ...]:
    if not isinstance(pairs, list):
        raise InputError(f"{where}: found {pairs!r}; it must be a list of [start, end] pairs")
    windows = sorted(_window(where, pair) for pair in pairs)
    for (_, last), (first, _) in pairwise(windows):
        if first <= last:
            raise InputError(f"{where}: one window ends at {last} and the next starts at {first}; windows must not overlap")
    return tuple(windows)


def _window(where: str, pair: object) -> Window:
    wrong = InputError(f'{where}: found {pair!r}; a window is a pair such as ["2014-04-10 16:15:00", "2014-04-12 01:45:00"]')
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
        raise wrong
    try:
        first, last = (parse_time(text) for text in pair)
    except ValueError:
        raise wrong from None
    if last < first:
        raise InputError(f"{where}: the window from {pair[0]} to {pair[1]} ends before it starts; swap the two")
    return first, last


def _as_text(timestamps: Times) -> list[str]:
    """Write times as NAB does; fractions of a second only where there are any."""
    seconds = timestamps.astype("datetime64[s]")
    texts: list[str] = np.datetime_as_string(seconds if (seconds == timestamps).all() else timestamps).tolist()
    return [text.replace("T", " ") for text in texts]


def _check_folder(path: Path, layout: str) -> None:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; {layout}")
