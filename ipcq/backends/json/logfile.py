"""The file of a log: opened, read, appended to, cut. What the operating system says is translated here."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator

from ...errors import CorruptQueue, QueueClosed, QueueFull, QueueNotFound, StorageError, UnsafeDirectory

__all__ = ["LogFile", "append_all", "failed", "sync_directory", "sync_file"]

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | getattr(os, "O_NONBLOCK", 0)  # a FIFO, too
_NO_ROOM = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
_BLOCK = 1 << 20  # bytes read at once


class LogFile:
    """An open log. The lock is the caller's business."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd

    def __repr__(self) -> str:
        return f"<LogFile {self.path!r} [{f'descriptor {self.fd}' if self.fd >= 0 else 'closed'}]>"

    @classmethod
    def open(cls, path: str) -> LogFile:
        """Open an existing file.

        Raises:
            QueueNotFound: there is none.
            UnsafeDirectory: it is another user's, or others may write to it.
            StorageError: it is no regular file, or cannot be opened.
        """
        return cls(path, _checked(path, _open(path, 0)))

    @classmethod
    def create(cls, path: str) -> LogFile:
        """Make a new and empty file; what is left of an older one by this name is removed."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise failed("replace", path, error) from error
        return cls(path, _open(path, os.O_CREAT | os.O_EXCL))

    def close(self) -> None:
        """Close it; twice is once."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    # --- which file it is -----------------------------------------------------------------------

    def size_if_current(self) -> int | None:
        """Its size in bytes; None where the path names another file by now.

        Raises:
            QueueClosed: the path names none.
        """
        try:
            there, here = os.stat(self.path, follow_symlinks=False), os.fstat(self.fd)
        except FileNotFoundError as error:
            raise QueueClosed(f"{self.path} was removed; open it again to make a new queue") from error
        except OSError as error:
            raise failed("look at", self.path, error) from error
        return here.st_size if os.path.samestat(there, here) else None

    def size(self) -> int:
        """Its size in bytes."""
        return os.fstat(self.fd).st_size

    # --- bytes ----------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, or as many of them as there are."""
        try:
            return os.pread(self.fd, length, offset)
        except OSError as error:
            raise failed("read", self.path, error) from error

    def lines(self, offset: int, end: int) -> Iterator[bytes]:
        """Each whole line between two offsets, with its end; what follows the last one is left out."""
        rest, block = b"", _BLOCK
        while offset < end and (data := self.read(offset, min(block, end - offset))):
            offset += len(data)
            *whole, rest = (rest + data).split(b"\n")
            block = _BLOCK if whole else 2 * block  # a line of many MiB is not put together from small pieces
            for line in whole:
                yield line + b"\n"

    def append(self, data: bytes, end: int) -> None:
        """Write at the end, which is at ``end``: all of it or nothing.

        Raises:
            QueueFull: there is no room on the file system.
        """
        try:
            append_all(self.fd, self.path, data)
        except BaseException:  # Ctrl-C, too; what is whole may have been read by somebody
            if self.size() < end + len(data):
                self.cut(end)
            raise

    def cut(self, end: int) -> None:
        """Remove what is behind ``end``."""
        try:
            os.ftruncate(self.fd, end)
        except OSError as error:
            raise failed("cut", self.path, error) from error


def append_all(fd: int, path: str, data: bytes) -> None:
    """Write all of it; a file system that takes only a part is asked again, and so tells why."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except OSError as error:
            raise failed("write to", path, error) from error


def sync_file(fd: int, path: str) -> None:
    """Have the file's bytes on the disk."""
    try:
        _sync(fd)
    except OSError as error:
        raise failed("sync", path, error) from error


def sync_directory(path: str) -> None:
    """Have the name of a file on the disk."""
    try:
        fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise failed("sync the directory of", path, error) from error


def failed(what: str, path: str, error: OSError) -> QueueFull | StorageError:
    """The error to raise where the operating system refused to do something."""
    if error.errno in _NO_ROOM:
        return QueueFull(
            f"cannot {what} {path}: {error.strerror}; what was accepted is safe; make room on its file system"
        )
    return StorageError(f"cannot {what} {path}: {error.strerror}")


def _sync(fd: int) -> None:
    if sys.platform == "darwin":  # where fsync leaves it in the disk's own memory
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def _open(path: str, more: int) -> int:
    try:
        return os.open(path, _FLAGS | more, 0o600)
    except FileNotFoundError as error:
        raise QueueNotFound(f"there is no file {path}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafeDirectory(f"{path} is a symbolic link; name the file that it leads to") from error
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise CorruptQueue(f"{path} is not a regular file") from error
        raise failed("open", path, error) from error


def _checked(path: str, fd: int) -> int:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise CorruptQueue(f"{path} is not a regular file")
    problem = _problem(status)
    if problem:
        os.close(fd)
        raise UnsafeDirectory(f"{path} {problem}")
    return fd


def _problem(status: os.stat_result) -> str:
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to user {os.geteuid()}"
    if status.st_mode & 0o022:
        return f"can be written to by other users (mode {stat.S_IMODE(status.st_mode):o}); chmod 600 it"
    return ""
