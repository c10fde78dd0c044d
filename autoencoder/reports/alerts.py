"""Alerts: who is told of incidents beside the tables of the run folder: people by anomalies.log, programs by a webhook."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from autoencoder.reports.anomaly_log import AnomalyLog, incident_of, one_line, values_text
from autoencoder.reports.incidents import Incident
from autoencoder.reports.runs import SPOOL, RunFolder
from autoencoder.reports.spool import Alert, Spool
from autoencoder.reports.webhook import Courier


class Alerts:
    """What tells of the incidents of one run.

    Args:
        log: write anomalies.log.
        webhook: posts alerts; None: nobody is posted to.
    """

    def __init__(self, *, log: bool, webhook: Webhook | None) -> None:
        self._log, self.webhook = log, webhook

    def open(self, folder: RunFolder, source: str, columns: tuple[str, ...]) -> tuple[AnomalyLog | Webhook, ...]:
        """Begin; returns those who are to be told by the stream.

        Raises:
            ModelError, RunError: what an earlier part of the run left is damaged, or the folder cannot be written.
        """
        log = (AnomalyLog(folder),) if self._log else ()
        if not self.webhook:
            return log
        self.webhook.open(folder, source, columns)
        return (*log, self.webhook)

    def stop(self) -> None:
        """The stream is over: give what waits a last chance. An interrupt ends that; nothing else is left to interrupt."""
        if self.webhook:
            with suppress(KeyboardInterrupt):
                self.webhook.stop()

    def deliver(self, folder: RunFolder) -> None:
        """Only deliver what a run in that folder left.

        Raises:
            ModelError, RunError: see ``Spool``.
        """
        if self.webhook:
            self.webhook.open(folder, "", ())
            self.stop()

    def clear(self, folder: RunFolder) -> None:
        """The run is done: take the queue away, if nothing waits in it."""
        if self.webhook and not self.webhook.counts()["waiting"]:
            folder.remove(SPOOL)

    def close(self) -> None:
        """End at once, if ``stop`` did not."""
        if self.webhook:
            self.webhook.stop(wait=False)

    def counts(self) -> dict[str, int] | None:
        """Alerts delivered, refused, dropped and waiting; None without a webhook."""
        return self.webhook.counts() if self.webhook else None

    def closing_lines(self) -> list[str]:
        """What became of the alerts, for the end of a run."""
        return [self.webhook.closing_line()] if self.webhook else []


class Webhook:
    """Queues an alert for every incident that opens and for every one that closes; a courier delivers them on a thread of its own.

    An alert is known by its key, which follows from the run, the incident and the event alone: a resumed run that tells of something
    again does so with the same key.

    Args:
        courier: delivers.
        capacity: alerts that may wait.
        alarms_only: leave out the incidents of which nobody is to be told (``Incident.alarm``).
        warn: told in a sentence when alerts are dropped.
    """

    def __init__(self, courier: Courier, *, capacity: int, alarms_only: bool, warn: Callable[[str], None]) -> None:
        self._courier, self._capacity, self._alarms_only, self._warn = courier, capacity, alarms_only, warn
        self._opened = 0  # id of the newest incident whose opening was told
        self._has_dropped = False

    def open(self, folder: RunFolder, source: str, columns: tuple[str, ...]) -> None:
        """Begin to deliver, first what an earlier run in that folder left.

        Raises:
            ModelError, RunError: see ``Spool``.
        """
        self._spool = Spool(folder.path / SPOOL, self._capacity)
        self._about = {"source": one_line(source)[:200], "columns": [one_line(column)[:200] for column in columns]}
        self._courier.start(self._spool)

    def take(self, ended: Sequence[Incident], is_open: Incident | None) -> None:
        """Queue what is new: no more than a line in a file, whatever becomes of it."""
        for incident in ended:
            if self._is_told(incident):
                self._open(incident)
                self._put("closed", incident)
        if is_open and self._is_told(is_open):
            self._open(is_open)

    def settle(self) -> None:
        """What was queued outlives a power cut."""
        self._spool.sync()

    def finish(self, ended: Sequence[Incident], *, cut_off: bool) -> None:
        """The stream is over; where it was only cut off, the open incident is not."""
        if not cut_off:
            self.take(ended, None)

    def stop(self, *, wait: bool = True) -> None:
        """Deliver what can be delivered in time; see ``Courier.stop``."""
        self._courier.stop(wait=wait)

    def counts(self) -> dict[str, int]:
        """Alerts delivered, refused, dropped and still waiting."""
        return self._spool.counts()

    def closing_line(self) -> str:
        """The same in a sentence."""
        counts = self.counts()
        line = f"webhook: {counts['delivered']:,} alert{'s' * (counts['delivered'] != 1)} delivered"
        line += "".join(f", {counts[name]:,} {name}" for name in ("refused", "dropped") if counts[name])
        if counts["waiting"]:
            line += f", {counts['waiting']:,} waiting in {self._spool.path}; --resume sends them"
        return line

    def _is_told(self, incident: Incident) -> bool:
        return incident.alarm or not self._alarms_only

    def _open(self, incident: Incident) -> None:
        if incident.id > self._opened:  # else it was told when it was seen before
            self._opened = incident.id
            self._put("opened", incident)

    def _put(self, event: str, incident: Incident) -> None:
        key = str(uuid.uuid5(uuid.UUID(self._spool.run), f"{incident.id} {incident.start} {event}"))
        status = "open" if event == "opened" else "closed"
        alert: Alert = {"event": event, "run": self._spool.run, **self._about, "incident": json.loads(incident.to_json(status))}
        if not self._spool.put(key, alert) and not self._has_dropped:
            self._has_dropped = True
            self._warn(f"webhook: {self._capacity:,} alerts wait, which is all there is room for; the oldest are dropped")


def as_json(key: str, alert: Alert) -> dict[str, Any]:
    """The body of a request for programs."""
    return {"key": key, **alert}


def as_slack(key: str, alert: Alert) -> dict[str, Any]:
    """The body of a request for Slack, and for what understands the same: one sentence.

    >>> incident = Incident(1, "2025-02-15", "2025-02-16", "2025-02-16", (61.3,), (56.2,), 0.98, 2, 40, 41, True)
    >>> as_slack("", {"event": "closed", "source": "<load>.csv", "incident": json.loads(incident.to_json())})["text"]
    'Over: anomaly in &lt;load&gt;.csv, 2025-02-15 to 2025-02-16, 2 points; at its peak seen 61.3, expected 56.2, severity 0.98'
    """
    incident = incident_of(alert["incident"])
    seen = f"seen {values_text(incident.peak_value)}, expected {values_text(incident.expected)}, severity {incident.severity:.2f}"
    where = alert["source"] if incident.series is None else f"{alert['source']}, series {incident.series!r}"
    if alert["event"] == "opened":
        sentence = f"Anomaly in {where} since {incident.start}: {seen}"
    else:
        points = f"{incident.n_points:,} point{'s' * (incident.n_points != 1)}"
        sentence = f"Over: anomaly in {where}, {incident.start} to {incident.end}, {points}; at its peak {seen}"
    # the three characters that Slack wants escaped; its < starts links and calls such as <!channel>
    return {"text": sentence.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


FORMATS = {"json": as_json, "slack": as_slack}
