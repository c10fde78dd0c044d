"""PagerDuty: incidents as its alerts, by the Events API v2 (https://developer.pagerduty.com/docs/events-api-v2/trigger-events/)."""

from __future__ import annotations

from typing import Any

from autoencoder.alerts.http import HttpChannel
from autoencoder.alerts.message import facts, sentence
from autoencoder.alerts.outbox import Alert

SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
MAX_SUMMARY = 1024  # characters


class PagerDuty(HttpChannel):
    """Triggers an alert when an incident opens, and resolves it, by the same ``dedup_key``, when that closes.

    Examples:
        >>> channel = PagerDuty(key="r0", url="https://events.pagerduty.com/v2/enqueue", timeout=1)
        >>> channel.body("", {"event": "closed", "incident_key": "7c"})
        {'routing_key': 'r0', 'event_action': 'resolve', 'dedup_key': '7c'}
    """

    name = "pagerduty"

    def __init__(self, *, key: str, url: str, timeout: float) -> None:
        super().__init__(url=url, timeout=timeout)
        self._routing_key = key

    def body(self, key: str, alert: Alert) -> object:
        """See ``HttpChannel``."""
        action = "resolve" if alert["event"] == "closed" else "trigger"
        event: dict[str, Any] = {"routing_key": self._routing_key, "event_action": action, "dedup_key": alert["incident_key"]}
        if action == "resolve":
            return event
        incident = alert["incident"]
        event["payload"] = {
            "summary": sentence(alert)[:MAX_SUMMARY],
            "source": alert["source"],
            "severity": SEVERITIES[incident["severity_level"]],
            "timestamp": alert["at"],
            "component": incident.get("series") or ", ".join(alert["columns"]),
            "class": "anomaly",
            "custom_details": {**facts(alert), "run": alert["run"]},
        }
        if alert["link"]:
            event["links"] = [{"href": alert["link"], "text": "look"}]
        return event
