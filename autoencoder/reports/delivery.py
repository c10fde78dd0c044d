"""Delivery: alerts as HTTP requests, and the thread that sends them until they get through.

``urllib3.util.Retry`` reads the receiver's Retry-After and does no more: its own loop sleeps where the end of the run cannot wake it, says
nothing of a receiver that fails until it succeeds, and reads the body of every failed answer, which may be endless.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from autoencoder.core.errors import RunError
from autoencoder.reports.outbox import Alert, Outbox

QUIET_SECONDS = 0.5  # of waiting at the end of a run before that is announced
RETRYABLE = (408, 425, 429)  # of the 4xx, those that mean "later", not "never"


class DeliveryResult(NamedTuple):
    """How a request ended."""

    outcome: str  # "failed" may be tried again; "delivered" and "refused" are final
    reason: str = ""  # in words that hold nothing of the address
    wait: float = 0.0  # seconds the receiver asks to be left alone; 0 where it did not say


Post: TypeAlias = Callable[[str, Alert], DeliveryResult]


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


def post(
    key: str, alert: Alert, *, url: str, token: str | None, form: Callable[[str, Alert], dict[str, Any]], timeout: float
) -> DeliveryResult:
    """Post one alert as the JSON object that ``form`` makes of it; whatever goes wrong is a result.

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
            data=json.dumps(form(key, alert)).encode(),
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


class WebhookSender(threading.Thread):
    """Takes alerts from an outbox, in order, and posts each until it gets through or is refused; begins at once.

    ``warn`` is given a sentence when the receiver fails, when it is back, and when it refuses the first alert. The second try comes after
    ``backoff`` seconds, doubled with every failure up to ``max_backoff``, whatever the receiver asks for, and shortened by a random part
    of up to a half, so that many senders do not come back all at once. ``stop`` waits for ``drain_seconds`` at most.
    """

    def __init__(
        self, outbox: Outbox, post: Post, warn: Callable[[str], None], *, backoff: float, max_backoff: float, drain_seconds: float
    ) -> None:
        super().__init__(name="webhook", daemon=True)  # never keeps the process alive
        self._outbox, self._post, self._warn = outbox, post, warn
        self._backoff, self._max_backoff, self._drain_seconds = backoff, max_backoff, drain_seconds
        self._random = random.Random()  # its own: training draws from the common one, and must stay reproducible
        self._is_silent = self._has_refused = False
        self._failures = 0  # in a row
        self._ends = 0.0  # when the time to drain is over
        self._closing = threading.Event()
        self.start()

    def stop(self, *, wait: bool = True) -> None:
        """Wait until all alerts are dealt with, at most ``drain_seconds`` and not at all without ``wait``; then close the outbox.

        Raises:
            KeyboardInterrupt: the wait was interrupted; the outbox is closed all the same.
        """
        seconds = self._drain_seconds if wait else 0.0
        self._ends = time.monotonic() + seconds
        self._closing.set()
        self._outbox.arrived.set()
        try:
            self.join(min(QUIET_SECONDS, seconds))
            if wait and self.is_alive():
                self._say(f"{self._outbox.counts()['waiting']:,} alerts wait; at most {seconds:g} s more for them")
                self.join(self._ends - time.monotonic())
        finally:
            self._is_silent = True
            self._outbox.close()

    def run(self) -> None:
        """Send until no more alerts will come, or the time to drain is over."""
        try:
            is_last_look = False
            while (head := self._outbox.head()) or not is_last_look:
                is_last_look = self._closing.is_set()
                if head:
                    result = self._post(*head)
                    if result.outcome != "failed":
                        self._outbox.settle(head[0], result.outcome)
                    self._report(result)
                    self._failures = self._failures + 1 if result.outcome == "failed" else 0
                    is_over = self._closing.is_set() and time.monotonic() >= self._ends
                    if is_over or (self._failures and not self._pause(result.wait)):
                        return
                elif not is_last_look:
                    self._outbox.arrived.wait()
                    self._outbox.arrived.clear()
        except RunError as error:
            self._say(f"{error}; no more alerts are sent")

    def _pause(self, asked: float) -> bool:
        """Rest after a failure; returns whether to go on. The end of the run cuts a rest short, if the receiver did not ask for it."""
        backoff = min(self._max_backoff, self._backoff * 2.0 ** min(self._failures - 1, 30)) * self._random.uniform(0.5, 1.0)
        pause = max(backoff, min(asked, self._max_backoff))
        until = time.monotonic() + pause
        if not self._closing.is_set() and (not self._closing.wait(pause) or not asked):
            return True
        if until >= self._ends:  # nothing can come of waiting any longer
            return False
        time.sleep(max(0.0, until - time.monotonic()))
        return True

    def _report(self, result: DeliveryResult) -> None:
        if result.outcome == "failed" and not self._failures:
            self._say(f"{result.reason}; alerts wait in {self._outbox.path} and are sent as soon as it answers")
        elif result.outcome != "failed" and self._failures:
            self._say("it answers again")
        if result.outcome == "refused" and not self._has_refused:
            self._has_refused = True
            self._say(f"{result.reason}; an alert that is refused is not sent again; check the address and the token")

    def _say(self, sentence: str) -> None:
        if not self._is_silent:
            self._warn(f"webhook: {sentence}")
