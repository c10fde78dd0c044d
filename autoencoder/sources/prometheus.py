"""Prometheus: the series of a query, over a stretch of the past in pages, and then as time goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from autoencoder.core.errors import InputError, ModelFileError, SourceError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Integers
from autoencoder.sources.chunk import Chunk, Source, Warn, ignore
from autoencoder.sources.documents import dicts_of, full_name, lists_of, texts_of
from autoencoder.sources.prometheus_api import Access, PrometheusApi, TooMuch

MAX_STEPS = 11_000  # points a series that Prometheus gives in one answer
PAGE_POINTS = 250_000  # of all series that are asked for at a time
MAX_CHUNK_ROWS = 1 << 16
_EMPTY = np.empty(0, np.int64)


class _Position(NamedTuple):
    """How far a stream was given."""

    time: int = 0  # milliseconds since 1970 of the last row; 0 before the first
    done: Integers = _EMPTY  # the series that were given at that time

    def advanced(self, chunk: Chunk) -> _Position:
        """The position behind further rows."""
        if not len(chunk):
            return self
        assert chunk.series is not None
        times = _milliseconds(chunk)
        last, here = int(times[-1]), chunk.series[times == times[-1]]
        return _Position(last, np.concatenate([self.done, here]) if last == self.time else here)

    def rest_of(self, chunk: Chunk) -> Chunk:
        """The rows of a chunk that lie behind it."""
        assert chunk.series is not None
        times = _milliseconds(chunk)
        is_new = (times > self.time) | ((times == self.time) & ~np.isin(chunk.series, self.done))
        return chunk if is_new.all() else chunk[np.flatnonzero(is_new)]


@dataclass(eq=False)
class PrometheusSource(Source):
    """What ``query_range`` answers, each series with its labels as its name; times are multiples of the step since 1970.

    A point is what the query gives at that time. Where it gives nothing (the target is gone, or nothing was scraped for as long as
    Prometheus looks back) there is no row; NaN and infinite values are missing. It cannot be rewound: a restarted run goes on behind the
    last row that it has done, however long it was away. Without ``follow`` the whole history is fetched when the source is made.

    Raises:
        InputError: the query, the address or the token is wrong, or the query gives nothing, or more series than are allowed.
        SourceError: there is no answer.
    """

    rewindable = False
    has_series = True
    columns = ("value",)
    timezone = "UTC"

    url: str
    query: str  # PromQL, of an instant vector or a scalar
    _: KW_ONLY
    step: float = 60.0  # seconds between two points; whole milliseconds
    history: float = 604_800.0  # seconds that are read of the past
    delay: float = 5.0  # seconds after which a point is asked for, so that what was scraped before it is stored
    max_series: int = 10_000
    follow: bool = False  # go on with new points after the history; a failure then ends nothing
    access: Access = field(default_factory=Access)
    warn: Warn = ignore
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time  # seconds since 1970

    def __post_init__(self) -> None:
        self.name = " ".join(self.query.split())
        self._api = PrometheusApi(self.url, self.access, self.warn, self.sleep)
        self._step, self._end = round(self.step * 1000), 0
        self.series: list[str] = []
        self._places: dict[str, int] = {}  # of the series, by name
        self._told: set[str] = set()
        self._recalled = _Position()
        # the newest chunk, and the number of rows and the position before it: set at once, so that no interrupt tears it apart
        self._given = 0, self._recalled, Chunk(_EMPTY, np.empty((0, 1)), series=_EMPTY)
        self._is_open, self._max_steps = False, MAX_STEPS
        self._end = self._last_time()
        begin = self._end - round(self.history * 1000) // self._step * self._step
        now = self._api.ask("query", query=self.query, time=_seconds(self._end))
        kind = now.get("resultType")
        # of the series that there are now
        self._count = len(dicts_of(now["result"])) if kind == "vector" else int(kind == "scalar")
        if self._count > self.max_series:
            raise self._too_many(f"{self._count:,}")
        past = self._stretch(begin, self._end)
        is_good = self.follow and self._count > 0  # so the past can wait until it is clear that the run does not go on behind it
        self._first = [] if is_good else list(islice(past, 1) if self.follow else past)
        if not (is_good or self._first):
            since, until = (np.datetime64(moment, "ms").item().isoformat(" ", "seconds") for moment in (begin, self._end))
            remedy = f"try it on {self.url}, or look further back with prometheus.history"
            raise InputError(f"{self.name}: the query gives nothing from {since} to {until} UTC; {remedy}")
        self._rest, self._is_open = past, True
        self.length = None if self.follow else sum(map(len, self._first))

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows by time, from the first on, or behind those that ``recall`` was told of; ``start`` is how many these are.

        Raises:
            SourceError, InputError: there is no answer; while it follows it waits for one instead.
        """
        chunks: Iterator[Chunk] = chain(self._first, self._rest)
        if (before := self._recalled).time:
            chunks = (rest for chunk in self._stretch(before.time, self._end) if len(rest := before.rest_of(chunk)))
        position = before
        for chunk in chain(chunks, self._new() if self.follow else ()):
            if not len(chunk):
                yield chunk
                continue
            self._given = start, position, chunk
            yield chunk
            start, position = start + len(chunk), position.advanced(chunk)

    def memory(self, rows: int) -> State:  # noqa: D102 - as in the base class
        before, position, newest = self._given
        at = position.advanced(newest[: rows - before])
        return {"time": at.time, "done": at.done, "end": self._end, "series": json.dumps(self.series)}

    def recall(self, memory: State) -> None:  # noqa: D102 - as in the base class
        saved = Reader(memory, "the source")
        try:
            self.series = [str(name) for name in json.loads(saved.text("series"))]
        except (ValueError, TypeError, RecursionError):
            raise ModelFileError("the checkpoint is damaged (the names of the series); run anew without --resume") from None
        self._places = {name: place for place, name in enumerate(self.series)}
        self._recalled = _Position(saved.integer("time"), saved.integers("done", (None,), 0))
        self._given = 0, self._recalled, self._given[2][:0]
        if not self.follow:
            self._end = saved.integer("end")

    # --- time ---

    def _last_time(self) -> int:
        """The newest time that is asked for now, in milliseconds."""
        return int((self.clock() - self.delay) * 1000) // self._step * self._step

    def _new(self) -> Iterator[Chunk]:
        """What comes behind the history, as it comes."""
        done = self._end
        while True:
            last = self._last_time()
            yield from self._stretch(done + self._step, last)
            done = max(done, last)
            yield Chunk.nothing(1)
            self.sleep(max(0.005, (done + self._step) / 1000 + self.delay - self.clock()))

    def _stretch(self, begin: int, end: int) -> Iterator[Chunk]:
        """The rows from one time to another, both included; one page is kept back until it is there in whole."""
        while begin <= end:
            steps = max(1, min(self._max_steps, PAGE_POINTS // max(1, self._count, len(self.series))))
            last = min(end, begin + (steps - 1) * self._step)
            steps = (last - begin) // self._step + 1
            times = {"start": _seconds(begin), "end": _seconds(last), "step": _seconds(self._step)}
            try:
                page = self._page(self._api.ask("query_range", can_shrink=steps > 1, query=self.query, **times)["result"])
            except TooMuch:
                self._max_steps = max(1, steps // 4)
                continue
            except (SourceError, InputError, ValueError, TypeError) as error:
                known = isinstance(error, SourceError | InputError)
                what = f"{self.url}: its answer holds no points ({error}); check that Prometheus answers there"
                fault = error if known else SourceError(what)
                if not (self.follow and self._is_open):
                    raise fault from None
                self._api.tell_of_failure(str(fault))
                yield Chunk.nothing(1)
                self.sleep(min(max(self.step, 1.0), self.access.max_backoff))
                continue
            begin = last + self._step
            yield from page.split(MAX_CHUNK_ROWS)

    # --- answers ---

    def _page(self, result: object) -> Chunk:
        """The rows of an answer, by time and then by series."""
        times, values, series = [_EMPTY], [np.empty(0)], [_EMPTY]
        for each in dicts_of(result):
            name = full_name(texts_of(each.get("metric"))) or self.name
            if "histograms" in each:
                raise InputError(f"{name} is a native histogram; ask for numbers of it, e.g. with histogram_quantile(0.9, ...)")
            place = self._place(name)
            if place is not None:
                moments, texts = zip(*lists_of(each.get("values")), strict=True)
                times.append(np.round(np.array(moments) * 1000).astype(np.int64))
                values.append(np.array([*map(float, texts)]))
                series.append(np.full(len(moments), place))
        time, value, owner = np.concatenate(times), np.concatenate(values), np.concatenate(series)
        if np.isinf(value).any():
            value[np.isinf(value)] = np.nan
            self._tell("infinite values are missing: a division by zero has none")
        order = np.lexsort((owner, time))
        return Chunk((time[order] * 1_000_000).view("datetime64[ns]"), value[order, None], series=owner[order])

    def _place(self, name: str) -> int | None:
        """The place of a series among all; None where there is no room for another one."""
        if name in self._places:
            return self._places[name]
        if len(self.series) >= self.max_series:
            if not self._is_open:
                raise self._too_many(f"more than {self.max_series:,}")
            self._tell(f"series beyond {self.max_series:,} (prometheus.max_series) are left out, first {name}")
            return None
        self.series.append(name)
        return self._places.setdefault(name, len(self._places))

    def _too_many(self, count: str) -> InputError:
        return InputError(
            f"{self.name}: the query gives {count} series; at most {self.max_series:,} are read (prometheus.max_series); "
            "ask for fewer, e.g. with sum by (job) (...)"
        )

    def _tell(self, sentence: str) -> None:
        """Warn of something once; its first words are what it is about."""
        if (about := sentence.partition(" ")[0]) not in self._told:
            self._told.add(about)
            self.warn(f"{self.name}: {sentence}")


def _milliseconds(chunk: Chunk) -> Integers:
    return chunk.time.view(np.int64) // 1_000_000


def _seconds(milliseconds: int) -> str:
    """As the API takes times and steps."""
    return f"{milliseconds / 1000:.3f}"
