"""Wrapped: sources around a source: at hand as a whole, its columns in another order or as series, its values transformed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Integers, Time
from autoencoder.sources.chunk import Chunk, Source, Warn, skip_rows
from autoencoder.sources.schema import MAX_SERIES

Kind: TypeAlias = Literal["rate", "difference", "log", "log_return"]

_ROWS = 1 << 16  # most rows of a chunk of series that were columns
_NANOSECONDS = 1e9  # in a second
_NEVER = -(1 << 63)  # the time of a value that there is not yet


class _WrappedSource(Source):
    """Another source, whose chunks are changed on their way; what a wrapper does not say is as that source says it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.columns, self.length, self.timezone = source.name, source.columns, source.length, source.timezone
        self.rewindable, self.mutable, self.throttled = source.rewindable, source.mutable, source.throttled
        self.has_series = source.has_series

    @property
    def series(self) -> Sequence[str]:  # type: ignore[override]  # it grows with those of the source
        """As the source names them."""
        return self._source.series


class WholeSource(_WrappedSource):
    """All points of a source, which must come to an end: from then on they are at hand."""

    def __init__(self, source: Source) -> None:
        self._chunks = list(source.chunks())
        super().__init__(source)
        self.length = sum(map(len, self._chunks))
        self.rewindable, self.throttled, self.mutable = True, False, False

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the points from row ``start`` on, as they came."""
        return skip_rows(iter(self._chunks), start)


class OrderedSource(_WrappedSource):
    """A source whose columns stand in the order of ``columns``, which are its own."""

    def __init__(self, source: Source, columns: tuple[str, ...]) -> None:
        super().__init__(source)
        self._places, self.columns = [source.columns.index(name) for name in columns], columns
        # those of the source stand where they stood
        self.events, self.memory, self.recall = source.events, source.memory, source.recall  # type: ignore[method-assign]

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on."""
        for chunk in self._source.chunks(start):
            yield replace(chunk, values=chunk.values[:, self._places])


class ColumnSeries(_WrappedSource):
    """Every cell of a source's rows as a row of its column's series, row by row; beside series that there are, of each of them."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        width = len(source.columns)
        if width > MAX_SERIES:
            raise InputError(f"{source.name} has {width:,} columns of numbers; at most {MAX_SERIES:,} are judged together")
        self.columns, self.has_series = ("value",), True
        self.length = None if source.length is None else source.length * width

    @property
    def series(self) -> Sequence[str]:  # type: ignore[override]
        """Names of the columns, behind those of the source's series where it has some."""
        columns = self._source.columns
        if not self._source.has_series:
            return columns
        return [f"{series} {column}" for series in self._source.series for column in columns]

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the cells from number ``start`` on.

        Raises:
            InputError: the source goes on behind a row, and does not know within which.
        """
        if start and not self.rewindable:
            raise InputError(
                f"{self.name}: columns that are judged each on its own cannot be gone on with; run anew without --resume"
            )
        yield from skip_rows(self._cells(), start)

    def _cells(self) -> Iterator[Chunk]:
        width = len(self._source.columns)
        for chunk in self._source.chunks():
            for part in chunk.split(max(1, _ROWS // width)) if len(chunk) else [chunk]:
                cells = part[np.arange(len(part)).repeat(width)]
                first = np.zeros(len(cells), np.int64) if cells.series is None else cells.series * width
                places = first + np.tile(np.arange(width), len(part))
                yield replace(cells, values=part.values.reshape(-1, 1), series=places)


class TransformedSource(_WrappedSource):
    """A source whose values are transformed on their way."""

    def __init__(self, source: Source, kind: Kind, warn: Warn) -> None:
        super().__init__(source)
        self._kind, self._warn = kind, warn
        self.events = source.events  # type: ignore[method-assign]  # those of the source stand where they stood
        self._is_told = False
        self._saved: State | None = None
        self._rows = 0  # given before the newest chunk
        self._newest: Chunk | None = None  # as the source gave it
        self._before: State = {}  # of the transform, before it

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on; a source that cannot be rewound needs ``recall`` first, to go on exactly."""
        if self.rewindable:
            yield from skip_rows(self._transformed(0), start)
        else:
            yield from self._transformed(start)

    def memory(self, rows: int) -> State:  # noqa: D102 - as in the base class
        if self.rewindable or self._newest is None:
            return {}
        after = Transform(self._kind, len(self.columns))
        after.load(self._before)
        after.process(self._newest[: rows - self._rows])
        return {"transform": after.state(), "source": self._source.memory(rows)}

    def recall(self, memory: State) -> None:  # noqa: D102 - as in the base class
        if memory:
            saved = Reader(memory, "the source")
            self._saved = saved.state("transform")
            self._source.recall(saved.state("source"))

    def _transformed(self, start: int) -> Iterator[Chunk]:
        transform = Transform(self._kind, len(self.columns))
        if self._saved is not None:
            transform.load(self._saved)
        rows = start
        for chunk in self._source.chunks(start):
            self._rows, self._newest, self._before = rows, chunk, {} if self.rewindable else transform.state()
            rows += len(chunk)
            yield transform.process(chunk) if len(chunk) else chunk
        count = transform.without_logarithm
        if count and not self._is_told:
            self._is_told = True
            self._warn(f"{self.name}: {count:,} value{'' if count == 1 else 's'} of 0 and less have no logarithm and are missing")


@dataclass(eq=False)
class Transform:
    """A state machine over the rows of all series of a source; a series' first row is missing, but with ``log``.

    ``difference``: a value less the one of the row before. ``rate``: the increase since the newest known value for each second (each
    row, where rows are counted); a value that is below it is that of a counter that began again at 0, and all of it is increase.
    ``log``: the natural logarithm; of 0 and less there is none, so such a value is missing. ``log_return``: the difference of logarithms.
    """

    kind: Kind
    width: int  # F, values of a row

    def __post_init__(self) -> None:
        self._values = np.empty((0, self.width))  # (S, F) of each series: the value before
        self._times = np.empty((0, self.width), np.int64)  # (S, F) and its time
        self.without_logarithm = 0  # values so far

    def process(self, chunk: Chunk) -> Chunk:
        """The chunk with other values, in its order."""
        series = np.zeros(len(chunk), np.int64) if chunk.series is None else chunk.series
        self._make_room(int(series.max(initial=-1)) + 1)
        values = chunk.values
        if self.kind in ("log", "log_return"):
            values = self._logarithm(values)
        if self.kind != "log":
            values = self._change(values, chunk.time, series)
        return Chunk(chunk.time, values, chunk.labels, chunk.series)

    def state(self) -> State:
        """What is remembered of each series."""
        return {"values": self._values.copy(), "times": self._times.copy(), "without_logarithm": self.without_logarithm}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave. Raises ModelFileError: damaged."""
        saved = Reader(state, "the transform")
        self._values = saved.array("values", ("S", self.width), finite=False)
        self._times = saved.integers("times", ("S", self.width))
        self.without_logarithm = saved.integer("without_logarithm")

    def _make_room(self, count: int) -> None:
        missing = count - len(self._values)
        if missing > 0:
            self._values = np.concatenate([self._values, np.full((missing, self.width), np.nan)])
            self._times = np.concatenate([self._times, np.full((missing, self.width), _NEVER, np.int64)])

    def _logarithm(self, values: Array) -> Array:
        has_none = values <= 0
        self.without_logarithm += int(np.count_nonzero(has_none))
        return np.log(np.where(has_none, np.nan, values))

    def _change(self, values: Array, time: Time, series: Integers) -> Array:
        """Values (N, F) -> how they changed (N, F), of each series since its own value before."""
        moments = time.view(np.int64)
        order = np.argsort(series, kind="stable")  # the rows of each series together, in their order
        changed = np.empty_like(values)
        starts = np.flatnonzero(np.diff(series[order], prepend=-1))
        for rows in np.split(order, starts[1:]):
            one = int(series[rows[0]])
            before = np.concatenate([self._values[one][None], values[rows]])  # (n + 1, F)
            at = np.concatenate([self._times[one][None], np.repeat(moments[rows][:, None], self.width, axis=1)])
            if self.kind == "rate":
                before, at = _last_known(before, at)
                changed[rows] = _rate(values[rows], before[:-1], moments[rows][:, None], at[:-1], time)
            else:
                changed[rows] = values[rows] - before[:-1]
            self._values[one], self._times[one] = before[-1], at[-1]
        return changed


def _last_known(values: Array, times: Integers) -> tuple[Array, Integers]:
    """In each row the newest value up to it that is known, and its time (n, F)."""
    rows = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    newest = np.maximum.accumulate(rows, axis=0)
    return np.take_along_axis(values, newest, axis=0), np.take_along_axis(times, newest, axis=0)


def _rate(values: Array, before: Array, now: Integers, then: Integers, time: Time) -> Array:
    increase = np.where(values < before, values, values - before)
    elapsed = now.astype(np.float64) - then if time.dtype.kind == "i" else (now - then) / _NANOSECONDS
    return np.divide(increase, elapsed, out=np.full_like(values, np.nan), where=(elapsed > 0) & ~np.isnan(before))
