"""Files of many series, and what the program makes of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from helpers.cli import GAUSSIAN, QUIET, TINY_LSTM, wave

Row = tuple[object, ...]  # time, series, value

START = np.datetime64("2025-01-01T00:00:00")
SHORT = (*GAUSSIAN, "--set", "training.fraction=0.7")
LSTM = (*QUIET, *TINY_LSTM, "--set", "training.max_steps=20")
QUICK = ("--set", "threshold.budget=0.02", *SHORT)


def rows_of(name: str, values: Sequence[object], every: int = 60) -> list[Row]:
    """The rows of one series, ``every`` seconds apart."""
    return [(f"{START + np.timedelta64(every * row, 's')}Z", name, value) for row, value in enumerate(values)]


def spiked(count: int, *at: int) -> list[float]:
    """A noisy wave with spikes."""
    values = wave(count)
    for row in at:
        values[row] += 25
    return values


def interleaved(*series: list[Row]) -> list[Row]:
    """Rows ordered by time."""
    return sorted((row for one in series for row in one), key=lambda row: row[0])


def file_of(path: Path, rows: Iterable[Row], header: str = "timestamp,host,value") -> Path:
    """A csv file of rows; names are quoted where they must be."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(header + "\n")
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def lines_of(folder: Path) -> list[str]:
    """The lines of scores.csv."""
    return (folder / "scores.csv").read_text(encoding="utf-8").splitlines()


def to_detections(folder: Path) -> dict[str, list[str]]:
    """Series -> its lines in scores.csv, without its name."""
    found: dict[str, list[str]] = {}
    for line in lines_of(folder)[1:]:
        detection, _, name = line.rpartition(",")
        found.setdefault(name, []).append(detection)
    return found
