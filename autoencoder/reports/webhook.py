"""Webhook: alerts as HTTP requests, and the thread that sends them until they get through."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from autoencoder.reports.spool import Alert, Spool

PATIENCE = 0.5  # seconds for which nobody minds that a program does not say what it waits for
AGAIN = (408, 425, 429)  # of the 4xx, those that mean "later", not "never"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended.

    Attributes:
        outcome: "failed" may be tried again, the others are final.
        reason: in words that hold nothing of the address.
        wait: seconds the receiver asks to be left alone; None: it did not say.
    """

    outcome: Literal["delivered", "refused", "failed"]
    reason: str = ""
    wait: float | None = None


Post: TypeAlias = Callable[[str, Alert], Answer]
Format: TypeAlias = Callable[[str, Alert], dict[str, Any]]


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https address with a host.

    >>> [is_web_address(text) for text in ("https://example.org/a?b", "ftp://example.org", "https://", "http://a b", "http://[")]
    [True, False, False, False, False]
    """
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:  # brackets or a port that are none
        return False
    return is_whole and text.isprintable() and " " not in text


class HttpPost:
    """Posts one alert; redirects are not followed, because they would take the secrets with them.

    Args:
        url: http or https address; a secret.
        token: sent as ``Authorization: Bearer``; a secret. None: what the address itself may hold (``https://user:word@host``).
        form: key and alert -> the JSON object that is posted.
        timeout: seconds to wait for a connection, and again for an answer.
    """

    def __init__(self, url: str, token: str | None, form: Format, timeout: float) -> None:
        from requests.auth import HTTPBasicAuth
        from requests.utils import get_auth_from_url

        # its log lines hold the address; with --verbose a warning among them would reach the console
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._url, self._form, self._timeout = url, form, timeout
        user, word = get_auth_from_url(url)
        # something is given in any case: else requests takes what ~/.netrc holds for that host
        self._auth = HTTPBasicAuth(user, word) if user and not token else _Bearer(token)

    def __call__(self, key: str, alert: Alert) -> Answer:
        """Post it; whatever goes wrong is an answer."""
        import requests

        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "lstm-autoencoder"}
        try:
            with requests.post(
                self._url,
                data=json.dumps(self._form(key, alert)).encode(),
                headers=headers,
                auth=self._auth,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,  # the body is not read: it says nothing, and may be endless
            ) as response:
                return judged(response.status_code, response.headers.get("Retry-After"))
        except requests.exceptions.Timeout:
            return Answer("failed", f"no answer within {self._timeout:g} s")
        except requests.exceptions.SSLError:
            return Answer("failed", "its certificate is not trusted")
        except requests.exceptions.ConnectionError:
            return Answer("failed", "no connection, or it broke off")
        except Exception as error:  # the thread must outlive whatever a library raises; its message may hold the address
            return Answer("failed", f"{type(error).__name__}")


class _Bearer:
    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def judged(status: int, retry_after: str | None) -> Answer:
    """What a status code and a Retry-After header (RFC 9110, section 10.2.3) mean.

    >>> [judged(status, None).outcome for status in (204, 302, 404, 429, 503)]
    ['delivered', 'failed', 'refused', 'failed', 'failed']
    >>> judged(429, "7")
    Answer(outcome='failed', reason='it answered 429', wait=7.0)
    """
    if 200 <= status < 300:
        return Answer("delivered")
    if 300 <= status < 400:
        return Answer("failed", f"it answered {status}, a redirect, which is not followed")
    if 400 <= status < 500 and status not in AGAIN:
        return Answer("refused", f"it answered {status}")
    return Answer("failed", f"it answered {status}", _seconds(retry_after))


def _seconds(retry_after: str | None) -> float | None:
    """A number of seconds, or the time until a date; None where it is neither."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    with suppress(TypeError, ValueError, IndexError, OverflowError):
        then = parsedate_to_datetime(text)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - datetime.now(UTC)).total_seconds())
    return None


class Courier:
    """A thread that takes alerts from a spool, in order, and posts each until it gets through or is refused.

    Args:
        post: sends one.
        warn: told in a sentence when the receiver fails, when it is back, and when it refuses the first alert.
        retry: seconds before the second try; doubled with every failure up to ``longest_retry``, and shortened by a random part of up to
            a half, so that many senders do not come back all at once.
        longest_retry: most seconds between two tries, whatever the receiver asks for.
        deadline: seconds that ``stop`` waits at most.
    """

    def __init__(self, post: Post, warn: Callable[[str], None], *, retry: float, longest_retry: float, deadline: float) -> None:
        self._post, self._warn = post, warn
        self._retry, self._longest, self._deadline = retry, longest_retry, deadline
        self._dice = random.Random()  # its own: the training draws from the common one, and is to be the same every time
        self._voice = threading.Lock()  # held while speaking, so that nobody speaks after ``stop``
        self._is_silent = False
        self._has_refused = False
        self._failures = 0  # in a row
        self._has_hurried = False
        self._ends = 0.0  # when the deadline is over
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, spool: Spool) -> None:
        """Begin with what waits."""
        self._spool = spool
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)  # never keeps the process alive
        self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """Wait until all are dealt with, at most until the deadline; then close the spool. A second call does nothing.

        Args:
            wait: false: do not wait at all.

        Raises:
            KeyboardInterrupt: somebody had no patience; the spool is closed all the same.
        """
        if not self._thread:
            return
        self._ends = time.monotonic() + (self._deadline if wait else 0.0)
        self._closing.set()
        self._spool.finish()
        try:
            self._thread.join(min(PATIENCE, self._deadline) if wait else 0.0)
            if wait and self._thread.is_alive():
                self._say(f"webhook: {self._spool.counts()['waiting']:,} alerts wait; at most {self._deadline:g} s more for them")
                self._thread.join(self._ends - time.monotonic())
        finally:
            with self._voice:
                self._is_silent = True
            self._spool.close()
            self._thread = None

    def _work(self) -> None:
        while head := self._spool.head():
            key, alert = head
            answer = self._post(key, alert)
            if answer.outcome == "failed":
                self._spool.release()
            else:
                self._spool.settle(key, answer.outcome)
            self._tell(answer)
            self._failures = self._failures + 1 if answer.outcome == "failed" else 0
            is_over = self._closing.is_set() and time.monotonic() >= self._ends
            if is_over or (self._failures and not self._rest(answer.wait)):
                return

    def _rest(self, asked: float | None) -> bool:
        """Pause after a failure; returns whether to go on. The end of the run cuts one pause short, if nobody asked for it."""
        backoff = min(self._longest, self._retry * 2.0 ** min(self._failures - 1, 30)) * self._dice.uniform(0.5, 1.0)
        pause = max(backoff, min(asked or 0.0, self._longest))
        until = time.monotonic() + pause
        if not self._closing.wait(pause):
            return True
        if not asked and not self._has_hurried:
            self._has_hurried = True
            return time.monotonic() < self._ends
        if until >= self._ends:  # nothing can come of waiting any longer
            return False
        time.sleep(max(0.0, until - time.monotonic()))
        return True

    def _tell(self, answer: Answer) -> None:
        if answer.outcome == "failed" and not self._failures:
            self._say(f"webhook: {answer.reason}; alerts wait in {self._spool.path} and are sent as soon as it answers")
        elif answer.outcome != "failed" and self._failures:
            self._say("webhook: it answers again")
        if answer.outcome == "refused" and not self._has_refused:
            self._has_refused = True
            self._say(f"webhook: {answer.reason}; an alert that is refused is not sent again; check the address and the token")

    def _say(self, sentence: str) -> None:
        with self._voice:
            if not self._is_silent:
                self._warn(sentence)
