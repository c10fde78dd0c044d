"""Alerts: a configuration and the environment variables that it names -> the channels, and what feeds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from autoencoder.alerts import CHANNELS, Channel
from autoencoder.alerts.sender import Waits
from autoencoder.alerts.sink import Alerts
from autoencoder.config import Config
from autoencoder.core.errors import ConfigError
from autoencoder.core.http import is_web_address, secret


def make_alerts(config: Config, warn: Callable[[str], None]) -> Alerts | None:
    """What sends alerts; None where every channel is switched off. Raises ConfigError as ``make_channels``."""
    chosen, channels = config.alerts, make_channels(config)
    if not channels:
        return None
    waits = Waits(chosen.backoff, chosen.max_backoff, chosen.drain_seconds)
    alarms_only = chosen.alarms_only
    return Alerts(channels, waits, capacity=chosen.max_queue, alarms_only=alarms_only, warn=warn, link=chosen.link)


def make_channels(config: Config) -> list[Channel]:
    """The channels that are switched on, with their secrets. Raises ConfigError: a variable or a setting is missing or wrong."""
    return [
        kind(**_settings(name, getattr(config.alerts, name).model_dump()), timeout=config.alerts.timeout)
        for name, kind in CHANNELS.items()
        if getattr(config.alerts, name).enabled
    ]


def _settings(channel: str, section: dict[str, Any]) -> dict[str, Any]:
    """The settings of a channel, with what a variable holds in place of its name."""
    out: dict[str, Any] = {}
    for setting, value in section.items():
        name = setting.removesuffix("_env")
        out[name] = value
        if name != setting and value is not None:
            out[name] = secret(f"alerts.{channel}.{setting}", value, f"put alerts.{channel}.enabled=false")
        if name == "url" and not is_web_address(out[name]):
            found = f"the environment variable {value} holds" if name != setting else f"alerts.{channel}.url is {value!r},"
            raise ConfigError(f"{found} no http or https address; set it to that of {channel}")
        if setting == "url" and urlsplit(value).username is not None:
            raise ConfigError(
                f"alerts.{channel}.url holds a login, which would be in config.yaml; leave it out, and name a token"
            )
        if setting in ("host", "recipients") and not value:
            raise ConfigError(f"alerts.{channel}.{setting} is not set; set it, or put alerts.{channel}.enabled=false")
    return {name: value for name, value in out.items() if name != "enabled"}
