"""The server of ``serve`` as a process, and a client that keeps its connection."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.cli import start, wait_until

LINES = "application/x-ndjson"
GAUSSIAN = ("--detector", "windowed_gaussian", "--set", "windowed_gaussian.window=32", "--set", "training.points=100")


class Client:
    """One connection, which is made again where it breaks."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status, and the answer, parsed where it is JSON."""
        try:
            self._connection.request(method, path, body, {**self._headers, **headers})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        return answer.status, json.loads(text) if "json" in (answer.getheader("Content-Type") or "") else text.decode()

    def get(self, path: str) -> Any:
        """The answer to a query, which must be one."""
        status, answer = self.ask("GET", path)
        assert status == 200, answer
        return answer

    def post(self, points: Sequence[dict[str, Any]]) -> tuple[int, Any]:
        """Send points as JSON lines."""
        body = "\n".join(map(json.dumps, points)).encode()
        return self.ask("POST", "/points", body, **{"Content-Type": LINES})

    def judge(self, points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """What is decided on points, which must be taken."""
        status, answer = self.post(points)
        assert status == 200, answer
        found: list[dict[str, Any]] = answer["detections"]
        return found


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start_server(folder: Path, *arguments: object, out: str = "o") -> tuple[subprocess.Popen[str], int]:
    """The server at work in ``folder/out`` with its log in ``folder/log``, and its port."""
    with (folder / "log").open("w") as log:
        arguments = ("serve", "--out", out, *(() if "--port" in arguments else ("--port", 0)), *arguments)
        process = start(*arguments, folder=folder, stderr=log)
    found: list[re.Match[str]] = []
    wait_until(lambda: bool(found.extend(re.finditer(r"serving on \S+:(\d+)\n", (folder / "log").read_text())) or found), process)
    return process, int(found[0][1])
