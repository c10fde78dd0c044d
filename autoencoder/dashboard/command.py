"""The ``dashboard`` command: serves the page until it is interrupted."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import socket
import tempfile
import threading
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path

from autoencoder.console import Console
from autoencoder.core.errors import ConfigError, RunError
from autoencoder.reports.files import lock

HOST = "127.0.0.1"  # reached from this machine only
FIRST_PORT, PORTS = 8501, 100  # where a free one is looked for
DESCRIPTION = "Serves a page on this machine in which runs are started and watched; Ctrl-C ends it."
PAGE = Path(__file__).resolve().with_name("page.py")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``dashboard``."""
    parser.add_argument("--port", type=int, metavar="N", help=f"port of the page (default: {FIRST_PORT}, or the next free one)")


def main(arguments: argparse.Namespace, console: Console) -> int:
    """Serve the page.

    Raises:
        ConfigError: wrong usage, streamlit is not installed, or the port cannot be had.
        RunError: the server does not start.
        KeyboardInterrupt: the user has ended it.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise ConfigError("the dashboard needs streamlit, which is not installed; pip install -r requirements-dashboard.txt")
    port = choose_port(arguments.port)
    from streamlit.web import cli

    level = "info" if arguments.verbose else "critical"
    threading.Thread(target=_announce, args=(port, console), daemon=True).start()
    with redirect_stdout(io.StringIO()) as said:
        try:
            cli.main(["run", str(PAGE), f"--server.port={port}", f"--logger.level={level}"], "streamlit", standalone_mode=False)
        except SystemExit:
            reason = " ".join(said.getvalue().split())
            raise RunError(f"the dashboard's server does not start ({reason}); try another port with --port N") from None
    raise KeyboardInterrupt  # a signal is all that ends the server


def choose_port(wanted: int | None) -> int:
    """The port that was asked for, or the first free one. ConfigError: it is no port, or taken."""
    if wanted is not None and not 1 <= wanted <= 65535:
        raise ConfigError(f"--port is {wanted}; it must be from 1 to 65535, e.g. {FIRST_PORT}")
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if wanted is None else [wanted]
    if found := next(filter(_claim, ports), None):
        return found
    if wanted is None:
        raise ConfigError(f"no port from {ports[0]} to {ports[-1]} is free; give another one with --port N")
    raise ConfigError(f"--port {wanted} is taken or not allowed; give another one, or leave it out for a free one")


def _claim(port: int) -> bool:
    """Whether a port is free, and this process's from now on.

    A server takes its port a second after it was chosen: of two that start together the second would find the page of the first.
    """
    place = Path(tempfile.gettempdir(), f"autoencoder-{os.getuid()}-port-{port}")
    with suppress(OSError):
        place.mkdir(exist_ok=True)
        if not (release := lock(_claim, place)):  # held by this function, which lives as long as the process
            return False
        if not _is_free(port):
            release()
            return False
        return True
    return _is_free(port)  # where nothing can be locked


def _is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server((HOST, port)):  # as a server opens it: old connections do not hold it
        return True
    return False


def _announce(port: int, console: Console) -> None:
    """Say where the page is as soon as it is there."""
    while True:
        with suppress(OSError), socket.create_connection((HOST, port)):
            break
        time.sleep(0.05)
    console.print(f"the dashboard is at http://{HOST}:{port}; Ctrl-C ends it")
