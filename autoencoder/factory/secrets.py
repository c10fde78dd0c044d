"""Secrets: what the environment variables hold that settings name."""

from __future__ import annotations

import os

from autoencoder.core.errors import ConfigError


def secret(setting: str, variable: str) -> str:
    """What an environment variable holds, which no message may; ConfigError where that is nothing, or fits into no HTTP request."""
    text = os.environ.get(variable, "").strip()
    if not text:
        raise ConfigError(
            f"{setting} names the environment variable {variable}, which is not set; set it, or set {setting} to null"
        )
    if not (text.isascii() and text.isprintable()):
        raise ConfigError(f"the environment variable {variable} holds characters that fit into no HTTP request; set it again")
    return text
