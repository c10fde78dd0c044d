"""RequestSource: requests as a source of the run loop; one is answered when all of its rows are in scores.csv."""

from __future__ import annotations

import asyncio
import json
import queue
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from autoencoder.core.errors import ModelFileError, RunError
from autoencoder.core.state import Reader, State, to_files
from autoencoder.core.types import Array, Detections, Integers
from autoencoder.reports.sinks import Batch
from autoencoder.serve.journal import Named, nanoseconds
from autoencoder.serve.points import Refusal
from autoencoder.sources.chunk import TICK_SECONDS, Chunk, Source

MAX_ROWS = 4096  # of the requests that are judged together
POLL_SECONDS = 0.01  # between two looks whether rescued points are judged again
STOPPING = "the server is stopping; send the request again when it is back: what was taken is not taken twice"


@dataclass(slots=True, eq=False)
class Ticket:
    """The new points of one request on their way through the loop."""

    series: Sequence[str]
    times: Sequence[int]  # nanoseconds since 1970
    values: Sequence[Sequence[float]]
    done: asyncio.Future[Detections]
    parts: list[Detections] = field(default_factory=list)  # what has become of the first of them
    missing: int = 0  # the others


class RequestSource(Source):
    """Points that arrive by HTTP, with several requests in one chunk where they wait.

    The loop that asks for chunks runs in one thread and the requests in another, that of ``loop``. The loop also looks on as a callback:
    rows that it is told of are written, so that their requests can be answered.

    Args:
        columns: names of the F values of a point.
    """

    name, length, timezone, rewindable, has_series = "http", None, "UTC", False, True

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.loop: asyncio.AbstractEventLoop | None = None  # what runs in that other thread
        self.after_write: Callable[[], object] | None = None  # called before requests are answered
        self.series: list[str] = []
        self.newest: dict[str, int] = {}  # time of the newest written point of each series, in nanoseconds since 1970
        self.accepted: dict[str, int] = {}  # the same of the points that were taken
        self.waiting = 0  # points that were taken and are not written
        self.replaying = 0  # rescued points that are not judged again yet
        self._places: dict[str, int] = {}  # of the names in ``series``
        self._queue: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._pending: deque[Ticket] = deque()  # in the chunk that is under way
        self._unanswered: dict[Ticket, None] = {}  # in the order in which they came
        self._rescued: Chunk | None = None
        self._is_closed = False

    # --- the thread of the requests ---

    def submit(
        self, series: Sequence[str], times: Sequence[int], values: Sequence[Sequence[float]]
    ) -> asyncio.Future[Detections]:
        """Take N points, all newer than what was taken of their series -> what will have become of them. Refusal: it is closed."""
        if self._is_closed:
            raise Refusal(503, STOPPING)
        assert self.loop
        ticket = Ticket(series, times, values, self.loop.create_future(), missing=len(series))
        self.accepted.update(zip(series, times, strict=True))
        self.waiting += len(series)
        self._unanswered[ticket] = None
        self._queue.put(ticket)
        return ticket.done

    async def settled(self) -> None:
        """All that was taken until now is written, what was rescued, too. Raises Refusal: it is closed before."""
        while self.replaying and not self._is_closed:
            await asyncio.sleep(POLL_SECONDS)
        if self._is_closed:
            raise Refusal(503, STOPPING)
        if self._unanswered:
            await asyncio.shield(next(reversed(self._unanswered)).done)

    def close(self) -> None:
        """Take no more, and refuse what waits: it is not written, or its answer would come too late."""
        self._is_closed = True
        for ticket in self._unanswered:
            if not ticket.done.done():
                ticket.done.set_exception(Refusal(503, STOPPING))
                ticket.done.exception()  # it may be that nobody waits any more

    def _answer(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            del self._unanswered[ticket]
            self.waiting -= len(ticket.series)
            if not ticket.done.done():  # its client may be gone
                ticket.done.set_result(Detections.concatenate(ticket.parts))

    # --- the thread of the run loop ---

    def fail(self) -> None:
        """No request will come any more: ``chunks`` raises RunError."""
        self._queue.put(None)

    def replay(self, named: Named | None) -> None:
        """Begin with rows that were acknowledged before a restart, and say what was taken of each series."""
        if named:
            names, rows = named
            self._rescued = self._chunk(names, nanoseconds(rows), rows.values)
            self.replaying = len(rows)
            self.accepted = dict(zip(names, nanoseconds(rows).tolist(), strict=True))
        self.accepted = {**self.newest, **self.accepted}

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield what was rescued, then what comes, as long as the server runs; a chunk without rows where nothing comes.

        Raises:
            RunError: the server ended.
        """
        if self._rescued:
            yield from self._rescued.split(MAX_ROWS)
            self._rescued = None
        while True:
            if not (taken := self._taken()):
                yield Chunk.nothing(len(self.columns))
                continue
            self._pending.extend(taken)
            names = [name for ticket in taken for name in ticket.series]
            times = np.array([time for ticket in taken for time in ticket.times], np.int64)
            yield self._chunk(names, times, np.array([value for ticket in taken for value in ticket.values], float))

    def _taken(self) -> list[Ticket]:
        """The requests that wait, about ``MAX_ROWS`` of their points; none where none comes for a while."""
        tickets: list[Ticket] = []
        rows = 0
        while rows < MAX_ROWS:
            try:
                ticket = self._queue.get(timeout=0 if tickets else TICK_SECONDS)
            except queue.Empty:
                break
            if ticket is None:
                raise RunError("the HTTP server ended by itself; start again with the same command, --verbose says more")
            tickets.append(ticket)
            rows += len(ticket.series)
        return tickets

    def _chunk(self, names: Sequence[str], times: Integers, values: Array) -> Chunk:
        places = self._places
        for name in names:
            if name not in places:
                places[name] = len(self.series)
                self.series.append(name)
        return Chunk(times.view("datetime64[ns]"), values, series=np.array([places[name] for name in names], np.int64))

    def on_batch(self, batch: Batch) -> None:
        """Rows are written: remember how far each series is, and answer the requests that are whole."""
        assert batch.series is not None
        self.newest.update(zip(batch.series, nanoseconds(batch.detections).tolist(), strict=True))
        done, row, count = [], 0, len(batch.detections)
        if self.replaying:
            self.replaying -= count
            return
        if self.after_write:
            self.after_write()
        while row < count:
            ticket = self._pending[0]
            end = min(count, row + ticket.missing)
            ticket.parts.append(batch.detections[row:end])
            ticket.missing -= end - row
            row = end
            if not ticket.missing:
                done.append(self._pending.popleft())
        if done and self.loop:
            with suppress(RuntimeError):  # the server is gone, which ``chunks`` says
                self.loop.call_soon_threadsafe(self._answer, done)

    def memory(self, rows: int) -> State:
        """How far each series is, of the rows that are written."""
        names = json.dumps([*self.newest]).encode()
        return {"names": np.frombuffer(names, np.uint8), "newest": np.array([*self.newest.values()], np.int64)}

    def recall(self, memory: State) -> None:
        """See ``Source``."""
        times = Reader(memory, "the source").integers("newest", (None,)).tolist()
        try:
            self.newest = dict(zip(map(str, json.loads(to_files(memory)["names"])), times, strict=True))
        except (KeyError, ValueError, TypeError, RecursionError):
            raise ModelFileError("the checkpoint is damaged (the names of the series); run anew with another --out") from None
