"""Events: flagged points and incidents as server-sent events, while they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from autoencoder.reports.incidents import Incident
from autoencoder.reports.sinks import Batch
from autoencoder.serve.intake import record_texts
from autoencoder.serve.points import Refusal

MAX_LISTENERS = 100
MAX_BEHIND = 1000  # events that a listener may be behind before it is let go
QUIET_SECONDS = 15.0  # after which a comment says that the connection lives

Event = tuple[str | None, str]  # the series that it is of, and its text


class Events:
    """Tells listeners of what the run loop, which looks on through ``on_batch``, has written.

    Args:
        names: the columns of scores.csv.
        incidents: those that are open already.
    """

    def __init__(self, names: list[str], incidents: Sequence[Incident]) -> None:
        self._names = names
        self._open = {incident.id for incident in incidents}  # that were told
        self._listeners: dict[asyncio.Queue[Event | None], str | None] = {}
        self.loop: asyncio.AbstractEventLoop | None = None  # where listeners come from

    def on_batch(self, batch: Batch) -> None:
        """Tell of its flagged points, and of the incidents that began and ended."""
        begun = [incident for incident in (*batch.closed, *batch.open) if incident.id not in self._open]
        self._open = {incident.id for incident in batch.open}
        if not self._listeners or not self.loop:
            return
        rows = np.flatnonzero(batch.detections.anomalies)
        events: list[Event] = []
        for row in rows.tolist():
            name = batch.series[row] if batch.series else ""
            (text,) = record_texts(self._names, batch.detections[row : row + 1], [name], is_seen=True)
            events.append((name, f"event: detection\ndata: {text}\n\n"))
        told = [*((one, "open") for one in begun), *((one, "closed") for one in batch.closed)]
        events += [(one.series, f"event: incident\nid: {one.id}\ndata: {one.to_json(status)}\n\n") for one, status in told]
        if events:
            self.loop.call_soon_threadsafe(self._tell, events)

    def _tell(self, events: Sequence[Event]) -> None:
        for listener, series in [*self._listeners.items()]:
            for event in events:
                if series is not None and series != event[0]:
                    continue
                if listener.qsize() >= MAX_BEHIND:
                    self._end(listener)
                    break
                listener.put_nowait(event)

    def close(self) -> None:
        """End all streams."""
        for listener in [*self._listeners]:
            self._end(listener)

    def _end(self, listener: asyncio.Queue[Event | None]) -> None:
        self._listeners.pop(listener, None)
        listener.put_nowait(None)

    def stream(self, series: str | None) -> AsyncIterator[str]:
        """Events of a series, None: of all, as text, until the server ends or the listener is too far behind. Refusal: too many listen."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise Refusal(429, f"{MAX_LISTENERS} listen to events already; end one of them, or ask /detections and /incidents")
        listener: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners[listener] = series
        return self._told(listener)

    async def _told(self, listener: asyncio.Queue[Event | None]) -> AsyncIterator[str]:
        try:
            yield ": events follow\n\n"
            while True:
                try:
                    event = await asyncio.wait_for(listener.get(), QUIET_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if event is None:
                    return
                yield event[1]
        finally:
            self._listeners.pop(listener, None)
