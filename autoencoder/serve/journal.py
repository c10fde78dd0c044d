"""Journal: scores.csv as what a server remembers: the rows behind its checkpoint, and those that were decided not long ago."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from autoencoder.core.errors import ResumeError
from autoencoder.core.types import Detections, Integers
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import time_text
from autoencoder.reports.run_folder import MAX_CHECKPOINT_BYTES, REPLAY, SCORES, RunFolder, has, read_file
from autoencoder.reports.scores_csv import parse_scores, series_field

LOOK_BACK = 1 << 26  # bytes of scores.csv, from its end, that a question about the past goes through
BLOCK = 1 << 18

_ESCAPE = re.compile(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")

Key = tuple[str, int]  # a point: its series, and its time in nanoseconds since 1970
Named = tuple[list[str], Detections]  # N names of series, and the rows of scores.csv


def rescue(folder: RunFolder, header: list[str], rows: int, kept: int | None) -> Named | None:
    """The rows that were acknowledged after a checkpoint of so many rows, which left ``kept`` bytes of scores.csv; None: there are none.

    Resuming cuts them off scores.csv, to have them judged again; until they are, they stand in a file of their own. A kill while they are
    judged leaves the first of them in scores.csv again: of both files the one that reaches further has them all.

    Raises:
        ResumeError: they cannot be read.
    """
    try:
        lines = max(_rescued(folder.path, rows), _behind(folder.path, kept), key=len)
        found = parse(header, lines) if lines else None
    except (OSError, ValueError, KeyError, IndexError, csv.Error):
        what = f"the rows behind the checkpoint, in {folder.path / SCORES} or {REPLAY}, cannot be read"
        raise ResumeError(f"{what}; mend them, or run anew with another --out") from None
    if found:
        folder.write(REPLAY, b"%d\n" % rows + b"".join(lines))
    else:
        folder.remove(REPLAY)
    return found


def _rescued(folder: Path, rows: int) -> list[bytes]:
    """The lines behind a checkpoint of so many rows that an earlier start rescued; the first line counts the rows before them."""
    if not has(folder, REPLAY):
        return []
    start, *lines = read_file(folder / REPLAY, MAX_CHECKPOINT_BYTES).splitlines(keepends=True)
    return lines[rows - int(start) :] if int(start) <= rows else []


def _behind(folder: Path, kept: int | None) -> list[bytes]:
    """The whole lines of scores.csv behind its first bytes; None: behind its header."""
    if not has(folder, SCORES):
        return []
    with open_inside(folder / SCORES) as file:
        if kept is None:
            file.readline()
        else:
            file.seek(kept)
        return [line for line in file if line.endswith(b"\n")]


def parse(header: list[str], lines: list[bytes]) -> Named:
    """Lines of scores.csv as names of series (N,) and detections (N,)."""
    rows = list(csv.reader(line.decode() for line in lines))
    # names as ``series_field`` writes them
    names = [_ESCAPE.sub(lambda found: chr(int(found[0][2:], 16)), row[-1]) for row in rows]
    return names, parse_scores(header, rows)


def newest_first(folder: Path) -> Iterator[bytes]:
    """The whole lines of scores.csv from the last one back, as far as ``LOOK_BACK`` bytes."""
    with open_inside(folder / SCORES) as file:
        size = position = file.seek(0, 2)
        rest = b""
        while position > max(0, size - LOOK_BACK):
            begin = max(0, position - BLOCK)
            file.seek(begin)
            first, *lines = (file.read(position - begin) + rest).split(b"\n")
            if position == size and lines:
                lines.pop()  # empty, or a row that is being written
            yield from reversed(lines)
            position, rest = begin, first


def find(folder: Path, header: list[str], wanted: Collection[Key]) -> dict[Key, Detections]:
    """What was decided on points; those that cannot be found are not there."""
    places: dict[bytes, dict[bytes, Key]] = {}  # field of the series -> text of the time, whose order is that of the times
    texts = time_text(np.array([moment for _, moment in wanted], "datetime64[ns]"))
    for (name, moment), text in zip(wanted, texts, strict=True):
        places.setdefault(series_field(name).encode(), {})[text.encode()] = name, moment
    oldest, found = {field: min(own) for field, own in places.items()}, dict[Key, bytes]()
    for line in newest_first(folder):
        if own := places.get(field := _field(line)):
            time = line[: line.index(b"Z,")]
            if time in own:
                found[own[time]] = line
            if time <= oldest[field]:
                del places[field]
        if not places:
            break
    rows = parse(header, [*found.values()])[1]
    return {key: rows[row : row + 1] for row, key in enumerate(found)}


def newest_of(folder: Path, header: list[str], series: str, limit: int, *, anomalies: bool) -> Detections:
    """The newest rows of a series, at most ``limit``, oldest first; ``anomalies``: those that are flagged alone."""
    field = series_field(series).encode()
    own = (line for line in newest_first(folder) if _field(line) == field)
    chosen = (line for line in own if not anomalies or line.removesuffix(b"," + field).endswith(b",1"))
    return parse(header, [*islice(chosen, limit)][::-1])[1]


def _field(line: bytes) -> bytes:
    """The last field of a row, which names its series: in quotes, or behind the last comma."""
    return line[line.find(b',"') + 1 :] if line.endswith(b'"') else line[line.rfind(b",") + 1 :]


def nanoseconds(detections: Detections) -> Integers:
    """Times (N,) as nanoseconds since 1970."""
    return detections.time.astype("datetime64[ns]").astype(np.int64)
