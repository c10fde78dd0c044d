"""The command ``serve``: the run loop with requests as its source, as long as it is not told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencoder.commands.callbacks import run_metrics
from autoencoder.commands.run import run
from autoencoder.commands.train import RunOptions
from autoencoder.config import Config
from autoencoder.config.schema import Serve
from autoencoder.console import Console
from autoencoder.core.errors import AutoencoderError, ConfigError
from autoencoder.core.extras import require
from autoencoder.core.http import secret
from autoencoder.factory.detectors import make_adaptive, make_detector
from autoencoder.models import NO_NAME, SavedModel
from autoencoder.pipeline import Run
from autoencoder.reports.scores_csv import header
from autoencoder.reports.sinks import Callback
from autoencoder.serve import journal
from autoencoder.serve.events import Events
from autoencoder.serve.intake import Intake
from autoencoder.serve.source import RequestSource
from autoencoder.sources.schema import ALL

MAX_CONNECTIONS = 1000
REHEARSED = 200  # points
GRACE_SECONDS = 3  # for answers that are under way when the server is told to stop


def serve(config: Config, options: RunOptions, console: Console) -> int:
    """Answer requests until the program is told to stop; the run folder holds all there is to go on with. Returns the exit code.

    Raises:
        ConfigError: the address cannot be had, or is open to others and no token is asked for.
        AutoencoderError: as ``run``.
    """
    require("fastapi", "uvicorn", "prometheus_client", purpose="serve")
    token = _token(config.serve)
    with closing(listen(config.serve)) as listener:
        _rehearse(config)
        return run(config, options, console, HttpServer(config, listener, token, console))


@dataclass(eq=False)
class HttpServer:
    """Requests as the source of a run, and their answers, from a thread of its own."""

    config: Config
    listener: socket.socket  # that they come to
    token: str | None  # what they must bring; None: nothing
    console: Console  # told where they may go

    def open_source(self, model: SavedModel | None) -> RequestSource:
        """The source, whose columns are those that the configuration or else the model names."""
        asked = self.config.csv.columns
        if {"series", "time"} & set(asked):
            raise ConfigError("series and time are keys that every point has; give values other names with --column")
        if ALL in asked or self.config.columns.joint is False:
            raise ConfigError("serve judges the columns that --column names together; send others as series of their own")
        if self.config.input.transform not in ("auto", "none", "prices"):
            raise ConfigError(
                f"input.transform is {self.config.input.transform}, and serve judges values as they come; set it to none"
            )
        columns = asked or (model.columns if model else ()) or (NO_NAME,)
        self._source = RequestSource(model.in_order(columns) if model else columns)
        return self._source

    def recover(self, run: Run, kept: int | None) -> None:
        """Have what was acknowledged behind the checkpoint judged again; it left ``kept`` bytes of scores.csv, None: there is none."""
        found = journal.rescue(run.folder, header(run.source.columns, of_many=True), run.rows, kept)
        self._source.replay(found)
        if run.rows or found:
            again = f"; {len(found[0]):,} behind the checkpoint are judged again" if found else ""
            self.console.print(f"{run.folder.path}: goes on after {run.rows + len(found[0] if found else ()):,} points{again}")

    @contextmanager
    def serving(self, run: Run) -> Iterator[list[Callback]]:
        """Requests are answered while this is entered, by callbacks of the run."""
        from uvicorn import Config as ServerConfig
        from uvicorn import Server

        from autoencoder.serve.app import Service, make_app

        chosen, source = self.config.serve, self._source
        intake, metrics = Intake(source, run.folder.path, chosen), run_metrics(self.config, run)
        events = Events(intake.header, run.panel.open)
        app = make_app(Service(run, intake, events, metrics.registry), self.token)
        quiet: dict[str, Any] = {"access_log": False, "log_config": None, "log_level": "critical"}
        limits: dict[str, Any] = {"limit_concurrency": MAX_CONNECTIONS, "timeout_graceful_shutdown": GRACE_SECONDS}
        server = Server(ServerConfig(app, lifespan="off", **quiet, **limits))
        if chosen.fsync and run.results:
            source.after_write = run.results.flush
        loop = asyncio.new_event_loop()

        def answer() -> None:
            try:
                loop.run_until_complete(server.serve(sockets=[self.listener]))
            finally:
                source.fail()

        source.loop = events.loop = loop
        thread = threading.Thread(target=answer, name="http", daemon=True)
        thread.start()
        self.console.print(f"serving on {_address(self.listener)}")
        try:
            yield [source.on_batch, events.on_batch, metrics.on_batch]
        finally:
            loop.call_soon_threadsafe(source.close)
            loop.call_soon_threadsafe(events.close)
            server.should_exit = True
            thread.join(2 * GRACE_SECONDS)


def _rehearse(config: Config) -> None:
    """Let a detector judge noise, so that what it imports is there before the first request."""
    is_early = config.starts_early(of_many=True)
    if config.detector == "lstm_autoencoder" and not is_early:  # what trains is imported anyway
        return
    detector = make_adaptive(config, 10 * REHEARSED) if is_early else make_detector(config, REHEARSED // 2)
    times = (np.arange(REHEARSED) * 60).astype("datetime64[s]").astype("datetime64[ns]")
    with suppress(AutoencoderError):  # that is for the series that have the same fault
        detector.process(times, np.random.default_rng(0).normal(size=(REHEARSED, 1)))


def _token(chosen: Serve) -> str | None:
    """What requests must bring; ConfigError where it is not set, and the address is open to others without one."""
    if chosen.token_env is None:
        with suppress(ValueError):  # no number but a name
            if ipaddress.ip_address(chosen.host).is_loopback:
                return None
        if chosen.host == "localhost":
            return None
        raise ConfigError(
            f"serve.host {chosen.host} is open to others, so a token is needed: put one into an environment variable and name it, "
            "e.g. --set serve.token_env=ANOMALY_TOKEN"
        )
    return secret("serve.token_env", chosen.token_env)


def listen(chosen: Serve) -> socket.socket:
    """A socket at the address; ConfigError where it cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(chosen.host, chosen.port, type=socket.SOCK_STREAM)[0]
        is_six = family == socket.AF_INET6
        listener = socket.create_server(address, family=family, backlog=128, dualstack_ipv6=is_six)
    except OSError as error:
        reason, where = (error.strerror or str(error)).partition(" (while")[0], f"{chosen.host} port {chosen.port}"
        raise ConfigError(f"{where} cannot be listened on ({reason}); choose another with --host and --port") from None
    # what it accepts inherits this; asyncio sets it only where the protocol is named, and an answer would wait 40 ms for the client's ACK
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
