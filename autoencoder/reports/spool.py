"""Spool: alerts that wait to be delivered, in a file that outlives the process."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from autoencoder.core.errors import ModelError, RunError
from autoencoder.reports.disk import GrowingFile, open_inside, write_whole

Alert: TypeAlias = Mapping[str, Any]  # what there is to tell, fit for JSON
Outcome: TypeAlias = Literal["delivered", "refused", "dropped"]

VERSION = 1  # of the file; raised when its meaning changes


class Spool:
    """A bounded queue between the thread of the stream and the one that sends, kept in a journal on disk.

    The journal has one JSON object a line and is only appended to: an alert that waits, or what became of one. So an alert costs the
    stream one small write, and a process that is killed loses none that it took. When the journal has grown to several times what it
    has to say it is written anew, and its first line then sums up what is settled. Keys that were seen are remembered, the newest
    ``capacity`` of them: a resumed run that comes by the same incident again puts nothing into the queue twice.

    Args:
        path: the journal; made, or read where there is one.
        capacity: alerts that may wait; the oldest makes room for one more.

    Raises:
        ModelError: the file was not written by a spool.
        RunError: it cannot be read or written.
    """

    def __init__(self, path: Path, capacity: int) -> None:
        self.path = path
        self.run = str(uuid.uuid4())
        self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, Alert] = OrderedDict()  # by key, oldest first
        self._settled: OrderedDict[str, None] = OrderedDict()  # keys, oldest first
        self._counts: dict[str, int] = {"delivered": 0, "refused": 0, "dropped": 0}
        self._sending: str | None = None  # key of the alert that is on its way
        self._is_over = False
        self._file: GrowingFile | None = None
        self._read()
        while len(self._waiting) > capacity:
            self._settle(next(iter(self._waiting)), "dropped")
        self._rewrite()

    # --- the side of the stream ---

    def put(self, key: str, alert: Alert) -> bool:
        """Queue an alert, unless its key was seen before; it is in the file when this returns.

        Returns:
            Whether there was room, so that no older one was dropped for it.

        Raises:
            RunError: the file cannot be written.
        """
        with self._changed:
            if key in self._waiting or key in self._settled:
                return True
            self._append({"key": key, "alert": alert})
            self._waiting[key] = alert
            has_room = len(self._waiting) <= self._capacity
            if not has_room:
                oldest = next(waits for waits in self._waiting if waits != self._sending)
                self._append({"key": oldest, "outcome": "dropped"})
                self._settle(oldest, "dropped")
            self._changed.notify()
            return has_room

    def sync(self) -> None:
        """What was put outlives a power cut when this returns.

        Raises:
            RunError: the disk does not take it.
        """
        with self._changed:
            try:
                if self._file:
                    self._file.sync()
            except OSError as error:
                raise self._fault(error) from None

    # --- the side of the sender ---

    def head(self) -> tuple[str, Alert] | None:
        """Key and content of the oldest alert, which stays in the queue; waits for one. None: the queue is empty, and no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            if not self._waiting:
                return None
            self._sending = next(iter(self._waiting))
            return self._sending, self._waiting[self._sending]

    def release(self) -> None:
        """The head did not get through; it waits like the others."""
        with self._changed:
            self._sending = None

    def settle(self, key: str, outcome: Outcome) -> None:
        """An alert is dealt with. Where that cannot be written it will be sent again, with the same key, which is allowed."""
        with self._changed:
            self._sending = None
            if self._file:  # else the run is over, and has said how many wait
                with contextlib.suppress(RunError):
                    self._append({"key": key, "outcome": outcome})
                self._settle(key, outcome)

    # --- both ---

    def finish(self) -> None:
        """No more alerts will come."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close the file; what happens from now on leaves no trace. A second call does nothing."""
        self.finish()
        with self._changed:
            if self._file:
                with contextlib.suppress(OSError):
                    self._file.sync()
                self._file.close()
            self._file = None

    def counts(self) -> dict[str, int]:
        """Alerts delivered, refused by the receiver, dropped for want of room, and still waiting, since the run began."""
        with self._changed:
            return {**self._counts, "waiting": len(self._waiting)}

    # --- the journal ---

    def _read(self) -> None:
        """Take in what a journal says, if there is one. A line that a cut-off write left half is no line."""
        try:
            with open_inside(self.path) as file:
                first = _parsed(file.readline())
                if first.get("spool") != VERSION:
                    raise ModelError(f"{self.path} is damaged, or of another version; move it away: the alerts in it are lost")
                self.run = str(uuid.UUID(first["run"]))
                self._counts |= {name: int(first["counts"][name]) for name in self._counts}
                self._settled |= dict.fromkeys(map(str, first["settled"]))
                for record in map(_parsed, file):
                    if isinstance(record.get("alert"), dict):
                        self._waiting[str(record["key"])] = record["alert"]
                    elif record.get("outcome") in self._counts:
                        self._settle(str(record["key"]), record["outcome"])
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"{self.path} cannot be read ({error.strerror}); make it readable, or move it away") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{self.path} is damaged ({type(error).__name__}); move it away: the alerts in it are lost"
            ) from None

    def _rewrite(self) -> None:
        """Put a journal in place that says the same in as few lines as it can."""
        first = {"spool": VERSION, "run": self.run, "counts": self._counts, "settled": list(self._settled)}
        lines: list[Mapping[str, Any]] = [first, *({"key": key, "alert": alert} for key, alert in self._waiting.items())]
        data = b"".join(map(_line, lines))
        try:
            write_whole(self.path, data)
            if self._file:
                self._file.close()
            self._file = GrowingFile(self.path, len(data))
        except OSError as error:
            raise self._fault(error) from None
        self._lines = len(lines)

    def _append(self, record: Mapping[str, Any]) -> None:
        assert self._file
        if self._lines > 4 * self._capacity:
            self._rewrite()
        try:
            self._file.write(_line(record))
        except OSError as error:
            raise self._fault(error) from None
        self._lines += 1

    def _settle(self, key: str, outcome: Outcome) -> None:
        if self._waiting.pop(key, None) is not None:
            self._counts[outcome] += 1
            self._settled[key] = None
            while len(self._settled) > self._capacity:
                self._settled.popitem(last=False)

    def _fault(self, error: OSError) -> RunError:
        return RunError(f"{self.path} cannot be written ({error.strerror}); free space and go on with --resume")


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any]:
    """The object that a line holds; an empty one where it holds none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
