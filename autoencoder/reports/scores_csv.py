"""The rows of a run: scores.csv, and incidents.jsonl beside it, written as the stream goes on; scores.csv read back."""

from __future__ import annotations

import csv
import functools
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path

import numpy as np

from autoencoder.core.errors import ModelFileError, ResumeError, RunError
from autoencoder.core.types import Detections, Time
from autoencoder.reports.files import NOT_A_PLAIN_FILE, AppendFile, open_inside, reporting
from autoencoder.reports.incidents import Incident, time_text
from autoencoder.reports.run_folder import INCIDENTS, SCORES
from autoencoder.reports.sinks import Batch, Sink

_BLOCK_ROWS = 10_000  # rows that are text at a time: they take ten times as much memory as their numbers
_MAX_FIELDS = 1 << 16  # names of series whose field is remembered
NO_NUMBERS = ("time", "anomaly", "series")  # columns that hold something else


class ResultWriter(Sink):
    """Appends to scores.csv and incidents.jsonl; the lines of open incidents stand last, and are written anew as they go on.

    ``zone`` is the suffix of every time ("Z" for UTC); ``keep`` says how many bytes of both files stay (``sizes`` at the checkpoint; None:
    a new run); ``of_many``: every row names its series.

    Raises:
        ResumeError: the files are not those of the checkpoint.
        RunError: they cannot be written.
    """

    def __init__(
        self, folder: Path, columns: tuple[str, ...], zone: str, keep: tuple[int, int] | None = None, *, of_many: bool = False
    ) -> None:
        self._folder, self._zone = folder, zone
        self._closed_bytes = keep[1] if keep else 0
        self._open: tuple[Incident, ...] = ()  # whose lines are the last
        try:
            self._scores = AppendFile(folder / SCORES, keep[0] if keep else 0)
            self._incidents = AppendFile(folder / INCIDENTS, self._closed_bytes)
            if not keep:
                self._scores.write((",".join(header(columns, of_many=of_many)) + "\n").encode())
        except EOFError as error:
            raise ResumeError(f"{error}, fewer than its checkpoint says; it cannot be resumed; run anew") from None
        except OSError as error:
            if error.errno in NOT_A_PLAIN_FILE:
                raise ResumeError(f"{error.filename} is a link, or no file at all; it is not gone on with; run anew") from None
            raise RunError(f"{folder} cannot be written ({error.strerror}); give another --out folder") from None

    def write(self, batch: Batch) -> None:
        """Append the rows of a batch and its incidents; they are in the files when this returns."""
        with reporting(self._folder):
            self._scores.write(rows_text(batch.detections, self._zone, batch.series).encode())
            self._write_incidents(batch.closed, batch.open)

    def _write_incidents(self, closed: Sequence[Incident], is_open: Sequence[Incident]) -> None:
        if closed or tuple(is_open) != self._open:
            done = "".join(incident.to_json() + "\n" for incident in closed).encode()
            last = "".join(incident.to_json("open") + "\n" for incident in is_open).encode()
            self._incidents.write(done + last, self._closed_bytes)
            self._closed_bytes += len(done)
            self._open = tuple(is_open)

    def flush(self) -> None:
        """Have all rows on the disk."""
        with reporting(self._folder, "run anew on a sound disk"):
            try:
                self._scores.sync()
                self._incidents.sync()
            except FileNotFoundError:
                what = "was moved or removed while the run went on; put it back and go on with --resume"
                raise RunError(f"{self._folder} {what}") from None

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of scores.csv, and of the closed incidents in incidents.jsonl."""
        return self._scores.size, self._closed_bytes

    def close(self, closed: Sequence[Incident] = (), *, resumable: bool = False) -> None:
        """Write the incidents that end with the stream, and close the files."""
        with closing(self._scores), closing(self._incidents), reporting(self._folder):
            self._write_incidents(closed, () if closed else self._open)


def header(columns: tuple[str, ...], *, of_many: bool = False) -> list[str]:
    """Column names of scores.csv; ``of_many``: a last one says which series a row belongs to."""
    endings = [f"_{_column_field(name)}" for name in columns] if len(columns) > 1 else [""]
    values, predictions = ([f"{what}{ending}" for ending in endings] for what in ("value", "prediction"))
    return ["time", *values, *predictions, "error", "threshold", "score", "anomaly", *(["series"] if of_many else [])]


def rows_text(detections: Detections, zone: str, series: Sequence[str] | None = None) -> str:
    """Rows of scores.csv: values as they came, the rest to nine digits, unknown fields empty; ``series`` (N,) names each row's."""
    columns = (column.tolist() for column in (*detections.numbers, detections.anomalies))
    rows = zip(time_text(detections.time, zone), *columns, strict=True)
    form = ",".join(["%s", *["%r"] * detections.values.shape[1], *["%.9g"] * (detections.values.shape[1] + 3), "%d\n"])
    text = "".join([form % row for row in rows]).replace("nan", "")  # no time has these letters
    if series is None:
        return text
    return "".join([f"{line},{series_field(name)}\n" for line, name in zip(text.splitlines(), series, strict=True)])


@functools.lru_cache(_MAX_FIELDS)
def series_field(name: str) -> str:
    r"""The name of a series as a csv field that is text to a spreadsheet; names that differ stay different.

    What moves a cursor, ends a field in some country's spreadsheet, or would make the field a formula becomes a Python escape.

    >>> print(series_field("web-1"), series_field("-1"), series_field("=1+1;\x1b"), series_field('disk "a", 2'))
    web-1 -1 \x3d1+1\x3b\x1b "disk ""a"", 2"
    """
    formula = name[:1] in ("=", "+", "-", "@") and not re.fullmatch(r"-\d+(\.\d+)?", name)
    unsafe = ((place == 0 and formula) or each in ";|\\" or not each.isprintable() for place, each in enumerate(name))
    safe = "".join(_escaped(ord(each)) if is_unsafe else each for each, is_unsafe in zip(name, unsafe, strict=True))
    return '"' + safe.replace('"', '""') + '"' if {",", '"'} & set(safe) else safe


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _column_field(name: str) -> str:
    """A column name as one csv field, whatever a spreadsheet takes for the end of one: what follows it could be a formula."""
    return "".join(character if character.isprintable() and character not in ',;|"' else "_" for character in name)


def read_scores(folder: Path, series: str | None = None, *, stop: int | None = None, max_rows: int = 1_000_000) -> Detections:
    """The newest rows of scores.csv before row ``stop``: of one series where it is named, and of that counted.

    Raises:
        ModelFileError: it cannot be read, or was not written by this program.
    """
    with _scores_of(folder) as (file, names):
        begin = file.tell()
        older = max(0, sum(1 for _ in islice(_own_lines(file, series), stop)) - max_rows)
        file.seek(begin)
        lines, parts = islice(_own_lines(file, series), older, stop), [parse_scores(names, [])]
        while block := list(islice(lines, _BLOCK_ROWS)):
            parts.append(parse_scores(names, list(csv.reader(block))))
        return Detections.concatenate(parts[1:] or parts)


def read_series(folder: Path) -> tuple[dict[str | None, Detections], bool]:
    """All rows of scores.csv, by the name in their last field (see ``series_name``), None where a run has one series.

    Returns also whether the last line is cut off; it is left out, too. Raises as ``read_scores``.
    """
    parts: dict[str | None, list[Detections]] = {}
    is_whole = True
    with _scores_of(folder) as (file, names):
        while lines := list(islice(file, _BLOCK_ROWS)):
            is_whole = lines[-1].endswith(b"\n")
            rows = list(csv.reader(line.decode() for line in (lines if is_whole else lines[:-1])))
            block = parse_scores(names, rows)
            own = np.array([row[-1] if names[-1] == "series" else None for row in rows], dtype=object)
            for name in dict.fromkeys(own):
                parts.setdefault(name, []).append(block.where(own == name))
    return {name: Detections.concatenate(each) for name, each in parts.items()}, not is_whole


@contextmanager
def _scores_of(folder: Path) -> Iterator[tuple[BufferedReader, list[str]]]:
    """The file, behind its first line, and its column names; whatever is wrong with it inside is a ModelFileError."""
    path, read = folder / SCORES, 0
    try:
        with open_inside(path) as file:
            try:
                yield file, next(csv.reader([file.readline().decode()]))
            finally:
                read = file.tell()
    except (OSError, ValueError, TypeError, LookupError, StopIteration, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__} in the first {read:,} bytes"
        raise ModelFileError(f"{path} cannot be read as the scores of a run ({reason}); run anew") from None


def _own_lines(file: BufferedReader, series: str | None) -> Iterator[str]:
    """The whole lines of a series, all of them where none is named."""
    ending = b"\n" if series is None else f",{series_field(series)}\n".encode()
    for line in file:
        if line.endswith(ending):
            text = line.decode()
            if series is None or next(csv.reader([text]))[-1] == series_name(series):  # some names end alike
                yield text


def series_name(name: str) -> str:
    """The name of a series as a reader of scores.csv finds it, without the quotes around the field."""
    return (next(csv.reader([series_field(name)])) or [""])[0]


def parse_scores(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Detections:
    """Rows of scores.csv under its column names. Raises ValueError, KeyError: they are not what this program writes."""
    fields = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
    known = {name: np.array([float(field or "nan") for field in fields[name]]) for name in names if name not in NO_NUMBERS}
    values, predictions = (
        np.stack([known[name] for name in names if name.startswith(what)], axis=1) for what in ("value", "prediction")
    )
    flags = np.array([field == "1" for field in fields["anomaly"]], dtype=bool)
    return Detections(parse_times(fields["time"]), values, predictions, known["error"], known["threshold"], known["score"], flags)


def parse_times(fields: Sequence[str]) -> Time:
    """Times (N,) as scores.csv and incidents hold them. Raises ValueError: they are none."""
    if fields and all(field.lstrip("-").isdigit() for field in fields[:3]):
        return np.array(fields, dtype=np.int64)
    with warnings.catch_warnings(action="error", category=UserWarning):  # numpy warns of a zone and goes on
        try:
            return np.array([field.removesuffix("Z") for field in fields], dtype="datetime64[ns]")
        except UserWarning as error:
            raise ValueError(str(error)) from None
