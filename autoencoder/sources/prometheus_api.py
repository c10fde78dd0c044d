"""Prometheus' HTTP API: one question, asked until it is answered in whole, or refused in a sentence that a person can act on.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from autoencoder.core.errors import InputError, SourceError
from autoencoder.core.http import LATER, retry_after, send
from autoencoder.sources.chunk import Warn

MAX_ANSWER_BYTES = 64 << 20  # of one answer, which is in memory several times
Login: TypeAlias = "tuple[str, str]"  # user and password

_LATER = {"timeout", "canceled", "internal", "unavailable"}  # types of errors that may go away by themselves
_ABOUT_THE_QUERY = ("PromQL ", "promql ")  # so begin warnings that do not say that something is missing


class TooMuch(SourceError):
    """The server did not manage so much at once."""


class _Later(Exception):
    """An answer that did not come, or not in whole.

    ``wait`` is how many seconds the server asks to be left alone; ``is_much``: a question about less may be answered.
    """

    def __init__(self, reason: str, wait: float = 0.0, *, is_much: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.is_much = wait, is_much


class Access(NamedTuple):
    """How the server is reached; what is secret here comes from the environment."""

    token: str | None = None  # sent as a bearer token
    login: Login | None = None  # else sent as basic authentication
    ca_file: str | None = None  # certificates that are trusted; None: those of the system
    insecure: bool = False  # any certificate will do
    timeout: float = 30.0  # seconds to wait for a connection, and again for an answer
    retries: int = 4  # after a failure, before that is an error
    backoff: float = 0.5  # seconds before the second retry, doubled with each
    max_backoff: float = 60.0  # most seconds between two tries, also where the server asks for more (Retry-After)


@dataclass(eq=False)
class PrometheusApi:
    """Asks a server; a failure that may go away is tried again, and told once until there is an answer.

    Redirects are not followed: they would take the token along.
    """

    url: str  # without /api
    access: Access
    warn: Warn
    sleep: Callable[[float], None] = time.sleep
    is_failing: bool = field(default=False, init=False)
    _told: set[str] = field(default_factory=set, init=False)  # warnings of the server

    def __post_init__(self) -> None:
        import requests

        self.url = self.url.rstrip("/")
        self._session = requests.Session()

    def ask(self, what: str, *, can_shrink: bool = False, **parameters: str) -> Mapping[str, Any]:
        """The ``data`` of the whole answer to ``/api/v1/<what>``.

        Raises:
            TooMuch: the server did not manage the answer; only where the question ``can_shrink``, and else it is asked again as it is.
            InputError: the server, or what answers there, refuses this question for good.
            SourceError: no retry helped.
        """
        from urllib3.exceptions import MaxRetryError
        from urllib3.util import Retry

        chosen = self.access
        retry = Retry(chosen.retries, backoff_factor=chosen.backoff, backoff_max=chosen.max_backoff)
        while True:
            try:
                data = self._ask(what, parameters)
            except _Later as fault:
                if fault.is_much and can_shrink:
                    self.tell_of_failure(f"{self.url}: {fault}")
                    raise TooMuch(str(fault)) from None
                try:
                    retry = retry.increment(error=fault)
                except MaxRetryError:
                    raise SourceError(f"{self.url}: {fault}; check that it is up and reachable, or try again later") from None
                self.tell_of_failure(f"{self.url}: {fault}")
                self.sleep(max(retry.get_backoff_time(), min(fault.wait, chosen.max_backoff)))
                continue
            if self.is_failing:
                self.is_failing = False
                self.warn(f"{self.url} answers again")
            return data

    def tell_of_failure(self, sentence: str) -> None:
        """Say once that there is no answer."""
        if not self.is_failing:
            self.warn(f"{sentence}; trying again")
        self.is_failing = True

    def _ask(self, what: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """One try."""
        status, body, wait = self._fetch(f"{self.url}/api/v1/{what}", parameters)
        if status in (401, 403):
            given = "the token or password that was sent" if self.access.token or self.access.login else "access without a token"
            raise InputError(
                f"{self.url} refuses {given} (HTTP {status}); name the environment variable that holds the right one "
                "in prometheus.http.token_env, or in user_env and password_env"
            )
        if 300 <= status < 400:
            raise InputError(
                f"{self.url} answers with a redirect (HTTP {status}), which is not followed; give the address it leads to"
            )
        tree: Any = None
        with suppress(ValueError, RecursionError):
            tree = json.loads(body)
        match tree:
            case {"status": "error"}:
                message = " ".join(str(tree.get("error")).split())[:300]
                if tree.get("errorType") in _LATER or status in LATER or status >= 500:
                    raise _Later(f"{tree.get('errorType')}: {message}", wait, is_much=tree.get("errorType") == "timeout")
                if "too many samples" in message:
                    raise _Later(message, is_much=True)
                raise InputError(f"{self.url} refuses the query: {message}; correct it, and try it on the server's own page")
            case {"status": "success", "data": {"result": [*_]}}:
                self._require_whole(tree.get("warnings"))
                data: Mapping[str, Any] = tree["data"]
                return data
        if status >= 500 or status in LATER:
            raise _Later(f"it answers HTTP {status}", wait)
        if tree is None and status == 200 and body.lstrip().startswith(b'{"status"'):
            raise _Later("its answer is cut off")
        raise InputError(
            f"{self.url} does not answer as Prometheus does (HTTP {status}); give its address without /graph or /api"
        )

    def _require_whole(self, warnings: object) -> None:
        """Refuse an answer that says that something is missing, as of a store that is down; tell of other warnings once."""
        for each in map(str, warnings if isinstance(warnings, list) else ()):
            text = " ".join(each.split())[:300]
            if not each.startswith(_ABOUT_THE_QUERY):
                raise _Later(f"its answer is incomplete ({text})")
            if text not in self._told:
                self._told.add(text)
                self.warn(f"{self.url} warns: {text}")

    def _fetch(self, url: str, parameters: Mapping[str, str]) -> tuple[int, bytes, float]:
        """Status, body and Retry-After in seconds."""
        from requests import exceptions
        from urllib3.exceptions import HTTPError

        chosen = self.access
        # said here, since a session's own choice gives way to the environment
        verify = False if chosen.insecure else chosen.ca_file or True
        access: dict[str, Any] = {"token": chosen.token, "login": chosen.login, "verify": verify, "timeout": chosen.timeout}
        try:
            with send("GET", url, session=self._session, params=parameters, **access) as response:
                return response.status_code, self._body(response), retry_after(response.headers.get("Retry-After"))
        except exceptions.Timeout:
            raise _Later(f"no answer within {chosen.timeout:g} s", is_much=True) from None
        except exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in repr(error):
                raise InputError(
                    f"{self.url} does not speak TLS as this program does; check the address, perhaps it is http"
                ) from None
            raise InputError(
                f"{self.url}: its certificate is not trusted; name the environment variable that holds the path of a CA file "
                "in prometheus.http.ca_env"
            ) from None
        except exceptions.ConnectionError as error:
            raise _Later(_cause(error)) from None
        except (exceptions.ChunkedEncodingError, exceptions.ContentDecodingError, HTTPError):
            raise _Later("its answer is cut off") from None
        except exceptions.RequestException as error:
            raise InputError(f"{self.url} cannot be asked ({type(error).__name__}); check the address") from None

    def _body(self, response: Any) -> bytes:
        blocks, size = [], 0
        for block in response.iter_content(1 << 18):
            blocks.append(block)
            size += len(block)
            if size > MAX_ANSWER_BYTES:
                raise _Later(f"its answer is longer than {MAX_ANSWER_BYTES >> 20} MiB; ask for fewer series", is_much=True)
        return b"".join(blocks)


def _cause(error: Exception) -> str:
    """What became of a connection, in words that hold no address."""
    text = repr(error)
    known = {
        "NameResolution": "its name could not be resolved",
        "refused": "the connection is refused",
        "Read timed out": "its answer does not come to an end",
        "IncompleteRead": "its answer is cut off",
    }
    return next((words for sign, words in known.items() if sign in text), "no connection, or it broke off")
