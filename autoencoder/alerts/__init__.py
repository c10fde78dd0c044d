"""Alerts: incidents reported to receivers outside the run; one registry, one outbox for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autoencoder.alerts.channel import Channel
from autoencoder.alerts.email import Email
from autoencoder.alerts.http import Alertmanager, PagerDuty, Slack, Teams, Webhook

CHANNELS: Mapping[str, Callable[..., Channel]] = {
    kind.name: kind for kind in (Webhook, Slack, PagerDuty, Alertmanager, Teams, Email)
}

__all__ = ["CHANNELS", "Channel"]
