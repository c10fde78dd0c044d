"""Alerts: incidents reported to receivers outside the run; one channel a file, one registry, one outbox for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autoencoder.alerts.alertmanager import Alertmanager
from autoencoder.alerts.channel import Channel
from autoencoder.alerts.email import Email
from autoencoder.alerts.pagerduty import PagerDuty
from autoencoder.alerts.slack import Slack
from autoencoder.alerts.teams import Teams
from autoencoder.alerts.webhook import Webhook

CHANNELS: Mapping[str, Callable[..., Channel]] = {
    "webhook": Webhook,
    "slack": Slack,
    "pagerduty": PagerDuty,
    "alertmanager": Alertmanager,
    "teams": Teams,
    "email": Email,
}

__all__ = ["CHANNELS", "Channel"]
