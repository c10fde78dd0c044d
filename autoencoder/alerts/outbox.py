"""Outbox: alerts that wait to be delivered, in an sqlite file that outlives the process (a transactional outbox)."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from autoencoder.core.errors import ModelFileError
from autoencoder.reports.database import open_database, unwritable

Alert: TypeAlias = Mapping[str, Any]  # the content of an alert, fit for JSON

OUTCOMES = ("delivered", "refused", "dropped", "waiting")
_SCHEMA = (
    "CREATE TABLE run (id TEXT NOT NULL)",
    "CREATE TABLE alert (place INTEGER PRIMARY KEY, channel TEXT NOT NULL, key TEXT NOT NULL, content TEXT NOT NULL, "
    "UNIQUE (channel, key))",
    "CREATE INDEX queue ON alert (channel, place)",
    # some 80 bytes an alert
    "CREATE TABLE settled (channel TEXT, key TEXT, outcome TEXT NOT NULL, PRIMARY KEY (channel, key)) WITHOUT ROWID",
)
_PUT = (
    "INSERT OR IGNORE INTO alert (channel, key, content) SELECT ?1, ?2, ?3 "
    "WHERE NOT EXISTS (SELECT 1 FROM settled WHERE channel = ?1 AND key = ?2)"
)
_HEADS = "SELECT key, content FROM alert WHERE channel = ? ORDER BY place LIMIT ?"
_WAITING = "SELECT count(*) FROM alert WHERE channel = ?"
_COUNTS = (
    "SELECT channel, outcome, count(*) FROM settled GROUP BY channel, outcome "
    "UNION ALL SELECT channel, 'waiting', count(*) FROM alert GROUP BY channel"
)
_OLDEST = "place IN (SELECT place FROM alert WHERE channel = ?1 ORDER BY place LIMIT ?2)"


class Outbox:
    """A bounded queue for each channel, between the thread of the stream and the one that sends: none holds up another.

    An alert costs the stream one append to sqlite's write-ahead log: a process that is killed loses none that it queued, and ``flush``
    makes them outlive a power cut. Keys are remembered: a resumed run that comes by the same incident again queues nothing twice.

    Args:
        path: the file; made, or read where there is one.
        capacity: alerts of a channel that may wait; the oldest makes room for one more.

    Raises:
        ModelFileError: the file was not written by an outbox.
        RunError: it cannot be read or written; so do all methods.
    """

    def __init__(self, path: Path, capacity: int) -> None:
        self.path, self._capacity = path, capacity
        self._lock = threading.RLock()
        self.arrived = defaultdict[str, threading.Event](threading.Event)  # by channel; set when an alert is queued
        self._counts: Mapping[str, dict[str, int]] | None = None  # once it is closed
        try:
            self._db = open_database(path, _SCHEMA)
            self.run = self._run_id()
        except (OSError, sqlite3.OperationalError) as error:
            raise unwritable(path, error) from None
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise ModelFileError(f"{path} is damaged ({error}); move it away: the alerts in it are lost") from None
        with self._locked():
            for channel in self.counts():
                self._make_room(channel)

    def _run_id(self) -> str:
        """The id of the run, which a new file is given."""
        if self._db.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise ValueError("not what this program writes")
        self._db.execute("INSERT INTO run SELECT ? WHERE NOT EXISTS (SELECT 1 FROM run)", (str(uuid.uuid4()),))
        ((run,),) = self._db.execute("SELECT id FROM run")
        return str(uuid.UUID(run))

    def put(self, channel: str, key: str, alert: Alert) -> bool:
        """Queue an alert, unless the channel had its key before; it is in the file when this returns.

        Returns:
            Whether there was room, so that no older one was dropped for it.
        """
        with self._locked():
            self._db.execute(_PUT, (channel, key, json.dumps(alert)))
            self.arrived[channel].set()
            return self._make_room(channel)

    def flush(self) -> None:
        """What was queued outlives a power cut when this returns."""
        with self._locked():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def heads(self, channel: str, count: int = 1) -> list[tuple[str, Alert]]:
        """Key and content of a channel's oldest alerts, at most so many, which stay in the queue."""
        with self._locked():
            return [(key, json.loads(content)) for key, content in self._db.execute(_HEADS, (channel, count))]

    def settle(self, channel: str, key: str, outcome: str) -> None:
        """An alert is dealt with."""
        with self._locked():
            self._settle(outcome, "channel = ?1 AND key = ?2", channel, key)

    def close(self) -> None:
        """Close the file; from now on all but ``counts`` fails."""
        with self._locked():
            self._counts = self.counts()
            self._db.close()

    def counts(self) -> Mapping[str, dict[str, int]]:
        """Alerts of each channel delivered, refused by the receiver, dropped for want of room, and still waiting, since the run began."""
        with self._locked():
            if self._counts is not None:
                return self._counts
            found = defaultdict[str, dict[str, int]](lambda: dict.fromkeys(OUTCOMES, 0))
            for channel, outcome, count in self._db.execute(_COUNTS):
                found[channel][outcome] = count
            return found

    def _make_room(self, channel: str) -> bool:
        """Drop the oldest alerts of a channel that are too many; returns whether there was room for all."""
        (waiting,) = self._db.execute(_WAITING, (channel,)).fetchone()
        excess = waiting - self._capacity
        return excess <= 0 or self._settle("dropped", _OLDEST, channel, excess) == 0

    def _settle(self, outcome: str, which: str, channel: str, value: object) -> int:
        """Move alerts to the settled ones; returns how many. One that a kill leaves in both tables is only sent again."""
        move = f"INSERT OR IGNORE INTO settled SELECT channel, key, ?3 FROM alert WHERE {which}"
        new = self._db.execute(move, (channel, value, outcome)).rowcount
        self._db.execute(f"DELETE FROM alert WHERE {which}", (channel, value))
        return new

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise unwritable(self.path, error) from None
