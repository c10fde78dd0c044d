"""Alertmanager: incidents as its alerts, by the API v2 (https://prometheus.io/docs/alerting/latest/clients/)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from autoencoder.alerts.channel import DeliveryResult, facts, sentence, what_of
from autoencoder.alerts.http import HttpChannel
from autoencoder.alerts.outbox import Alert
from autoencoder.reports.metrics import labels_of

FORGOTTEN_AFTER = 4  # repeats that may fail before an alert counts as resolved, as Prometheus has it


class Alertmanager(HttpChannel):
    """Fires an alert while an incident is open, and repeats it, so that it does not expire and a restart of the receiver forgets nothing.

    The labels are the same for every incident of a series, so that silences hold; they name its severity, which may rise: the alert of the
    level before ends then.

    Examples:
        >>> labels({"source": "prometheus", "incident": {"series": 'up{job="node"}'}}, "high")
        {'series': 'up{job="node"}', 'job': 'node', 'alertname': 'Anomaly', 'source': 'prometheus', 'severity': 'high'}
    """

    name = "alertmanager"
    batch_size = 1000

    def __init__(self, *, url: str, timeout: float, repeat_seconds: float, token: str | None = None) -> None:
        super().__init__(url=url.rstrip("/") + "/api/v2/alerts", timeout=timeout, token=token)
        self.repeat_seconds = repeat_seconds

    def body(self, key: str, alert: Alert) -> list[dict[str, object]]:
        """See ``HttpChannel``: an alert for each level of severity that the incident had, of which the newest fires while it is open."""
        at, incident = datetime.fromisoformat(alert["at"]), alert["incident"]
        start = min(instant(incident["start"]) or at, at)
        end = max(start, min(instant(incident["end"]) or at, at))
        expires = datetime.now(UTC) + timedelta(seconds=FORGOTTEN_AFTER * self.repeat_seconds)
        firing = alert["levels"][-1] if alert["event"] == "opened" else None
        annotations = {
            "summary": sentence(alert),
            **{name.lower().replace(" ", "_"): value for name, value in facts(alert).items()},
        }
        return [
            {
                "labels": labels(alert, level),
                "annotations": {**annotations, "incident_key": alert["incident_key"], "run": alert["run"]},
                "startsAt": start.isoformat(),
                "endsAt": (expires if level == firing else end).isoformat(),
                **({"generatorURL": alert["link"]} if alert["link"] else {}),
            }
            for level in alert["levels"]
        ]

    def send_batch(self, alerts: Sequence[Alert]) -> DeliveryResult:
        """See ``Channel``: what ended together is told together, which a receiver that was away needs to tell of all of it."""
        return self._post([entry for alert in alerts for entry in self.body("", alert)], str(uuid.uuid4()))


def labels(alert: Alert, level: str) -> dict[str, str]:
    """The labels of an alert: those of its series, as /metrics has them, and ours."""
    name = what_of(alert).title().replace(" ", "")
    return {**labels_of(alert["incident"].get("series")), "alertname": name, "source": alert["source"], "severity": level}


def instant(text: str) -> datetime | None:
    """The moment that a time of a stream is, in UTC where it has no zone; None where it is a count.

    >>> instant("2025-02-15T10:00:00.123456789Z"), instant("41")
    (datetime.datetime(2025, 2, 15, 10, 0, 0, 123456, tzinfo=datetime.timezone.utc), None)
    """
    try:
        moment = datetime.fromisoformat(text) if "-" in text[1:] else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
