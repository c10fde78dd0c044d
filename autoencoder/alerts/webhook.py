"""Webhook: alerts for programs, as JSON objects."""

from __future__ import annotations

from typing import Literal

from autoencoder.alerts.http import HttpChannel
from autoencoder.alerts.outbox import Alert
from autoencoder.alerts.slack import slack_text


class Webhook(HttpChannel):
    """Posts an alert as it is, or in a sentence to what understands Slack's ``{"text": ...}``.

    Examples:
        >>> Webhook(url="https://example.org", timeout=1).body("7c", {"event": "opened", "scores_bytes": 1})
        {'key': '7c', 'event': 'opened'}
    """

    name = "webhook"

    def __init__(self, *, url: str, timeout: float, token: str | None = None, format: Literal["json", "slack"] = "json") -> None:
        super().__init__(url=url, timeout=timeout, token=token)
        self._is_slack = format == "slack"

    def body(self, key: str, alert: Alert) -> object:
        """See ``HttpChannel``."""
        if self._is_slack:
            return {"text": slack_text(alert)}
        return {"key": key, **{name: value for name, value in alert.items() if name != "scores_bytes"}}
