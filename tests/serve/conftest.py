"""One server that the tests of this package share; each takes series of its own."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.cli import finish
from helpers.http import GAUSSIAN, Client, start_server

LIMITS = ("--set", "serve.max_body_bytes=100000", "--set", "serve.max_points=500", "--set", "serve.max_series=60")


class Served(NamedTuple):
    """A server at work."""

    folder: Path  # of its state
    port: int
    client: Client


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server, which must end well."""
    folder = tmp_path_factory.mktemp("served")
    process, port = start_server(folder, *GAUSSIAN, *LIMITS)
    yield Served(folder / "o", port, Client(port))
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0, (folder / "log").read_text()


@pytest.fixture
def points() -> Callable[..., list[dict[str, Any]]]:
    """Points of a series, a minute apart: a wave, with one value that is out of place where that is asked for."""

    def make(series: str, first: int, end: int, odd: int | None = None) -> list[dict[str, Any]]:
        wave = itertools.cycle([1.0, 2.0, 4.0, 3.0, 2.5])
        values = list(itertools.islice(wave, end))
        return [
            {"series": series, "time": 1_700_000_000 + 60 * row, "value": 900.0 if row == odd else values[row] + row % 7 / 10}
            for row in range(first, end)
        ]

    return make
