"""Rows: the lines of scores.csv, written from detections and read back."""

from __future__ import annotations

import csv
import functools
import re
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelError
from autoencoder.core.types import Detections
from autoencoder.reports.disk import open_inside
from autoencoder.reports.incidents import time_text

_BLOCK = 10_000  # rows that are text at a time: they take ten times as much memory as their numbers


def header(columns: tuple[str, ...], *, of_many: bool = False) -> list[str]:
    """Column names of scores.csv; ``of_many``: a last one says which series a row belongs to."""
    if len(columns) == 1:
        values, predictions = ["value"], ["prediction"]
    else:
        names = [_field(name) for name in columns]
        values, predictions = [f"value_{name}" for name in names], [f"prediction_{name}" for name in names]
    return ["time", *values, *predictions, "error", "threshold", "score", "anomaly", *(["series"] if of_many else [])]


def rows_text(detections: Detections, zone: str, series: Sequence[str] | None = None) -> str:
    """Rows of scores.csv: values as they came, the rest to nine digits, unknown fields empty; ``series`` (N,) as ``series_field`` gave."""
    rows = zip(
        time_text(detections.time, zone),
        *detections.values.T.tolist(),
        *detections.predictions.T.tolist(),
        detections.errors.tolist(),
        detections.thresholds.tolist(),
        detections.scores.tolist(),
        detections.anomalies.tolist(),
        strict=True,
    )
    form = _form_of_row(detections.values.shape[1])
    text = "".join([form % row for row in rows]).replace("nan", "")  # no time has these letters
    if series is None:
        return text
    return "".join([f"{line},{field}\n" for line, field in zip(text.splitlines(), series, strict=True)])


@functools.cache
def _form_of_row(features: int) -> str:
    return ",".join(["%s", *["%r"] * features, *["%.9g"] * (features + 3), "%d\n"])


def series_field(name: str) -> str:
    r"""The name of a series as a csv field that is text to a spreadsheet; names that differ stay different.

    What moves a cursor, ends a field in some country's spreadsheet, or would make the field a formula is written as a Python escape.

    >>> print(series_field("web-1"), series_field("-1"), series_field("=1+1;\x1b"), series_field('disk "a", 2'))
    web-1 -1 \x3d1+1\x3b\x1b "disk ""a"", 2"
    """
    safe = "".join(_escaped(character) if character in ";|\\" or not character.isprintable() else character for character in name)
    if safe[:1] in ("=", "+", "-", "@") and not re.fullmatch(r"-\d+(\.\d+)?", safe):
        safe = _escaped(safe[0]) + safe[1:]
    return '"' + safe.replace('"', '""') + '"' if {",", '"'} & set(safe) else safe


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _field(name: str) -> str:
    """A column name as one csv field, whatever a spreadsheet takes for the end of one: what follows it could be a formula."""
    return "".join(character if character.isprintable() and character not in ',;|"' else "_" for character in name)


def read_series(path: Path, name: str, most: int) -> Detections:
    """The newest ``most`` rows of one series in the scores.csv of many.

    Raises:
        ModelError: as ``read_rows``.
    """
    field = series_field(name)
    with _told(path), open_inside(path) as file:
        lines = TextIOWrapper(file, encoding="utf-8", newline="")
        names = next(csv.reader(lines))
        own = deque((line for line in lines if line.endswith(f",{field}\n")), most)
        (shown,) = next(csv.reader([field])) or [""]
        return parse_scores(names, [row for row in csv.reader(own) if row[-1] == shown])


def read_rows(path: Path, most: int) -> Detections:
    """The newest ``most`` rows of a scores.csv.

    Raises:
        ModelError: it cannot be read, or was not written by this program.
    """
    with _told(path), open_inside(path) as file:
        count = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        file.seek(0)
        return _newest(TextIOWrapper(file, encoding="utf-8", newline=""), max(0, count - 1 - most), most)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever fails inside is told as a fault of that file."""
    try:
        yield
    except (OSError, StopIteration, ValueError, TypeError, KeyError, csv.Error) as error:
        raise ModelError(f"{path} cannot be read as the scores of a run ({type(error).__name__}); run anew") from None


def _newest(file: TextIO, older: int, most: int) -> Detections:
    """The rows of a file after its header and ``older`` more lines; a row is one line."""
    names = next(csv.reader(file))
    lines = islice(file, older, None)
    blocks = deque([parse_scores(names, [])])
    while block := list(islice(lines, _BLOCK)):
        blocks.append(parse_scores(names, list(csv.reader(block))))
    return Detections.concatenate(list(blocks)[len(blocks) > 1 :])[-most:]


def parse_scores(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Detections:
    """Rows of scores.csv under its column names.

    Raises:
        ValueError, KeyError: they are not what this program writes.
    """
    columns = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))

    def numbers(name: str) -> npt.NDArray[np.float64]:
        return np.array([float(field) if field else np.nan for field in columns[name]], dtype=np.float64)

    return Detections(
        _times(columns["time"]),
        np.column_stack([numbers(name) for name in names if name.startswith("value")]),
        np.column_stack([numbers(name) for name in names if name.startswith("prediction")]),
        numbers("error"),
        numbers("threshold"),
        numbers("score"),
        np.array([field == "1" for field in columns["anomaly"]], dtype=bool),
    )


def _times(fields: Sequence[str]) -> npt.NDArray[np.datetime64] | npt.NDArray[np.int64]:
    if fields and all(field.lstrip("-").isdigit() for field in fields[:3]):
        return np.array(fields, dtype=np.int64)
    with warnings.catch_warnings(action="error", category=UserWarning):  # numpy warns of a zone and goes on
        try:
            return np.array([field.removesuffix("Z") for field in fields], dtype="datetime64[ns]")
        except UserWarning as error:
            raise ValueError(str(error)) from None
