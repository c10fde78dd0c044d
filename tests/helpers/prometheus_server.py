"""A real Prometheus on the loopback interface, what it scrapes, and a server in front of it that misbehaves as it is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest

from helpers.cli import wait_until
from helpers.webhook_server import Behaviour, Loopback, QuietHandler, closed_port

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="prometheus is not installed (apt install prometheus)"
)


def backfill(folder: Path, lines: Iterable[str]) -> None:
    """Give a Prometheus that is not started yet the samples of OpenMetrics lines, "name{labels} value seconds"."""
    text = folder / "samples.om"
    text.write_text("".join(f"{line}\n" for line in [*lines, "# EOF"]))
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", text, folder / "data"], check=True)


class Prometheus:
    """A server with its data in a folder, from the start of a ``with`` block to its end."""

    def __init__(self, folder: Path, config: str = "{}", *flags: str) -> None:
        self._folder, self._flags, self.port = folder, flags, closed_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "prometheus.yml").write_text(config)

    def __enter__(self) -> Self:
        where = f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/data"
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", *where, f"--web.listen-address=127.0.0.1:{self.port}", *self._flags], stdout=log, stderr=log
            )
        wait_until(self._is_ready)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with suppress(OSError):
            return fetch(f"{self.url}/-/ready")[0] in (200, 400, 401)  # 400: it speaks TLS
        return False

    def ask(self, what: str, **parameters: object) -> Any:
        """The ``data`` of an answer."""
        return json.loads(fetch(f"{self.url}/api/v1/{what}?{urlencode(parameters)}")[1])["data"]


class Gate(Loopback):
    """Passes requests on to a server, but answers the first ones to ``query_range`` as ``first`` says, a number being a status.

    Args:
        target: address of the server.
        first: what befalls one request each.
        authorization: the header without which everything is answered with 401.
    """

    def __init__(self, target: str, first: Sequence[Behaviour | int] = (), authorization: str | None = None) -> None:
        self.ranges: list[str] = []  # paths of the requests to query_range
        self.then: Behaviour | int | None = None  # what befalls the others; None: they are passed on
        self.first, outer = list(first), self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                behaviour: Behaviour | int | None = None
                if "/query_range" in self.path:
                    outer.ranges.append(self.path)
                    behaviour = outer.first.pop(0) if outer.first else outer.then
                if authorization and self.headers.get("Authorization") != authorization:
                    behaviour = 401
                if behaviour is None:
                    behaviour = says_json(*fetch(target + self.path))
                self.behave(behaviour, outer._released)

        super().__init__(Handler)
        self.url = f"http://127.0.0.1:{self.port}"


def says_json(status: int, body: bytes | object, length: int | None = None) -> Behaviour:
    """An answer with a body, whose header says that it has so many bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


class Exporter:
    """A program with one gauge, which ``value`` gives when it is scraped (None: it is gone); ``scrapes`` are time and value of each."""

    def __init__(self, name: str, value: Callable[[], float | None]) -> None:
        self.scrapes: list[tuple[float, float | None]] = []
        self._name, self._value = name, value

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import GaugeMetricFamily

        self.scrapes.append((time.time(), value := self._value()))
        if value is not None:
            yield GaugeMetricFamily(self._name, "A gauge.", value)

    def __enter__(self) -> Self:
        from prometheus_client import CollectorRegistry, start_http_server

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        self._server, _ = start_http_server(0, "127.0.0.1", registry)
        self.target = f"127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def fetch(url: str) -> tuple[int, bytes]:
    """Status and body of whatever is answered; OSError where nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()
