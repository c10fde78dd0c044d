"""The folders of two benchmarks: the Numenta Anomaly Benchmark (NAB) and the UCR Time Series Anomaly Archive.

Sources: https://github.com/numenta/NAB; Wu and Keogh, "Current Time Series Anomaly Detection Benchmarks are Flawed and are
Creating the Illusion of Progress", TKDE 2021, doi 10.1109/TKDE.2021.3112126.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.benchmark.nab import Times, Window
from autoencoder.core.errors import InputError
from autoencoder.core.types import Array, Bools
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.files import FileSource
from autoencoder.sources.schema import ColumnSelection

NAB_LAYOUT = "a NAB folder holds data/<category>/<file>.csv and labels/combined_windows.json"
UCR_NAME = re.compile(r"(?P<number>\d+)_UCR_Anomaly_(?P<name>.+)_(?P<train>\d+)_(?P<begin>\d+)_(?P<end>\d+)\.txt")
UCR_LAYOUT = "files are named NNN_UCR_Anomaly_<name>_<train>_<begin>_<end>.txt"
UCR_TOLERANCE = 100  # points on either side of an anomaly that count as finding it; more where the anomaly itself is longer


@dataclass(frozen=True, slots=True)
class NabFile:
    """One file of a NAB folder: its name within the corpus ("realKnownCause/nyc_taxi.csv"), its path and its labelled windows."""

    name: str
    path: Path
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class NabSeries:
    """The content of a NAB file."""

    timestamps: Times  # (N,) datetime64[ns]; some files jump back in time
    values: Array  # (N,) NaN where one is missing
    labels: Bools  # (N,) True inside a labelled window


@dataclass(frozen=True, slots=True)
class UcrFile:
    """One series of the UCR archive: values [0, train) are normal, the one anomaly is [begin, end)."""

    path: Path
    train: int
    begin: int
    end: int

    def is_hit(self, location: int) -> bool:
        """Whether a place counts as finding the anomaly: it lies at most max(100, end - begin) points from it."""
        tolerance = max(UCR_TOLERANCE, self.end - self.begin)
        return self.begin - tolerance <= location <= self.end + tolerance


def nab_files(path: Path) -> list[NabFile]:
    """List the files of a folder laid out like NAB, by name, with their windows in order of time.

    Raises:
        InputError: a folder or the labels are missing or broken, there is no file, or one is not in the labels.
    """
    data, labels = path / "data", path / "labels" / "combined_windows.json"
    for folder in (path, data):
        _require_folder(folder, NAB_LAYOUT)
    paths = {file.relative_to(data).as_posix(): file for file in sorted(data.glob("*/*.csv"))}
    if not paths:
        raise InputError(f"{data}: found no file <category>/<file>.csv; {NAB_LAYOUT}")
    windows = _read_windows(labels)
    unlabelled = [name for name in paths if name not in windows]
    if unlabelled:
        raise InputError(f"{labels}: no entry '{unlabelled[0]}'; every file needs one, [] where nothing is anomalous")
    return [NabFile(name, file, windows[name]) for name, file in paths.items()]


def read_nab_file(file: NabFile) -> NabSeries:
    """Read timestamps, values and labels of one file; errors as of ``read_columns``."""
    timestamps, (values,) = read_columns(file.path, "value")
    labels = np.zeros(len(timestamps), dtype=np.bool_)
    for first, last in file.windows:
        labels |= (timestamps >= first) & (timestamps <= last)
    return NabSeries(timestamps, values, labels)


def read_columns(path: Path, *columns: str) -> tuple[Times, Array]:
    """Read a csv file's column "timestamp" (N,) as datetime64[ns], and the C named columns of numbers as the rows of (C, N).

    Raises:
        InputError: the file cannot be read, a column is missing, or a field is not what its column holds.
    """
    chunk = Chunk.concatenate(list(FileSource(path, ColumnSelection(columns, time="timestamp")).chunks()))
    if chunk.time.dtype.kind != "M":
        raise InputError(f"{path}: the column 'timestamp' holds numbers; it must hold times such as 2014-04-10 16:15:00")
    return chunk.time.astype("datetime64[ns]"), chunk.values.T


def ucr_files(path: Path) -> list[UcrFile]:
    """List the series of a folder of the UCR archive, in order of their names; files of other kinds are passed over.

    Raises:
        InputError: the folder is missing, holds no series, or a name does not tell where the anomaly is.
    """
    _require_folder(path, UCR_LAYOUT)
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
    for line, text in enumerate(_read_text(file.path).splitlines(), start=1):
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


def _ucr_file(path: Path) -> UcrFile:
    match = UCR_NAME.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path}: the name does not tell train, begin and end; {UCR_LAYOUT}")
    train, begin, end = (int(match[key]) for key in ("train", "begin", "end"))
    if not 0 < train <= begin <= end:
        raise InputError(f"{path}: the name says train {train}, begin {begin}, end {end}; it must be 0 < train <= begin <= end")
    return UcrFile(path, train, begin, end)


def _read_windows(path: Path) -> dict[str, tuple[Window, ...]]:
    try:
        entries = json.loads(_read_text(path))
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


def _window(where: str, pair: Any) -> Window:
    try:
        first, last = (np.datetime64(datetime.fromisoformat(text), "ns") for text in pair)
    except (TypeError, ValueError):
        wanted = '["2014-04-10 16:15:00", "2014-04-12 01:45:00"]'
        raise InputError(f"{where}: found {pair!r}; a window is a pair such as {wanted}") from None
    if last < first:
        raise InputError(f"{where}: the window from {first} to {last} ends before it starts; swap the two")
    return first, last


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the folder's layout") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); it must be a readable text file in UTF-8") from None


def _require_folder(path: Path, layout: str) -> None:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; {layout}")
