"""PieceFile: the larger arrays of a checkpoint of many series, in an sqlite file that only what has changed is written to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autoencoder.core.errors import ModelFileError
from autoencoder.reports.database import open_database, unwritable

_SCHEMA = "CREATE TABLE piece (digest TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID"


class PieceFile:
    """Keeps pieces by their digest.

    A checkpoint that uses them is whole at any moment: its pieces are on the disk before it is put in place, and those that only the one
    before it used go afterwards.

    Args:
        path: the file; made, or gone on with where there is one.

    Raises:
        ModelFileError: the file was not written by this program; so does ``get``.
        RunError: it cannot be written; so do the other methods.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._used: set[str] = set()  # by the newest checkpoint
        try:
            self._db = open_database(path, (_SCHEMA,))
            self._known = self._digests()  # that are in the file
        except (OSError, sqlite3.OperationalError) as error:
            raise unwritable(path, error) from None
        except (sqlite3.DatabaseError, ValueError) as error:
            raise self._damaged(error) from None

    def _digests(self) -> set[str]:
        return {digest for (digest,) in self._db.execute("SELECT digest FROM piece")}

    @contextmanager
    def writing(self) -> Iterator[PieceFile]:
        """Inside, ``put`` takes the pieces of a checkpoint; they are on the disk behind it."""
        self._used = set()
        try:
            self._db.execute("BEGIN")
            yield self
            self._db.execute("COMMIT")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._known = self._digests()
            raise unwritable(self._path, error) if isinstance(error, sqlite3.Error) else error from None

    def put(self, digest: str, content: Callable[[], bytes]) -> None:
        """Keep a piece, unless it is there; see ``Put``."""
        self._used.add(digest)
        if digest not in self._known:
            self._db.execute("INSERT INTO piece VALUES (?, ?)", (digest, content()))
            self._known.add(digest)

    def forget_others(self) -> None:
        """The checkpoint is in place: what it does not use goes."""
        try:
            self._db.execute("BEGIN")
            self._db.executemany("DELETE FROM piece WHERE digest = ?", [(digest,) for digest in self._known - self._used])
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise unwritable(self._path, error) from None
        self._known = set(self._used)

    def get(self, digest: str) -> bytes:
        """The content of a piece. KeyError: there is none."""
        try:
            row = self._db.execute("SELECT content FROM piece WHERE digest = ?", (digest,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from None
        if row is None or not isinstance(row[0], bytes):
            raise KeyError(digest)
        return row[0]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _damaged(self, error: Exception) -> ModelFileError:
        return ModelFileError(f"{self._path} is damaged ({error}); run anew without --resume")
