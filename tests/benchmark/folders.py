"""Small folders laid out like the benchmarks, and what is read of a benchmark's results."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cli import ROOT
from hypothesis import settings

BENCHMARKS = Path(os.environ.get("BENCHMARKS", ROOT / "../shared/benchmarks"))
needs_nab = pytest.mark.skipif(not (BENCHMARKS / "nab").is_dir(), reason=f"no benchmark data at {BENCHMARKS / 'nab'}")
property_test = settings(deadline=None, max_examples=40, derandomize=True)

POINTS = 1200
ODD = 900  # the row of the one anomaly
GAUSSIAN = ("--detector", "windowed_gaussian")
FOREST = ("--detector", "isolation_forest", "--set", "forest.n_estimators=10")


def values(seed: int = 0) -> np.ndarray:
    """A noisy season with one anomaly, ten points long."""
    series = np.sin(np.arange(POINTS) / 8) + np.random.default_rng(seed).normal(scale=0.2, size=POINTS)
    series[ODD : ODD + 10] += 6
    return series


def constant_at_first(points: int) -> np.ndarray:
    """The same, but constant for so many points, so that nothing can be learnt of them."""
    series = values()
    series[:points] = 3.0
    return series


def stamp(row: int) -> str:
    """The time of a row as NAB writes it."""
    return str(np.datetime64("2014-04-01T00:00:00", "s") + np.timedelta64(300, "s") * row).replace("T", " ")


def write_nab(folder: Path, **series: np.ndarray) -> Path:
    """A folder laid out like NAB with these files in one category; each is labelled around the anomaly."""
    data, labels = folder / "data/real", folder / "labels"
    data.mkdir(parents=True)
    labels.mkdir()
    for name, column in series.items():
        lines = [f"{stamp(row)},{value}" for row, value in enumerate(column.tolist())]
        (data / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    windows = {f"real/{name}.csv": [[stamp(ODD - 20), stamp(ODD + 40)]] for name in series}
    (labels / "combined_windows.json").write_text(json.dumps(windows))
    return folder


def write_ucr(folder: Path, **series: np.ndarray) -> Path:
    """A folder with series of the UCR archive, trained on the first 600 points."""
    folder.mkdir()
    for number, (name, column) in enumerate(series.items(), start=1):
        text = "\n".join(f"{value:.6f}" for value in column.tolist())
        (folder / f"{number:03}_UCR_Anomaly_{name}_600_{ODD}_{ODD + 10}.txt").write_text(text)
    return folder


def write_series(folder: Path, train: int = 600, **sets: dict[str, np.ndarray]) -> Path:
    """A folder of labelled series by set and name, columns (N,) or (N, F); the anomaly is labelled where the last column has it."""
    for set_name, files in sets.items():
        (folder / set_name).mkdir(parents=True)
        for name, columns in files.items():
            rows = columns.reshape(len(columns), -1)
            odd = abs(rows[ODD, -1]) > 4
            names = ["value"] if rows.shape[1] == 1 else [f"sensor_{number}" for number in range(rows.shape[1])]
            lines = [",".join(["timestamp", *names, "label"])]
            for row, numbers in enumerate(rows.tolist()):
                label = int(odd and ODD <= row < ODD + 10)
                lines.append(",".join([stamp(row), *("" if math.isnan(value) else str(value) for value in numbers), str(label)]))
            with gzip.open(folder / set_name / f"{name}_{train}.csv.gz", "wt") as file:
                file.write("\n".join(lines) + "\n")
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a csv file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def summary(out: Path) -> dict[str, Any]:
    """What summary.json holds."""
    content: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return content
