"""What tests of the fleet share: series, their model, and detections as the lines of scores.csv."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from autoencoder.core.types import Detections
from autoencoder.reports.scores_csv import rows_text

SERIES, TRAINING, POINTS = 12, 300, 240  # of the judged part
START = np.datetime64("2024-03-01", "us")
Lines = dict[str, list[str]]  # of scores.csv, by series


def signal(series: int, points: int) -> npt.NDArray[np.float64]:
    """Values (N,) of a series, with a spike in the judged part."""
    steps = np.arange(points)
    values = (series + 1) * (10 + np.sin(2 * np.pi * steps / 16)) + np.random.default_rng(series).normal(size=points) * 0.2
    values[TRAINING + 50 + series :: 97] += 3 * (series + 1)
    return values.round(6)


def table_of(start: int, stop: int, names: list[str] | None = None) -> pa.Table:
    """Rows [start, stop) of every series, in order of time; a value is missing now and then."""
    names = names or [f"s{number}" for number in range(SERIES)]
    times = START + np.arange(start, stop) * np.timedelta64(60_000_000, "us")
    values = np.stack([signal(number, stop)[start:] for number in range(len(names))], axis=1)  # (N, S)
    values.flat[37::211] = np.nan
    return pa.table(
        {
            "series": pa.array(names * len(times)),
            "time": pa.array(np.repeat(times, len(names)), pa.timestamp("us", "UTC")),
            "value": pa.array(values.ravel(), from_pandas=True),
        }
    )


def write_files(folder: Path, table: pa.Table, count: int) -> None:
    """The table as so many files of about as many rows, which cut it anywhere."""
    folder.mkdir()
    ends = np.linspace(0, len(table), count + 1).astype(int)
    for number, (start, end) in enumerate(itertools.pairwise(ends.tolist())):
        path = folder / f"{number:03}.parquet"
        pq.write_table(table.slice(start, end - start), path)
        os.utime(path, (number, number))  # Spark reads files in the order in which they were changed


def lines_of(table: pa.Table) -> Lines:
    """Rows of detections as lines of scores.csv, by series in order of time."""
    table = table.sort_by([("time", "ascending"), ("series", "ascending")])
    floats = {name: table[name].to_numpy().astype(float) for name in ("value", "prediction", "error", "threshold", "score")}
    found = Detections(
        table["time"].to_numpy().astype("datetime64[ns]"),
        floats["value"][:, None],
        floats["prediction"][:, None],
        floats["error"],
        floats["threshold"],
        floats["score"],
        table["anomaly"].to_numpy(zero_copy_only=False),
    )
    return by_series(rows_text(found, "Z", table["series"].to_pylist()).splitlines())


def by_series(lines: list[str]) -> Lines:
    """Lines of scores.csv by their last field."""
    found: Lines = {}
    for line in lines:
        found.setdefault(line.rpartition(",")[2], []).append(line)
    return found
