"""Database: small sqlite files in a run folder, which outlive the process that writes them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from autoencoder.core.errors import RunError


def open_database(path: Path, schema: Sequence[str]) -> sqlite3.Connection:
    """A file with these tables, from any thread; made where there is none.

    Raises:
        ValueError, sqlite3.DatabaseError: it was not written by this program.
        OSError, sqlite3.OperationalError: it cannot be written.
    """
    _require_own_files(path)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")  # the run folder is locked anyway; saves sqlite its shared memory
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # the disk is waited for at a WAL checkpoint only
    tables = [sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")]
    if not tables:
        db.executescript(";".join(("BEGIN", *schema, "COMMIT")))
    elif tables != [*schema]:
        raise ValueError("not what this program writes")
    return db


def unwritable(path: Path, error: BaseException) -> RunError:
    """The error of a file that cannot be written."""
    reason = error.strerror if isinstance(error, OSError) else error
    return RunError(f"{path} cannot be written ({reason}); free space and go on with --resume")


def _require_own_files(path: Path) -> None:
    """Leave sqlite nothing that leads out of the folder: links, or a rollback journal, which may name other files to delete.

    A file of this program only has a journal while it is made, and then there is nothing in it yet.
    """
    journal, log = (path.with_name(path.name + suffix) for suffix in ("-journal", "-wal"))
    if any(os.path.lexists(each) and (each.is_symlink() or not each.is_file()) for each in (path, log)):
        raise ValueError("a link, or no file at all")
    if os.path.lexists(journal):
        journal.unlink()
        path.unlink(missing_ok=True)
