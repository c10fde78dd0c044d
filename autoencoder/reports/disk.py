"""Disk: files that are put in place whole, rows that are written whole, and nothing read or written outside the folder it should be in."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

NO_PLAIN_FILE = (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENXIO)  # what opening something else fails with

_NO_LINKS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # the last: to open a pipe must not wait for its other end


def draft_of(path: Path) -> Path:
    """Where a file is written before it is put in place."""
    return path.with_name(f".{path.name}.part")


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place at once, or not at all; it is on the disk when this returns.

    A link in its place is replaced, and never followed.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    draft = draft_of(path)
    draft.unlink(missing_ok=True)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # on a full disk every byte counts
            draft.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlive a power cut: a file that was renamed is on the disk only with its folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # file systems that know no such thing
            raise
    finally:
        os.close(descriptor)


def require_writable(folder: Path) -> None:
    """Write a file without a name.

    Raises:
        OSError: none can be written.
    """
    with tempfile.TemporaryFile(dir=folder):
        pass


def lock(owner: object, folder: Path) -> Callable[[], object] | None:
    """Keep other processes from writing into a folder until the function that is given back is called, or ``owner`` is no more.

    None where another one holds it. The lock goes with the process, however it ends. File systems that know no locks give it to all.
    """
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    release = weakref.finalize(owner, os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        release()
        return None
    except OSError:
        pass
    return release


def open_inside(path: Path) -> BufferedReader:
    """Open a regular file for reading that lies where its name says.

    Raises:
        OSError: it cannot be read, is no regular file, or is a link to another folder.
    """
    real = os.path.realpath(path)
    if os.path.dirname(real) != os.path.realpath(path.parent):  # noqa: PTH120 - realpath takes what Path.resolve raises at
        raise OSError(errno.EXDEV, "it is a link to another folder")
    file = os.fdopen(os.open(real, os.O_RDONLY | _NO_LINKS), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file")
    return file


def read_whole(path: Path, most: int) -> bytes | None:
    """The content of a file, None where that is more than ``most`` bytes; see ``open_inside``."""
    with open_inside(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            return None
        data = file.read(most + 1)
    return data if len(data) <= most else None


class GrowingFile:
    """A file that text is put behind; what cannot be written whole is cut off again.

    Args:
        path: it is made where it is not there; a link is refused.
        keep: bytes from its start that stay.

    Raises:
        OSError: it cannot be opened.
        EOFError: it is shorter than that.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o666)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        information = os.fstat(descriptor)
        if not stat.S_ISREG(information.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if information.st_size < keep:
            raise EOFError(f"{path} has {information.st_size:,} bytes")
        self._path = path
        self.size = keep
        os.ftruncate(descriptor, keep)

    def write(self, data: bytes, start: int | None = None) -> None:
        """Put data behind the first ``start`` bytes (None: behind all); whatever was there goes.

        Raises:
            OSError: the file ends at ``start`` now.
        """
        start = self.size if start is None else start
        descriptor, written = self._file.fileno(), 0
        try:
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], start + written)
        except OSError:
            self._cut(start)
            raise
        if start + written < self.size:
            os.ftruncate(descriptor, start + written)
        self.size = start + written

    def _cut(self, size: int) -> None:
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), size)
        self.size = size

    def sync(self) -> None:
        """Have all of it on the disk."""
        os.fsync(self._file.fileno())

    def is_in_place(self) -> bool:
        """Whether it is still what its name stands for."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
