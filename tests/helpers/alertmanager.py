"""Debian's Alertmanager, on the loopback interface."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

import requests

from helpers.cli import wait_until
from helpers.webhook_server import closed_port

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


class AlertmanagerServer:
    """Groups alerts by their source, and tells ``receiver``, an address, of each alert; started and killed as often as a test wants.

    It tells of each alert by itself: of a group that is new to it, it may tell when it has read only the first, and never tells of another
    that had ended by then.
    """

    def __init__(self, folder: Path, receiver: str) -> None:
        self._folder, self.port = folder, closed_port()
        grouped = {"receiver": "nobody", "group_by": ["alertname", "source"], "matchers": ["alertname=~.+"], "continue": True}
        single = {"receiver": "test", "group_by": ["..."], "matchers": ["alertname=~.+"]}
        waits = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
        webhook = {"name": "test", "webhook_configs": [{"url": receiver, "send_resolved": True}]}
        route = {"receiver": "nobody", "routes": [grouped, single], **waits}
        folder.mkdir()
        (folder / "config.yml").write_text(json.dumps({"route": route, "receivers": [{"name": "nobody"}, webhook]}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert BINARY
        options = (f"--config.file={self._folder / 'config.yml'}", f"--storage.path={self._folder / 'data'}")
        listening = (f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([BINARY, *options, *listening], stdout=log, stderr=log)
        wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        """As a crash does: what it holds in memory is lost."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As it is restarted: it writes down of whom it told."""
        self._process.terminate()
        self._process.wait()

    def get(self, what: str) -> list[dict[str, Any]]:
        """What the API says of "alerts" or "alerts/groups"."""
        answer: list[dict[str, Any]] = requests.get(f"{self.url}/api/v2/{what}", timeout=5).json()
        return answer

    def notified(self) -> int:
        """The notifications that were delivered and answered since it started."""
        name = 'alertmanager_notification_latency_seconds_count{integration="webhook"'
        lines = requests.get(f"{self.url}/metrics", timeout=5).text.splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith(name))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
