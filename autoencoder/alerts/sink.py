"""Sink: incidents become alerts, one when an incident opens and one when it closes, in the queue of every channel."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

from autoencoder.alerts.channel import Channel
from autoencoder.alerts.outbox import OUTCOMES, Alert, Outbox
from autoencoder.alerts.picture import draw_incident
from autoencoder.alerts.sender import Sender, Waits
from autoencoder.reports.incidents import ANOMALY, Incident, level_of
from autoencoder.reports.logs import one_line
from autoencoder.reports.run_folder import OUTBOX, RunFolder
from autoencoder.reports.sinks import Batch, Sink
from autoencoder.reports.wording import linked, number_of

Place: TypeAlias = tuple[str | None, int, str]


@dataclass(eq=False)
class Alerts(Sink):
    """Queues an alert for every incident that opens and for every one that closes; started before its first batch.

    An alert is known by its key, which follows from the run, the incident and the event alone: a resumed run that comes by something
    again queues it with the same key.
    """

    channels: Sequence[Channel]  # where alerts go; each has its own queue and thread
    waits: Waits  # of the senders
    _: KW_ONLY
    capacity: int  # alerts of a channel that may wait
    alarms_only: bool  # report alarms alone, else every incident
    warn: Callable[[str], None]  # told when a receiver fails, and when more alerts wait than may, so that the oldest are dropped
    link: str | None = None  # template of the address that an alert leads to, see ``linked``; None: none

    def __post_init__(self) -> None:
        self._senders: list[Sender] = []  # while they go on
        # the incidents whose opening was queued, by series, first row and kind, each with the levels of severity that it had
        self._open: dict[Place, tuple[Incident, list[str]]] = {}
        self._dropped: set[str] = set()  # channels that lost an alert for want of room

    def start(
        self, folder: RunFolder, source: str = "", columns: Sequence[str] = (), still_open: Sequence[Incident] = ()
    ) -> None:
        """Begin to deliver, first what an earlier run in that folder left, whose open incidents are ``still_open``.

        Raises:
            ModelFileError, RunError: see ``Outbox``.
        """
        self._folder = folder
        self._outbox = Outbox(folder.path / OUTBOX, self.capacity)
        self._about = {"source": one_line(source)[:200], "columns": [one_line(column)[:200] for column in columns]}
        for incident in still_open:
            self._queue("opened", incident)
        draw = partial(draw_incident, folder.path)
        self._senders = [
            Sender(channel, self._outbox, self.warn, self.waits, still_open=self._still_open, draw=draw)
            for channel in self.channels
        ]

    def write(self, batch: Batch) -> None:
        """Queue what is new: no more than an append to a file, whatever becomes of it."""
        for incident in batch.closed:
            self._queue("closed", incident)
        for incident in batch.open:
            self._queue("opened", incident)

    def flush(self) -> None:
        """Have all alerts on the disk."""
        self._outbox.flush()

    def close(self, closed: Sequence[Incident] = (), *, resumable: bool = False) -> None:
        """Queue the incidents that end with the stream, unless they go on when it is resumed."""
        for incident in () if resumable else closed:
            self._queue("closed", incident)

    def stop(self, *, wait: bool = True) -> None:
        """Give what waits a last chance, see ``Sender.stop``; an interrupt ends that. A second call does nothing."""
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.ask_to_stop(wait=wait)
        try:
            with suppress(KeyboardInterrupt):
                for sender in senders:
                    sender.stop(wait=wait)
        finally:
            for sender in senders:
                sender.silence()
            if senders:
                self._outbox.close()

    def discard_if_empty(self) -> None:
        """The run is done: take the outbox away, if nothing waits in it."""
        if not self.counts()["waiting"]:
            self._folder.remove(OUTBOX)

    def counts(self) -> dict[str, int]:
        """Alerts delivered, refused, dropped and still waiting, over all channels; also of those that are switched off now."""
        each = self._outbox.counts().values()
        return {outcome: sum(counts[outcome] for counts in each) for outcome in OUTCOMES}

    def closing_lines(self) -> list[str]:
        """The same in a sentence for each channel."""
        lines, found = [], self._outbox.counts()
        for name in dict.fromkeys([*(channel.name for channel in self.channels), *found]):
            counts = found[name]
            line = f"{name}: {number_of(counts['delivered'], 'alert')} delivered"
            line += "".join(f", {counts[outcome]:,} {outcome}" for outcome in ("refused", "dropped") if counts[outcome])
            if counts["waiting"]:
                line += f", {counts['waiting']:,} waiting in {self._outbox.path}; --resume sends them"
            lines.append(line)
        return lines

    def _queue(self, event: str, incident: Incident) -> None:
        """Queue an event of an incident, its opening first."""
        place = (incident.series, incident.first_row, incident.kind)
        if self.alarms_only and not incident.alarm and place not in self._open:
            return
        _, levels = self._open.get(place, (incident, []))
        level = level_of(incident.severity)
        self._open[place] = (incident, levels if level in levels else [*levels, level])
        if not levels:
            self._put("opened", place)
        if event == "closed":
            self._put("closed", place)
            del self._open[place]

    def _put(self, event: str, place: Place) -> None:
        alert = self.alert(event, *self._open[place])
        key = self._key(self._open[place][0], event)
        for channel in self.channels:
            if not self._outbox.put(channel.name, key, alert) and channel.name not in self._dropped:
                self._dropped.add(channel.name)
                room = f"{self.capacity:,} alerts wait, which is all there is room for"
                self.warn(f"{channel.name}: {room}; the oldest are dropped")

    def _key(self, incident: Incident, *event: str) -> str:
        kind = () if incident.kind == ANOMALY else (incident.kind,)
        words = (incident.first_row, incident.start, *event, incident.series or "", *kind)
        return str(uuid.uuid5(uuid.UUID(self._outbox.run), " ".join(map(str, words))))

    def alert(self, event: str, incident: Incident, levels: Sequence[str] = ()) -> Alert:
        """What is sent of an incident that "opened" or "closed" and had these levels of severity, at least the present one."""
        return {
            "event": event,
            "run": self._outbox.run,
            **self._about,
            "incident": json.loads(incident.to_json("open" if event == "opened" else "closed")),
            "incident_key": self._key(incident),
            "levels": list(levels) or [level_of(incident.severity)],
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "link": linked(self.link, self._folder.path, self._about["source"], incident) if self.link else None,
        }

    def _still_open(self) -> list[Alert]:
        return [self.alert("opened", incident, levels) for incident, levels in list(self._open.values())]
