"""Where a receiver is reached: a socket with a name that nobody guesses, in the user's private directory.

A socket of type SEQPACKET: a message arrives whole or not at all, those of one worker in their order; what
a killed worker sent stays there to be read, and a receiver that is gone is noticed by the next message.
Datagrams would have the order, too, but one short queue for all: 10 messages on most systems (unix(7)).
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..directory import base_directory, check_private, private_directory
from ..errors import StorageError, UnsafeDirectory, UnsupportedPlatform

__all__ = ["connect", "is_name", "is_own", "listen", "remove", "sweep"]

_DIRECTORY = ".logs"  # no queue has such a name
_NAME = re.compile(r"[0-9a-f]{32}")
_UNFINISHED = ".new"
_OLD = 60.0  # seconds after which one that was never finished has nobody
_ROOM = 1 << 20  # bytes that a worker may be ahead of its receiver; the system may grant less
_BACKLOG = 1024  # workers that connect at once
_LONGEST_PATH = 100  # of the 108 bytes that an address has


def listen() -> tuple[str, socket.socket]:
    """The path of a new socket, and the socket; what killed receivers left is removed first.

    Raises:
        UnsafeDirectory, StorageError: there is no place for it.
        UnsupportedPlatform: sockets have no messages here.
    """
    if sys.platform != "linux":
        raise UnsupportedPlatform("logs of tasks are received on Linux only; elsewhere workers keep theirs")
    directory = _made()
    sweep()
    name = secrets.token_hex(16)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        with _reaching(directory, name + _UNFINISHED) as path:
            listener.bind(path)
        os.chmod(os.path.join(directory, name + _UNFINISHED), 0o600)
        listener.listen(_BACKLOG)
        # Only now does it have a name that a sweep tries: whoever is found there listens, or is dead.
        os.rename(os.path.join(directory, name + _UNFINISHED), os.path.join(directory, name))
    except OSError as error:
        listener.close()
        raise StorageError(f"cannot make a socket in {directory}: {error}; set IPCQ_DIR") from error
    return os.path.join(directory, name), listener


def connect(name: str) -> socket.socket | None:
    """A socket to that receiver, which never waits; None where there is none.

    Args:
        name: `is_name` says that it is one: so it leads nowhere but into the directory.
    """
    directory = _directory()
    try:
        check_private(directory)
        with _reaching(directory, name) as path:
            return _connected(path)
    except (OSError, UnsafeDirectory):
        return None


def _connected(path: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        channel.connect(path)
    except BaseException:
        channel.close()
        raise
    return channel


def is_name(value: object) -> bool:
    """Whether a task's metadata may name a receiver so."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_own(channel: socket.socket) -> bool:
    """Whether the receiver is in this very process."""
    pid, _, _ = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(pid == os.getpid())


def remove(path: str) -> None:
    """Take the name away, so that nobody comes any more."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def sweep() -> int:
    """Remove what killed receivers left; how many they were."""
    directory = _directory()
    try:
        check_private(directory)
        names = os.listdir(directory)
    except (FileNotFoundError, UnsafeDirectory):
        return 0
    return sum(_sweep(directory, name) for name in names)


def _sweep(directory: str, name: str) -> bool:
    path = os.path.join(directory, name)
    try:
        if name.endswith(_UNFINISHED):
            dead = time.time() - os.lstat(path).st_mtime > _OLD
        else:
            dead = is_name(name) and _is_dead(directory, name)
        if dead:
            os.unlink(path)
    except OSError:  # another one did it, or it is none of ours
        return False
    return dead


def _is_dead(directory: str, name: str) -> bool:
    try:
        with _reaching(directory, name) as path:
            _connected(path).close()
    except ConnectionRefusedError:
        return True
    except OSError:  # many connect at once
        pass
    return False


def _directory() -> str:
    return os.path.join(base_directory(), _DIRECTORY)


def _made() -> str:
    return private_directory(base_directory(), _DIRECTORY)


@contextmanager
def _reaching(directory: str, name: str) -> Iterator[str]:
    """A path to a name there that fits into an address, however long the directory's own is."""
    path = os.path.join(directory, name)
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield path
        return
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
