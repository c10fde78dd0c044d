"""Outbox: alerts that wait to be delivered, in an sqlite file that outlives the process (a transactional outbox)."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from autoencoder.core.errors import ModelError, RunError

Alert: TypeAlias = Mapping[str, Any]  # the content of an alert, fit for JSON
Outcome: TypeAlias = Literal["delivered", "refused", "dropped"]

_SCHEMA = (
    "CREATE TABLE run (id TEXT NOT NULL, delivered INTEGER NOT NULL, refused INTEGER NOT NULL, dropped INTEGER NOT NULL)",
    "CREATE TABLE alert (place INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, content TEXT NOT NULL, waits INTEGER NOT NULL)",
)
_FORGET = "DELETE FROM alert WHERE NOT waits AND place <= (SELECT place FROM alert WHERE NOT waits ORDER BY place DESC LIMIT 1 OFFSET ?)"


class Outbox:
    """A bounded queue between the thread of the stream and the one that sends.

    An alert costs the stream one append to sqlite's write-ahead log: a process that is killed loses none that it queued, and ``flush``
    makes them outlive a power cut. Keys are remembered, the newest ``capacity`` of those that are settled: a resumed run that comes by
    the same incident again queues nothing twice.

    Args:
        path: the file; made, or read where there is one.
        capacity: alerts that may wait; the oldest makes room for one more.

    Raises:
        ModelError: the file was not written by an outbox.
        RunError: it cannot be read or written; so do all methods.
    """

    def __init__(self, path: Path, capacity: int) -> None:
        self.path, self._capacity = path, capacity
        self._changed = threading.Condition()
        self._is_over = self._is_closed = False
        try:
            _require_own_files(path)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare()
        except (OSError, sqlite3.OperationalError) as error:
            raise self._error(error) from None
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise ModelError(f"{path} is damaged ({error}); move it away: the alerts in it are lost") from None
        with self._transaction():
            while self.counts()["waiting"] > capacity:
                self._settle(self._oldest()[0], "dropped")

    def _prepare(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # the run folder is locked anyway; saves sqlite its shared memory
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # the disk is waited for in ``flush`` only
        tables = tuple(sql for (sql,) in self._db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"))
        if not tables:
            with self._transaction():
                for table in _SCHEMA:
                    self._db.execute(table)
                self._db.execute("INSERT INTO run VALUES (?, 0, 0, 0)", (str(uuid.uuid4()),))
        elif tables != _SCHEMA or self._db.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise ValueError("not what this program writes")
        ((run,),) = self._db.execute("SELECT id FROM run")
        self.run = str(uuid.UUID(run))

    def put(self, key: str, alert: Alert) -> bool:
        """Queue an alert, unless its key was seen before; it is in the file when this returns.

        Returns:
            Whether there was room, so that no older one was dropped for it.
        """
        with self._transaction():
            insert = "INSERT OR IGNORE INTO alert (key, content, waits) VALUES (?, ?, 1)"
            is_new = self._db.execute(insert, (key, json.dumps(alert))).rowcount
            has_room = not is_new or self.counts()["waiting"] <= self._capacity
            if not has_room:
                self._settle(self._oldest()[0], "dropped")
            self._changed.notify()
            return has_room

    def flush(self) -> None:
        """What was queued outlives a power cut when this returns."""
        with self._changed, self._told():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def head(self) -> tuple[str, Alert] | None:
        """Key and content of the oldest alert, which stays in the queue; waits for one. None: no more will come."""
        with self._changed, self._told():
            while not self._is_closed:
                if found := self._oldest():
                    return found[0], json.loads(found[1])
                if self._is_over:
                    break
                self._changed.wait()
            return None

    def settle(self, key: str, outcome: Outcome) -> None:
        """An alert is dealt with. Once the outbox is closed this does nothing: the next run sends it again, with the same key."""
        with self._changed:
            if not self._is_closed:
                with self._transaction():
                    self._settle(key, outcome)

    def finish(self) -> None:
        """No more alerts will come."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close the file; what happens from now on leaves no trace. A second call does nothing."""
        self.finish()
        with self._changed, suppress(sqlite3.Error):
            if not self._is_closed:
                self._counts = self.counts()
                self._is_closed = True
                self._db.close()

    def counts(self) -> dict[str, int]:
        """Alerts delivered, refused by the receiver, dropped for want of room, and still waiting, since the run began."""
        with self._changed, self._told():
            if self._is_closed:
                return self._counts
            query = "SELECT delivered, refused, dropped, (SELECT count(*) FROM alert WHERE waits) FROM run"
            return dict(zip(("delivered", "refused", "dropped", "waiting"), self._db.execute(query).fetchone(), strict=True))

    def _oldest(self) -> Any:
        return self._db.execute("SELECT key, content FROM alert WHERE waits ORDER BY place LIMIT 1").fetchone()

    def _settle(self, key: str, outcome: Outcome) -> None:
        if self._db.execute("UPDATE alert SET waits = 0, content = '' WHERE key = ? AND waits", (key,)).rowcount:
            self._db.execute(f"UPDATE run SET {outcome} = {outcome} + 1")
            self._db.execute(_FORGET, (self._capacity,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._changed, self._told(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> RunError:
        reason = error.strerror if isinstance(error, OSError) else error
        return RunError(f"{self.path} cannot be written ({reason}); free space and go on with --resume")


def _require_own_files(path: Path) -> None:
    """Leave sqlite nothing that leads out of the folder: links, or a rollback journal, which may name other files to delete.

    The outbox itself only has a journal while it is made, and then there is nothing in it yet.

    Raises:
        ValueError: something else than an outbox is in its place.
    """
    journal, log = (path.with_name(path.name + suffix) for suffix in ("-journal", "-wal"))
    if any(os.path.lexists(each) and (each.is_symlink() or not each.is_file()) for each in (path, log)):
        raise ValueError("a link, or no file at all")
    if os.path.lexists(journal):
        journal.unlink()
        path.unlink(missing_ok=True)
