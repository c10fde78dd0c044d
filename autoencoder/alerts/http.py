"""HTTP: alerts as requests, and what a receiver's answer means.

``urllib3.util.Retry`` reads the receiver's Retry-After and does no more: its own loop sleeps where the end of the run cannot wake it, says
nothing of a receiver that fails until it succeeds, and reads the body of every failed answer, which may be endless.
"""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from contextlib import suppress
from urllib.parse import urlsplit

from autoencoder.alerts.channel import Channel, DeliveryResult, Draw
from autoencoder.alerts.outbox import Alert

RETRYABLE = (408, 425, 429)  # of the 4xx, those that mean "later", not "never"


class HttpChannel(Channel):
    """Posts what ``body`` makes of an alert to an address."""

    def __init__(self, *, url: str, timeout: float, token: str | None = None) -> None:
        self._url, self._timeout, self._token = url, timeout, token

    @abstractmethod
    def body(self, key: str, alert: Alert) -> object:
        """The content of the request, fit for JSON."""

    def send(self, key: str, alert: Alert, draw: Draw) -> DeliveryResult:
        """Post one alert, without a picture."""
        return self._post(self.body(key, alert), key)

    def _post(self, content: object, key: str) -> DeliveryResult:
        return post(content, key, url=self._url, token=self._token, timeout=self._timeout)


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


def post(content: object, key: str, *, url: str, token: str | None, timeout: float) -> DeliveryResult:
    """Post content as JSON; whatever goes wrong is a result.

    The address and the token, sent as ``Authorization: Bearer``, are secrets: redirects are not followed, because they would take them
    along. Without a token, what the address itself may hold (``https://user:word@host``) is sent. ``timeout`` is in seconds, to wait
    for a connection, and again for an answer.
    """
    import requests
    from requests.auth import HTTPBasicAuth
    from requests.utils import get_auth_from_url

    # its log lines hold the address; with --verbose a warning among them would reach the console
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    user, word = get_auth_from_url(url)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "lstm-autoencoder"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with requests.post(
            url,
            data=json.dumps(content).encode(),
            headers=headers,
            # without any, requests takes what ~/.netrc holds for that host
            auth=HTTPBasicAuth(user, word) if user and not token else lambda request: request,
            timeout=timeout,
            allow_redirects=False,
            stream=True,  # the body is not read: it says nothing, and may be endless
        ) as response:
            return read_answer(response.status_code, response.headers.get("Retry-After"))
    except requests.exceptions.Timeout:
        return DeliveryResult("failed", f"no answer within {timeout:g} s")
    except requests.exceptions.SSLError:
        return DeliveryResult("failed", "its certificate is not trusted")
    except requests.exceptions.ConnectionError:
        return DeliveryResult("failed", "no connection, or it broke off")
    except Exception as error:  # the thread must outlive whatever a library raises; its message may hold the address
        return DeliveryResult("failed", type(error).__name__)


def read_answer(status: int, retry_after: str | None) -> DeliveryResult:
    """What a status code and a Retry-After header (RFC 9110, section 10.2.3) mean.

    >>> [read_answer(status, None).outcome for status in (204, 302, 404, 429, 503)]
    ['delivered', 'failed', 'refused', 'failed', 'failed']
    >>> read_answer(429, "7")
    DeliveryResult(outcome='failed', reason='it answered 429', wait=7.0)
    """
    if 200 <= status < 300:
        return DeliveryResult("delivered")
    if 300 <= status < 400:
        return DeliveryResult("failed", f"it answered {status}, a redirect, which is not followed")
    if 400 <= status < 500 and status not in RETRYABLE:
        return DeliveryResult("refused", f"it answered {status}")
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    wait = 0.0
    with suppress(InvalidHeader, ValueError, OverflowError):
        wait = float(Retry(retry_after_max=10**9).parse_retry_after(retry_after or ""))
    return DeliveryResult("failed", f"it answered {status}", wait)
