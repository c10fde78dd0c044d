"""Files that are put in place whole, files that are appended to, and nothing read or written outside the folder it belongs in."""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from autoencoder.core.errors import RunError

NOT_A_PLAIN_FILE = (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENXIO)  # what opening anything else fails with

_NO_LINKS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # the last: opening a pipe does not wait for its other end


@contextmanager
def reporting(path: Path, remedy: str = "free space and go on with --resume") -> Iterator[None]:
    """Turn an OSError inside into a RunError that says what cannot be written and what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}); {remedy}") from None


def draft_of(path: Path) -> Path:
    """Where a file is written before it is put in place."""
    return path.with_name(f".{path.name}.part")


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place at once, in place of a link, too; it is on the disk when this returns.

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
        _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # on a full disk every byte counts
            draft.unlink(missing_ok=True)
        raise


def require_writable(path: Path) -> None:
    """See that the draft of a file, which must not be there, can be written beside it. OSError: it cannot."""
    draft = draft_of(path)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666))
    draft.unlink()


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder outlive a power cut: a renamed file is on the disk only with its folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # file systems without it
            raise
    finally:
        os.close(descriptor)


def lock(owner: object, folder: Path) -> Callable[[], object] | None:
    """Keep other processes from writing into a folder until the returned function is called or ``owner`` is collected.

    None where another process holds the lock. It goes with the process, however that ends. File systems without locks give it to all.
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
    """Open a file for reading; OSError where it cannot be read, is no regular file, or is a link to another folder."""
    real = os.path.realpath(path)
    if os.path.dirname(real) != os.path.realpath(path.parent):  # noqa: PTH120 - realpath takes what Path.resolve raises at
        raise OSError(errno.EXDEV, "it is a link to another folder")
    file = os.fdopen(os.open(real, os.O_RDONLY | _NO_LINKS), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file")
    return file


def read_whole(path: Path, max_bytes: int) -> bytes:
    """The content of a file; OSError where that is more than ``max_bytes``, and as from ``open_inside``."""
    with open_inside(path) as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it is too large: at most {max_bytes:,} bytes are read")
        return file.read(max_bytes)


class AppendFile:
    """A file that data is appended to; what cannot be written whole is cut off again.

    Raises:
        OSError: it cannot be opened, or is a link.
        EOFError: it is shorter than ``keep``, the bytes from its start that stay.
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
        """Put data behind the first ``start`` bytes (None: behind all) in place of what was there. OSError: it ends at ``start`` now."""
        start = self.size if start is None else start
        descriptor, written = self._file.fileno(), 0
        try:
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], start + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, start)
            self.size = start
            raise
        if start + written < self.size:
            os.ftruncate(descriptor, start + written)
        self.size = start + written

    def sync(self) -> None:
        """Have all of it on the disk. OSError: it is not, or its name stands for another file now, so that it will not be found."""
        os.fsync(self._file.fileno())
        if not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
            raise FileNotFoundError(errno.ENOENT, "it was moved or replaced")

    def close(self) -> None:
        """Close it."""
        self._file.close()
