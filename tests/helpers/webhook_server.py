"""A real HTTP server on the loopback interface that takes alerts, or misbehaves as it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from helpers.cli import wait_until

Behaviour = Callable[[BaseHTTPRequestHandler, threading.Event], None]
VARIABLE = "ANOMALY_WEBHOOK_URL"  # the environment variable that holds the address, where no setting says otherwise


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    answered: bool  # with a 2xx

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]


@dataclass
class Say:
    """An answer: a status and headers."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        handler.send_response(self.status)
        for name, value in {"Content-Length": "0", **self.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()


def says(text: bytes, again: bytes = b"") -> Behaviour:
    """Writes bytes as they are, then ``again`` and again without end, if there are any."""

    def answer(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        handler.wfile.write(text)
        while again and not released.wait(0.02 / len(again)):
            handler.wfile.write(again)

    return answer


def silence(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
    """Take the request and answer nothing until the server is told to."""
    released.wait()


def hang_up(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
    """Close the connection without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


garbage = says(b"\x00\xff ni hao\r\n\r\n\x1b[2J")
# libraries log a warning about these headers, with the address in it
broken_headers = says(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n : x\r\nno header at all\r\n\r\n")
trickle = says(b"HTTP/1.1 200 OK\r\nX: ", b"x")  # never comes to the point
endless_body = says(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536)


class Loopback:
    """A server on a free port of the loopback interface, from the start of a ``with`` block to its end."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._released = threading.Event()  # what waits is to end
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()


class QuietHandler(BaseHTTPRequestHandler):
    """Says nothing of requests."""

    def behave(self, behaviour: Behaviour | int, released: threading.Event) -> None:
        with suppress(OSError):  # the other side did not wait
            (Say(behaviour) if isinstance(behaviour, int) else behaviour)(self, released)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class WebhookServer(Loopback):
    """Answers the first requests as ``first`` says, one behaviour each, and all others as ``then`` says; a number is a status."""

    def __init__(self, first: Sequence[Behaviour | int] = (), then: Behaviour | int = 200) -> None:
        self.requests: list[Request] = []
        self._behaviours, self._then = list(first), then
        self._lock = threading.Lock()
        outer = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.close_connection = True
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.behave(outer._take(self, body), outer._released)

            do_GET = do_POST

        super().__init__(Handler)

    def _take(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> Behaviour | int:
        with self._lock:
            behaviour = self._behaviours.pop(0) if self._behaviours else self._then
            status = behaviour.status if isinstance(behaviour, Say) else behaviour
            answered = behaviour is endless_body or (isinstance(status, int) and 200 <= status < 300)
            self.requests.append(Request(handler.path, dict(handler.headers), body, answered))
            return behaviour

    @property
    def delivered(self) -> list[Request]:
        """The requests that got a 2xx."""
        return [request for request in list(self.requests) if request.answered]

    def url(self, rest: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{rest}"

    def wait_for(self, count: int) -> None:
        """Wait until so many requests came in."""
        wait_until(lambda: len(self.requests) >= count)


def isolate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy on the way to the loopback interface, and no secrets of whoever runs the tests."""
    for name in (VARIABLE, "HOOK_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def closed_port() -> int:
    """A port of the loopback interface on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
