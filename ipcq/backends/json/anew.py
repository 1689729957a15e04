"""Writing a log anew beside the old one, in steps of which each may be the last; and what is set aside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from .journal import Entry, Head
from .logfile import LogFile, append_all, failed, sync_directory, sync_file

__all__ = ["copies", "set_aside", "write_anew"]

_BLOCK = 1 << 20  # bytes copied at once


def write_anew(path: str, head: Head, blocks: Iterable[bytes]) -> LogFile:
    """Make a log at ``path``, or replace the one that is there; whoever calls has the lock.

    The old log stays as it is until the new one is on the disk: then one rename puts it in its place. Killed
    before that, the old log counts, and the rest under the other name goes with the next attempt.

    Returns:
        The new log, open.
    """
    new = LogFile.create(f"{path}.new")
    try:
        append_all(new.fd, new.path, head.encode())
        for block in blocks:
            append_all(new.fd, new.path, block)
        sync_file(new.fd, new.path)
        _rename(new.path, path)
    except BaseException:
        _discard(new)
        raise
    new.path = path
    sync_directory(path)
    return new


def copies(log: LogFile, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The lines of these records, in large pieces."""
    for offset, length in _runs(entries):
        end = offset + length
        while offset < end:
            data = log.read(offset, min(_BLOCK, end - offset))
            offset += len(data)
            yield data


def _runs(entries: Iterable[Entry]) -> Iterator[tuple[int, int]]:
    """Offset and length of what lies side by side."""
    start = end = 0
    for entry in entries:
        if entry.offset != end:
            if end > start:
                yield start, end - start
            start = entry.offset
        end = entry.offset + entry.length
    if end > start:
        yield start, end - start


def set_aside(path: str, pieces: Iterable[bytes]) -> str:
    """Append what is damaged to the file ``<path>.corrupt``, and bring it to the disk; that file's name."""
    name = f"{path}.corrupt"
    # Not to wait for a reader, should it be a FIFO.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(name, flags, 0o600)
    except OSError as error:
        raise failed("open", name, error) from error
    try:
        for piece in pieces:
            append_all(fd, name, piece if piece.endswith(b"\n") else piece + b"\n")
        sync_file(fd, name)
    finally:
        os.close(fd)
    sync_directory(name)
    return name


def _rename(name: str, path: str) -> None:
    try:
        os.rename(name, path)
    except OSError as error:
        raise failed("replace", path, error) from error


def _discard(new: LogFile) -> None:
    try:
        os.unlink(new.path)
    except OSError:
        pass  # it goes with the next attempt
    new.close()
