"""Schema of the alerts: what all channels have in common, and each channel.

Addresses that let anybody post, tokens and passwords are secrets: the settings hold names of environment variables only.
"""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Literal

from pydantic import Field, field_validator

from autoencoder.config.section import Names, Section
from autoencoder.reports.wording import LINK_FIELDS


class ChannelSection(Section):
    """A channel."""

    enabled: bool = False


class Webhook(ChannelSection):
    """Programs, and what understands Slack's messages."""

    url_env: str = "ANOMALY_WEBHOOK_URL"
    token_env: str | None = None
    format: Literal["json", "slack"] = "json"


class Slack(ChannelSection):
    """Slack's incoming webhooks."""

    url_env: str = "ANOMALY_SLACK_URL"


class PagerDuty(ChannelSection):
    """PagerDuty's Events API v2."""

    key_env: str = "ANOMALY_PAGERDUTY_KEY"
    url: str = "https://events.pagerduty.com/v2/enqueue"


class Alertmanager(ChannelSection):
    """Prometheus' Alertmanager, API v2."""

    url: str = "http://127.0.0.1:9093"
    token_env: str | None = None
    repeat_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0


class Teams(ChannelSection):
    """Microsoft Teams, by a workflow."""

    url_env: str = "ANOMALY_TEAMS_URL"


class Email(ChannelSection):
    """E-mail through an SMTP server."""

    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    security: Literal["starttls", "ssl", "none"] = "starttls"
    sender: str | None = None
    recipients: Names = ()
    user_env: str | None = None
    password_env: str | None = None
    picture: bool = True


class Alerts(Section):
    """Where incidents are reported, beside the run folder."""

    log: bool = True
    link: str | None = None
    alarms_only: bool = True
    timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    backoff: Annotated[float, Field(gt=0, le=3600)] = 1.0
    max_backoff: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    max_queue: Annotated[int, Field(ge=2, le=100_000)] = 1000
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    webhook: Webhook = Webhook()
    slack: Slack = Slack()
    pagerduty: PagerDuty = PagerDuty()
    alertmanager: Alertmanager = Alertmanager()
    teams: Teams = Teams()
    email: Email = Email()

    @field_validator("link")
    @classmethod
    def _is_template(cls, value: str | None) -> str | None:
        known = ", ".join(f"{{{name}}}" for name in LINK_FIELDS)
        try:
            parts = [] if value is None else list(Formatter().parse(value))
        except ValueError:
            parts = [("", "?", "", None)]
        if any(field is not None and (field not in LINK_FIELDS or form or conversion) for _, field, form, conversion in parts):
            raise ValueError(f"alerts.link is {value!r}; it must be an address in which only these are filled in: {known}")
        return value
