"""The ``dashboard`` command: starts the page's server, says where it is, and ends with it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autoencoder.console import Console
from autoencoder.core.errors import ConfigError, RunError
from autoencoder.interrupts import Interrupts

HOST = "127.0.0.1"  # nobody else can reach it
FIRST_PORT, TRIES = 8501, 100
PAGE, SERVE = (Path(__file__).resolve().with_name(name) for name in ("page.py", "serve.py"))
START_SECONDS = 60.0  # for the server to answer
END_SECONDS = 10.0  # for it to end: a run that is under way is written down first


def parser() -> argparse.ArgumentParser:
    """The command line of ``main.py dashboard``."""
    made = argparse.ArgumentParser(
        prog="main.py dashboard",
        description="Serves a page on this machine in which runs are started and watched; Ctrl-C ends it.",
    )
    made.add_argument("command", choices=("dashboard",), help=argparse.SUPPRESS)
    made.add_argument("--port", type=int, metavar="N", help=f"port of the page (default: {FIRST_PORT}, or the next free one)")
    made.add_argument("--verbose", action="store_true", help="show tracebacks")
    return made


def dashboard(arguments: argparse.Namespace, console: Console) -> int:
    """Serve the page until it is interrupted.

    Raises:
        ConfigError: wrong usage, streamlit is not installed, or the port cannot be had.
        RunError: the server does not start, or ends by itself.
        KeyboardInterrupt: the user has ended it.
    """
    if not hasattr(arguments, "port"):  # the command came after flags, which are those of another command then
        raise ConfigError("dashboard must come first, and takes --port N alone: python main.py dashboard")
    if importlib.util.find_spec("streamlit") is None:
        raise ConfigError("the dashboard needs streamlit, which is not installed; pip install -r requirements-dashboard.txt")
    port = choose_port(arguments.port)
    with Interrupts(), tempfile.TemporaryFile() as complaints:
        server = subprocess.Popen(
            [sys.executable, str(SERVE), str(PAGE), "--server.port", str(port)],
            stdin=subprocess.PIPE,  # closed when this process is gone
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )
        try:
            _wait_for_answer(server, port)
            console.say(f"the dashboard is at http://{HOST}:{port}; Ctrl-C ends it")
            server.wait()
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").split("\n")
            reason = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {server.returncode}")
            raise RunError(f"the dashboard's server has ended ({reason}); start it again")
        finally:
            _end(server)


def choose_port(wanted: int | None) -> int:
    """The port that was asked for, or the first free one.

    Raises:
        ConfigError: it is no port, or taken.
    """
    if wanted is None:
        for port in range(FIRST_PORT, FIRST_PORT + TRIES):
            if _is_free(port):
                return port
        raise ConfigError(f"no port from {FIRST_PORT} to {FIRST_PORT + TRIES - 1} is free; give another one with --port N")
    if not 1 <= wanted <= 65535:
        raise ConfigError(f"--port is {wanted}; it must be from 1 to 65535, e.g. {FIRST_PORT}")
    if not _is_free(wanted):
        raise ConfigError(f"--port {wanted} is taken or not allowed; give another one, or leave it out for a free one")
    return wanted


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server does: old connections do not hold it
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wait_for_answer(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        if time.monotonic() > end:
            raise RunError(f"the dashboard's server does not answer within {START_SECONDS:g} s; try again")
        time.sleep(0.05)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server, gently at first; Ctrl-C in a terminal has reached it already."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
