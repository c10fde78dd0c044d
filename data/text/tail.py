"""Tail: the bytes of a file that something else goes on writing, through rotation, cutting and absence."""

from __future__ import annotations

import os
import stat
from enum import Enum
from io import FileIO
from pathlib import Path

from data.files import unreadable
from data.series import DataError, InputError
from data.text.rows import Warn

_BLOCK = 1 << 16  # bytes


class News(Enum):
    """What a look at the file found."""

    NOTHING = "nothing new"
    BYTES = "more bytes"
    NEW_FILE = "the file before has been read to its end, and another one goes on in its place"
    CUT = "the file is shorter than what was read of it, and is read from its start again"


class Tail:
    """Reads a growing file like ``tail -F``."""

    def __init__(self, path: Path, warn: Warn) -> None:
        """Open the file.

        Args:
            path: a regular file; it may be empty.
            warn: told when the file is cut or away.

        Raises:
            InputError: the file cannot be opened, or is a folder or a pipe.
        """
        self._path = path
        self._warn = warn
        self._file = _open_regular(path)
        self._is_replaced = False
        self._is_away = False

    def look(self) -> tuple[News, bytes]:
        """What is new, without waiting; the bytes are empty unless the news is ``BYTES``.

        Raises:
            DataError: the file cannot be read any more.
        """
        if data := self._read():
            return News.BYTES, data
        if self._is_replaced:
            return self._turn_to_new_file()
        try:
            named, opened = self._path.stat(), os.fstat(self._file.fileno())
        except OSError:
            return self._wait_for_return()
        self._is_away = False
        if not os.path.samestat(named, opened):
            self._is_replaced = True
            return self.look()  # once more: lines may have come between the last read and the replacement
        if opened.st_size < (position := self._file.tell()):
            self._warn(
                f"{self._path.name} was cut from {position:,} to {opened.st_size:,} bytes; it is read from its start again"
            )
            self._file.seek(0)
            return News.CUT, b""
        return News.NOTHING, b""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _read(self) -> bytes:
        try:
            return self._file.read(_BLOCK) or b""
        except OSError as error:
            raise DataError(f"{self._path} cannot be read any more ({error.strerror or error})") from error

    def _turn_to_new_file(self) -> tuple[News, bytes]:
        self._is_replaced = False
        try:
            new_file = _open_regular(self._path)
        except InputError:
            return self._wait_for_return()
        self._file.close()
        self._file = new_file
        return News.NEW_FILE, b""

    def _wait_for_return(self) -> tuple[News, bytes]:
        if not self._is_away:
            self._warn(f"{self._path} is gone or may not be read; waiting for it to come back")
        self._is_away = True
        return News.NOTHING, b""


def _open_regular(path: Path) -> FileIO:
    try:
        mode = path.stat().st_mode  # asked first: opening a pipe would wait for its writer
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # a folder is told apart by the attempt to open it
            return FileIO(path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise unreadable(path, error) from error
    raise InputError(f"{path} is no regular file and cannot be followed; pipe it into --source stdin instead")
