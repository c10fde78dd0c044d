"""Webhook: what alerts are queued for programs and chats, and in which form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from autoencoder.reports.delivery import WebhookSender
from autoencoder.reports.incidents import ANOMALY, Incident
from autoencoder.reports.logs import one_line
from autoencoder.reports.outbox import Alert, Outbox
from autoencoder.reports.run_folder import OUTBOX, RunFolder
from autoencoder.reports.sinks import Batch, Sink
from autoencoder.reports.wording import length_text, number_of, seen_text, severity_text


class Webhook(Sink):
    """Queues an alert for every incident that opens and for every one that closes; started before its first batch.

    An alert is known by its key, which follows from the run, the incident and the event alone: a resumed run that comes by something
    again queues it with the same key. ``warn`` is given a sentence when more than ``capacity`` wait, so that the oldest are dropped.
    """

    def __init__(
        self, deliver: Callable[[Outbox], WebhookSender], *, capacity: int, alarms_only: bool, warn: Callable[[str], None]
    ) -> None:
        self._deliver, self._capacity, self._alarms_only, self._warn = deliver, capacity, alarms_only, warn
        self._sender: WebhookSender | None = None  # while it goes on
        self._announced: set[tuple[str | None, int, str]] = (
            set()
        )  # series, first row and kind of the incidents whose opening was queued
        self._has_dropped = False

    def start(self, folder: RunFolder, source: str = "", columns: Sequence[str] = ()) -> None:
        """Begin to deliver, first what an earlier run in that folder left. Raises ModelFileError, RunError: see ``Outbox``."""
        self._folder = folder
        self._outbox = Outbox(folder.path / OUTBOX, self._capacity)
        self._about = {"source": one_line(source)[:200], "columns": [one_line(column)[:200] for column in columns]}
        self._sender = self._deliver(self._outbox)

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
        """Give what waits a last chance, see ``WebhookSender.stop``; an interrupt ends that. A second call does nothing."""
        sender, self._sender = self._sender, None
        if sender:
            with suppress(KeyboardInterrupt):
                sender.stop(wait=wait)

    def discard_if_empty(self) -> None:
        """The run is done: take the outbox away, if nothing waits in it."""
        if not self.counts()["waiting"]:
            self._folder.remove(OUTBOX)

    def counts(self) -> dict[str, int]:
        """Alerts delivered, refused, dropped and still waiting."""
        return self._outbox.counts()

    def closing_line(self) -> str:
        """The same in a sentence."""
        counts = self.counts()
        line = f"webhook: {number_of(counts['delivered'], 'alert')} delivered"
        line += "".join(f", {counts[name]:,} {name}" for name in ("refused", "dropped") if counts[name])
        if counts["waiting"]:
            line += f", {counts['waiting']:,} waiting in {self._outbox.path}; --resume sends them"
        return line

    def _queue(self, event: str, incident: Incident) -> None:
        """Queue an event of an incident, its opening first."""
        if self._alarms_only and not incident.alarm:
            return
        place = (incident.series, incident.first_row, incident.kind)
        if place not in self._announced:
            self._announced.add(place)
            self._put("opened", incident)
        if event == "closed":
            self._announced.discard(place)
            self._put("closed", incident)

    def _put(self, event: str, incident: Incident) -> None:
        about = f"{incident.first_row} {incident.start} {event} {incident.series or ''}"
        key = str(uuid.uuid5(uuid.UUID(self._outbox.run), about))
        status = "open" if event == "opened" else "closed"
        alert: Alert = {"event": event, "run": self._outbox.run, **self._about, "incident": json.loads(incident.to_json(status))}
        if not self._outbox.put(key, alert) and not self._has_dropped:
            self._has_dropped = True
            self._warn(f"webhook: {self._capacity:,} alerts wait, which is all there is room for; the oldest are dropped")


def as_json(key: str, alert: Alert) -> dict[str, Any]:
    """The body of a request for programs."""
    return {"key": key, **alert}


def as_slack(key: str, alert: Alert) -> dict[str, Any]:
    """The body of a request for Slack, and for what understands the same: one sentence.

    >>> incident = Incident(1, "2025-02-15", "2025-02-16", "2025-02-16", (61.3,), (56.2,), 0.82, 2, 40, 41, True, direction=("up",),
    ...                     close_reason="values are back")
    >>> as_slack("", {"event": "opened", "source": "<load>.csv", "incident": json.loads(incident.to_json())})["text"]
    'Anomaly in &lt;load&gt;.csv since 2025-02-15: seen 61.3, expected 56.2 (up), severity high (0.82)'
    """
    incident = Incident.from_record(alert["incident"])
    seen = f"{seen_text(incident)}, severity {severity_text(incident)}"
    where = alert["source"] if incident.series is None else f"{alert['source']}, series {incident.series!r}"
    what = "Anomaly" if incident.kind == ANOMALY else "Missing data"
    sentence = f"{what} in {where} since {incident.start}: {seen}"
    if alert["event"] == "closed":
        extent = f"{incident.start} to {incident.end}, {length_text(incident)}"
        sentence = f"Over ({incident.close_reason or 'closed'}): {what.lower()} in {where}, {extent}; at its peak {seen}"
    # the three characters that Slack wants escaped; its < starts links and calls such as <!channel>
    return {"text": sentence.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


FORMATS = {"json": as_json, "slack": as_slack}
