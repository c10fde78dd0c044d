"""Slack: alerts for a channel there, through an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

from __future__ import annotations

from autoencoder.alerts.http import HttpChannel
from autoencoder.alerts.message import sentence
from autoencoder.alerts.outbox import Alert

ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # Slack's < starts links and calls such as <!channel>


class Slack(HttpChannel):
    """Posts an alert in one sentence, with the link behind it.

    Examples:
        >>> Slack(url="https://hooks.slack.com/services/T/B/x", timeout=1).name
        'slack'
    """

    name = "slack"

    def body(self, key: str, alert: Alert) -> object:
        """See ``HttpChannel``."""
        return {"text": slack_text(alert)}


def slack_text(alert: Alert) -> str:
    """An alert in Slack's markup.

    >>> incident = {"id": 1, "start": "10", "end": "12", "peak_time": "11", "peak_value": 61.3, "expected": 56.2, "severity": 0.82,
    ...             "n_points": 2, "first_row": 10, "last_row": 12, "alarm": True, "direction": "up"}
    >>> slack_text({"event": "opened", "source": "<load>.csv", "incident": incident, "link": "https://example.org/"})
    'Anomaly in &lt;load&gt;.csv since 10: seen 61.3, expected 56.2 (up), severity high (0.82) <https://example.org/|look>'
    """
    link = f" <{_escaped(alert['link'])}|look>" if alert.get("link") else ""
    return _escaped(sentence(alert)) + link


def _escaped(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in text)
