"""What every source is and yields: Source, Chunk, Event, and the errors that sources raise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice, repeat
from operator import lt
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import InputError
from autoencoder.core.state import State
from autoencoder.core.types import Array, Bools, Integers, Time

Warn: TypeAlias = Callable[[str], None]

ASIDE = ("volume", "market", "session")  # what is known of a row of prices: how much was traded, level of the market, day
UNKNOWN_ASIDE = (math.nan, 1.0, -1.0)  # where it is not
TICK_SECONDS = 1.0  # after which the reader of a source that waits is told that nothing comes


def ignore(sentence: str) -> None:
    """Take a warning and do nothing."""


def unreadable(path: Path, error: OSError | ValueError) -> InputError:
    """The error of a file that cannot be opened or read."""
    match error:
        case FileNotFoundError():
            return InputError(f"{path}: no such file; check the path")
        case IsADirectoryError():
            return InputError(f"{path} is a folder; give the path of one file in it")
        case PermissionError():
            return InputError(f"{path}: permission to read is denied; change its rights (chmod u+r) or run as its owner")
        case OSError():
            return InputError(f"{path} cannot be read ({error.strerror or error}); check the path")
    return InputError(f"{str(path)!r} cannot be read ({error}); check the path")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a stream, in order of arrival."""

    time: Time  # (N,) in UTC (or without a zone, as the source gave it), or an index
    values: Array  # (N, F) NaN where a value is missing
    labels: Bools | None = None  # (N,) True inside a known anomaly; None where nothing is known
    series: Integers | None = None  # (N,) position in the source's ``series``; None where all rows are of one
    aside: Array | None = None  # (N, A) what is known beside the values, see ``ASIDE``; None where nothing is

    @property
    def inputs(self) -> Array:
        """Values, and what is known beside them (N, F + A)."""
        return self.values if self.aside is None else np.concatenate([self.values, self.aside], axis=1)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | npt.NDArray[np.intp]) -> Chunk:
        return self._mapped(lambda name: getattr(self, name)[rows])

    @staticmethod
    def concatenate(parts: Sequence[Chunk]) -> Chunk:
        """Join consecutive chunks of one source; at least one part is needed."""
        return parts[0]._mapped(lambda name: np.concatenate([getattr(part, name) for part in parts]))

    @staticmethod
    def nothing(columns: int) -> Chunk:
        """No row of so many columns: a sign that time passes."""
        return Chunk(np.empty(0, "datetime64[ns]"), np.empty((0, columns)))

    def split(self, size: int, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on in chunks that end at multiples of ``size``."""
        while start < len(self):
            end = (start // size + 1) * size
            yield self[start:end]
            start = end

    def _mapped(self, make: Callable[[str], Any]) -> Chunk:
        """A chunk of what ``make`` gives for the name of each array that this one has."""
        return Chunk(**{field.name: make(field.name) for field in fields(self) if getattr(self, field.name) is not None})


def skip_rows(chunks: Iterator[Chunk], count: int) -> Iterator[Chunk]:
    """Yield the chunks without their first ``count`` rows."""
    for chunk in chunks:
        skipped = min(count, len(chunk))
        count -= skipped
        if skipped < len(chunk) or not len(chunk):
            yield chunk[skipped:] if skipped else chunk


class MonotonicityCheck:
    """Counts rows whose time is not after that of the row before in the same series, to warn of them once."""

    def __init__(self, name: str, unit: str, warn: Warn) -> None:
        self._name = name
        self._unit = unit  # what the numbers count, "line" or "row"
        self._warn = warn
        self._newest: dict[int, int] = {}  # series -> time of its newest row
        self._late = 0
        self._first = ""
        self._is_told = False
        self._rises = False  # whether any row is later than the one before
        self._falls = 0  # rows that are earlier

    @property
    def is_late(self) -> bool:
        """Whether any row is not after the one before."""
        return self._late > 0

    @property
    def is_newest_first(self) -> bool:
        """Whether the rows go back in time, in every series; one step back is none that tells an order."""
        return self._falls > 1 and not self._rises

    def update(self, numbers: Sequence[int], time: Time, series: Integers | None = None) -> None:
        """Take the next rows: their numbers in the file (N,), times (N,) and series (N,); None: they are all of one."""
        moments, newest = time.view(np.int64).tolist(), self._newest
        if series is None and moments[0] > newest.get(0, -math.inf) and all(map(lt, moments, islice(moments, 1, None))):
            self._rises = self._rises or len(moments) > 1 or bool(newest)
            newest[0] = moments[-1]  # as below, in half the time
            return
        for row, (moment, owner) in enumerate(zip(moments, repeat(0) if series is None else series.tolist(), strict=False)):
            before = newest.get(owner, -math.inf)
            if moment <= before:
                if not self._late:
                    now, then = np.array([moment, before], np.int64).view(time.dtype)
                    self._first = f"{self._unit} {numbers[row]}: time {_text(now)} is not after {_text(then)}"
                self._late += 1
                self._falls += moment < before
            elif before > -math.inf:
                self._rises = True
            newest[owner] = moment

    def tell_of_turning(self) -> None:
        """Say that rows which go back in time are turned round."""
        self._warn(f"{self._name} lists the newest rows first; they are judged from the oldest one on")

    def tell_once(self) -> None:
        """Warn of all such rows so far, where there are any and nothing has been said yet."""
        if self._late and not self._is_told:
            self._is_told = True
            rows = "1 such row" if self._late == 1 else f"{self._late:,} such rows"
            remedy = "rows are judged in file order; sort the file or choose another --time-column"
            self._warn(f"{self._name}, {self._first} ({rows}); {remedy}")


@dataclass(frozen=True, slots=True)
class Event:
    """One known anomaly: its kind, its rows [start, end), its size in the stream's unit (signed where that matters)."""

    kind: str
    start: int
    end: int
    size: float


class Source(Protocol):
    """Where points come from; a source that derives from this class inherits the defaults."""

    name: str  # what titles and run folders call it ("synthetic", "AAPL", "cpu.csv")
    columns: tuple[str, ...]  # the F names of the values' columns
    length: int | None  # how many points will come; None where that is unknown or endless
    timezone: str | None  # of the times ("America/New_York", "UTC", "+02:00"); None where they carry none or are a plain count
    rewindable: bool = True  # a restarted program gets the points from the first one again; False: those that come next
    mutable: bool = False  # points that were given before may have other values after a restart (adjusted prices)
    throttled: bool = False  # points come at a pace of their own, although their number is known
    has_series: bool = False  # each row says which series it belongs to
    series: Sequence[str] = ()  # names in order of first appearance; a live source adds to them while it is read

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the stream from row ``start`` on, chunk by chunk; ends where a bounded source ends.

        A source that waits for points yields a chunk without any now and then, so that its reader notices that time passes.

        Raises:
            SourceError: the source cannot be read.
        """
        ...

    def events(self, stop: int) -> list[Event]:
        """Known anomalies that begin before row ``stop``, in order; a source that knows none gives an empty list."""
        return []

    def memory(self, rows: int) -> State:
        """What a source that is not rewindable must remember to go on behind so many of its rows; nothing by default."""
        return {}

    def recall(self, memory: State) -> None:
        """Take back what ``memory`` gave, before ``chunks`` goes on behind those rows."""
        return None


class HandedOver(Source):
    """Where points come from that a caller hands over, as far as a panel asks."""

    def __init__(
        self, name: str, columns: Sequence[str], timezone: str | None, *, length: int | None = None, has_series: bool = False
    ) -> None:
        self.name, self.columns, self.timezone = name, tuple(columns), timezone
        self.length, self.has_series = length, has_series

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """None are at hand."""
        return iter(())


def _text(time: np.datetime64 | np.int64) -> str:
    return str(np.datetime_as_string(time, unit="auto")) if isinstance(time, np.datetime64) else str(time)
