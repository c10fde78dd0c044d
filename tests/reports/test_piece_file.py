"""PieceFile: a checkpoint's pieces are there until the next one is in place, and only new ones are written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from autoencoder.core.errors import ModelFileError
from autoencoder.reports.piece_file import PieceFile


def write(file: PieceFile, **pieces: bytes) -> None:
    with file.writing():
        for digest, content in pieces.items():
            file.put(digest, partial(bytes, content))


def reopened(path: Path, *digests: str) -> list[bytes]:
    """What a program that starts anew finds."""
    with closing(PieceFile(path)) as file:
        return [file.get(digest) for digest in digests]


def test_pieces_stay_until_the_next_checkpoint_is_in_place(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    with closing(PieceFile(path)) as file:
        write(file, a=b"1", b=b"2")
        file.forget_others()
        write(file, b=b"2", c=b"3")
    assert reopened(path, "a", "b", "c") == [b"1", b"2", b"3"]
    with closing(PieceFile(path)) as file:
        write(file, b=b"2", c=b"3")
        file.forget_others()
        with pytest.raises(KeyError):
            file.get("a")
    assert reopened(path, "b", "c") == [b"2", b"3"]


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with closing(PieceFile(tmp_path / "p.sqlite")) as file:
        with pytest.raises(ZeroDivisionError), file.writing():
            file.put("a", lambda: b"1")
            raise ZeroDivisionError
        write(file, a=b"1")
        assert file.get("a") == b"1"


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no database" * 100)
    (tmp_path / "link").symlink_to(tmp_path / "text")
    with closing(sqlite3.connect(tmp_path / "other")) as database:
        database.execute("CREATE TABLE piece (digest TEXT)")
    for name in ("text", "link", "other"):
        with pytest.raises(ModelFileError, match=f"{name} is damaged .*; run anew without --resume"):
            PieceFile(tmp_path / name)
