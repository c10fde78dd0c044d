"""Process: a run in a process of its own, as its page sees it.

The page's server must never import Keras: after every update Streamlit clears the session of a Keras that it finds, and a training
under way with it. Apart from that a run and a page would hold each other up in one process. ``worker.py`` is the other end.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from autoencoder.config import Config
from autoencoder.core.errors import RunError
from autoencoder.dashboard.board import Board
from autoencoder.dashboard.session import Controls, Orders

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Job:
    """What the worker is told before anything else: the configuration, what the page calls the series, and the first orders."""

    config: Config
    name: str | None
    orders: Orders


@dataclass(frozen=True, slots=True)
class Ending:
    """What the worker says last: whether the run was interrupted, or why it failed."""

    interrupted: bool = False
    fault: str | None = None


def run_apart(config: Config, name: str | None, board: Board, controls: Controls) -> None:
    """Run the program's ``run`` command in a process of its own.

    Args:
        config: as the command line would make it.
        name: what the page calls the series; None: what its source calls it.
        board: told of everything.
        controls: obeyed.

    Raises:
        RunError: the run has failed; the message is its own.
        KeyboardInterrupt: it was stopped.
    """
    with tempfile.TemporaryFile() as complaints:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "autoencoder.dashboard.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
        )
        assert worker.stdin and worker.stdout, "the process was started with pipes"
        with worker, worker.stdin as pipe:
            _send(pipe, Job(config, name, controls.orders))
            lock = threading.Lock()

            def forward(orders: Orders) -> None:
                with lock:
                    _send(pipe, orders)

            controls.listener = forward
            forward(controls.orders)  # what changed in between
            ending = _listen(worker.stdout, board)
            controls.listener = lambda _: None
        if ending is None:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").split("\n")
            reason = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {worker.returncode}")
            raise RunError(f"the process of the run has ended ({reason}); start it again")
    if ending.fault:
        raise RunError(ending.fault)
    if ending.interrupted:
        raise KeyboardInterrupt


def _listen(pipe: IO[bytes], board: Board) -> Ending | None:
    """Do on the board what the worker does on its own, until its last word; None where that does not come."""
    with suppress(EOFError, pickle.UnpicklingError):
        while not isinstance(message := pickle.load(pipe), Ending):
            method, arguments, named = message
            getattr(board, method)(*arguments, **named)
        return message
    return None


def _send(pipe: IO[bytes], message: Job | Orders) -> None:
    with suppress(OSError, ValueError):  # the worker is gone: that is found out where it is listened to
        pickle.dump(message, pipe)
        pipe.flush()
