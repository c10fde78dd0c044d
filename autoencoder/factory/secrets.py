"""Secrets: what the environment variables hold that settings name."""

from __future__ import annotations

import os

from autoencoder.core.errors import ConfigError


def secret(setting: str, variable: str, otherwise: str = "") -> str:
    """What an environment variable holds, which no message may.

    Raises:
        ConfigError: that is nothing, or fits into no request; ``otherwise`` is what else can be done, by default without the variable.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        remedy = f"set it, or {otherwise or f'set {setting} to null'}"
        raise ConfigError(f"{setting} names the environment variable {variable}, which is not set; {remedy}")
    if not (text.isascii() and text.isprintable()):
        raise ConfigError(f"the environment variable {variable} holds characters that fit into no request; set it again")
    return text
