"""HTTP: one request to a server that the user names, which takes no secret to another one, and where secrets come from."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from autoencoder.core.errors import ConfigError

LATER = (408, 425, 429)  # of the statuses 4xx, those that mean "later", not "never"


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https address with a host.

    >>> [is_web_address(text) for text in ("https://example.org/a?b", "ftp://example.org", "https://", "http://a b", "http://[")]
    [True, False, False, False, False]
    """
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:  # brackets or a port that are none
        return False


def send(
    method: str,
    url: str,
    *,
    token: str | None = None,
    login: tuple[str, str] | None = None,
    headers: dict[str, str] | None = None,
    session: Any = None,
    **options: Any,
) -> Any:
    """The answer of a server, a context that closes it; its body is not read yet, as it may be endless.

    A token is sent as ``Authorization: Bearer``, else a login as basic authentication. Redirects are not followed, because they would take
    either along. ``session`` is one of ``requests`` (None: a new one), and ``options`` are those of its ``request``; it raises what that
    raises.
    """
    import requests
    from requests.auth import HTTPBasicAuth

    sent = {"User-Agent": "lstm-autoencoder", **(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
    # without any, requests takes what ~/.netrc holds for that host
    auth = HTTPBasicAuth(*login) if login and not token else lambda request: request
    ask = (session or requests).request
    return ask(method, url, headers=sent, auth=auth, allow_redirects=False, stream=True, **options)


def retry_after(header: str | None) -> float:
    """Seconds that a Retry-After header asks for (RFC 9110, section 10.2.3); 0 where it is none.

    >>> retry_after("7"), retry_after("soon"), retry_after(None)
    (7.0, 0.0, 0.0)
    """
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    with suppress(InvalidHeader, ValueError, OverflowError):
        return float(Retry(retry_after_max=10**9).parse_retry_after(header or ""))
    return 0.0


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
