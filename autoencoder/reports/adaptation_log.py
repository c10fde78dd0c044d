"""adaptations.jsonl: what was done about the model and why, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from autoencoder.core.events import AdaptationEvent
from autoencoder.reports.incidents import time_text
from autoencoder.reports.run_folder import ADAPTATIONS, RunFolder, plain
from autoencoder.reports.sinks import Batch, Sink


def event_time(event: AdaptationEvent) -> np.datetime64 | int:
    """Time of an event, as the source counts it: datetime64[ns] or int64."""
    return np.datetime64(event.time, "ns") if event.dated else event.time


def event_line(event: AdaptationEvent, zone: str) -> str:
    """An event as a line of the file; unknown figures are null."""
    time = time_text(np.array([event_time(event)]), zone)[0]
    series = {} if event.series is None else {"series": event.series}
    return json.dumps(plain({**series, "row": event.row, "time": time, "event": event.event, **event.details})) + "\n"


class AdaptationLog(Sink):
    """Keeps the file equal to the detector's record of events. A resumed run writes it anew from its checkpoint.

    Args:
        folder: the run folder.
        events: gives all events so far.
        zone: suffix of every time ("Z" for UTC).
    """

    def __init__(self, folder: RunFolder, events: Callable[[], Sequence[AdaptationEvent]], zone: str) -> None:
        self._folder, self._events, self._zone = folder, events, zone
        self._written = -1

    def write(self, batch: Batch) -> None:
        """See ``Sink``."""
        events = self._events()
        if len(events) != self._written:
            self._folder.write(ADAPTATIONS, "".join(event_line(each, self._zone) for each in events))
            self._written = len(events)
