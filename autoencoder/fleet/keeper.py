"""Keeper: a process beside Spark's Python workers that keeps a bucket from batch to batch, whichever of them a batch comes to.

Spark hands a bucket to any worker of an executor, and ends workers that have had nothing to do for a minute. A bucket that a worker kept
itself would be made again from its pieces with every other batch.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import pyarrow as pa

from autoencoder.core.errors import RunError
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import Bucket, Kit

FAMILY = "AF_UNIX"
IDLE_SECONDS = 1800.0  # after which the bucket is judged elsewhere, as it seems
LOOK_SECONDS = 0.5  # between two looks whether the process that it belongs to goes on
START_SECONDS = 0.02  # between two tries to reach one that was started


@dataclass(frozen=True)
class Task:
    """What is to be done with a bucket.

    Attributes:
        made_with: file of the kit with which its pieces were made.
        kit: file of the kit that is to go on.
        token: of the bucket's state, which a copy must have; empty where there is none.
        token_after: of its state when the task is done.
        content: tables of rows as bytes.
    """

    made_with: str
    kit: str
    token: str
    token_after: str
    content: tuple[bytes, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of the rows of a task by kind, the figures of a report, and the pieces that say what has changed, or all of it."""

    found: dict[str, bytes]
    report: dict[str, object]
    pieces: list[bytes]
    is_whole: bool


# --- in a worker ---


def ask(key: str, number: int, owner: int, task: Task, pieces: Iterable[bytes]) -> Outcome:
    """Have a task done by the keeper of a bucket, which is started where there is none.

    Args:
        key: of the query.
        number: of the bucket.
        owner: process with which the keeper ends.
        task: what is to be done.
        pieces: of the bucket's state; read where the keeper has no copy of it.

    Raises:
        Exception: what the keeper met.
        RunError: it does not begin, or ended.
    """
    try:
        with _connected(key, number, owner) as connection:
            connection.send(task)
            answer = connection.recv()
            if answer is None:
                for piece in pieces:
                    connection.send_bytes(piece)
                connection.send_bytes(b"")
                answer = connection.recv()
    except (EOFError, ConnectionError) as error:
        raise RunError(f"the process that keeps bucket {number} ended; Spark does the batch again") from error
    if isinstance(answer, Exception):
        raise answer
    outcome: Outcome = answer
    return outcome


def _connected(key: str, number: int, owner: int) -> Connection:
    name = hashlib.sha256(f"{key} {number} {owner}".encode()).hexdigest()[:20]
    address, started = f"{tempfile.gettempdir()}/fleet-{name}", None
    while True:
        with suppress(FileNotFoundError, ConnectionError, EOFError):  # there is none, or it is just ending
            return Client(address, FAMILY, authkey=key.encode())
        if started is None:
            Path(address).unlink(missing_ok=True)  # of one that was killed
            started = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import main; main()", address, str(owner)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the driver
            )
            assert started.stdin
            with started.stdin as pipe:
                pipe.write(key.encode())
        elif started.poll() is not None:
            raise RunError(f"the process that is to keep bucket {number} ended with {started.returncode} as it began")
        time.sleep(START_SECONDS)


# --- in the keeper ---


@lru_cache(4)
def kit_of(file: str) -> Kit:
    """The kit in a file that ``SharedKit`` has written."""
    kit: Kit = pickle.loads(Path(file).read_bytes())
    return kit


class Keeper:
    """Keeps one bucket, and does what is asked of it."""

    def __init__(self) -> None:
        self._token = ""  # of the bucket's state
        self._bucket: Bucket | None = None

    def serve(self, connection: Connection) -> None:
        """Do the task that comes, and answer with its outcome, or with what went wrong."""
        try:
            connection.send(self._do(connection.recv(), connection))
        except EOFError:
            pass  # who asked was killed
        except Exception as error:
            error.add_note(traceback.format_exc())
            connection.send(error)

    def _do(self, task: Task, connection: Connection) -> Outcome:
        began, is_copy = time.perf_counter(), self._bucket is not None and self._token == task.token
        bucket, self._bucket = self._bucket if is_copy else None, None  # until all is done
        if bucket is None:
            connection.send(None)
            saved = list(iter(connection.recv_bytes, b""))  # all, before a fault of one is told
            bucket = Bucket(kit_of(task.made_with), saved)
        if task.kit != task.made_with:
            bucket.take_up(kit_of(task.kit))
        loaded = time.perf_counter()
        found, report = bucket.process(pa.concat_tables(map(rows.from_bytes, task.content)))
        judged = time.perf_counter()
        is_whole = bucket.is_worth_a_whole_piece
        pieces = bucket.pieces(whole=is_whole)
        report |= {"reloaded": not is_copy, "state_bytes": bucket.state_bytes}
        report["seconds"] = {"load": loaded - began, "judge": judged - loaded, "save": time.perf_counter() - judged}
        self._token, self._bucket = task.token_after, bucket
        return Outcome(rows.packed(found), report, pieces, is_whole)


class Watch:
    """Ends this process, which serves at an address, when another one ends, or when nothing was asked of it for long."""

    def __init__(self, owner: int, address: str) -> None:
        self.asked = time.monotonic()
        self.is_busy = False
        threading.Thread(target=self._look, args=(owner, address), daemon=True).start()

    def _look(self, owner: int, address: str) -> None:
        while _goes_on(owner) and (self.is_busy or time.monotonic() - self.asked < IDLE_SECONDS):
            time.sleep(LOOK_SECONDS)
        Path(address).unlink(missing_ok=True)
        os._exit(0)


def _goes_on(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Keep a bucket, and serve those who show the key that stdin says, at an address and while a process goes on that arguments name."""
    address, owner = sys.argv[1:]
    key, keeper, watch = sys.stdin.buffer.read(), Keeper(), Watch(int(owner), address)
    with Listener(address, FAMILY, authkey=key) as listener:
        while True:
            with suppress(EOFError, ConnectionError, AuthenticationError), listener.accept() as connection:
                watch.is_busy = True
                keeper.serve(connection)
            watch.asked, watch.is_busy = time.monotonic(), False
