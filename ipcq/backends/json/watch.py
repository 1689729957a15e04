"""Being told when a log changes: by the kernel (inotify) where it can, else by looking at short intervals."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Protocol

from ..bells import Bell
from .logfile import LogFile

__all__ = ["Glances", "Inotify", "Watch", "open_watch"]

_MODIFY, _ATTRIB, _MOVE_SELF, _DELETE_SELF = 0x002, 0x004, 0x800, 0x400  # written, replaced, moved, removed
_CHANGES = _MODIFY | _ATTRIB | _MOVE_SELF | _DELETE_SELF
_EVENTS = 4096  # bytes read at once
_SHORTEST, _LONGEST = 0.001, 0.05  # seconds between two looks


class Watch(Protocol):
    """For one waiting thread at a time."""

    def arm(self, log: LogFile) -> None:
        """From here on, changes of this file count."""
        ...

    def wait(self, timeout: float, changed: Callable[[], bool], bell: Bell) -> None:
        """Return when there was a change (``changed`` looks for one), at the bell, or after so long."""
        ...

    def close(self) -> None:
        """Let go of what the kernel keeps for it."""
        ...


def open_watch() -> Watch:
    """The best that there is: the kernel has a limit of 128 of its kind for each user."""
    if sys.platform == "linux":
        try:
            return Inotify()
        except OSError:
            pass
    return Glances()


class Inotify:
    """The kernel tells."""

    def __init__(self) -> None:
        """OSError where the kernel has no more of them."""
        self._fd = _call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)

    def __repr__(self) -> str:
        return f"<Inotify [{'closed' if self._fd < 0 else f'descriptor {self._fd}'}]>"

    def arm(self, log: LogFile) -> None:
        """From here on, changes of this file count; what was told of it before is forgotten."""
        # By its descriptor, not by its path: that may name a newer file by now. Each time, because it costs
        # little, and a new file may have an old one's number. The kernel forgets a watch with its file.
        _call("inotify_add_watch", self._fd, f"/proc/self/fd/{log.fd}".encode(), _CHANGES)
        self._drain()

    def wait(self, timeout: float, changed: Callable[[], bool], bell: Bell) -> None:
        """Return when the kernel told, at the bell, or after ``timeout`` seconds."""
        bell.wait(timeout, self._fd)

    def close(self) -> None:
        """Let go of it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _drain(self) -> None:
        try:
            while os.read(self._fd, _EVENTS):
                pass
        except BlockingIOError:
            pass


class Glances:
    """We look: often at first, then 20 times a second."""

    def arm(self, log: LogFile) -> None:
        """Nothing to prepare."""

    def wait(self, timeout: float, changed: Callable[[], bool], bell: Bell) -> None:
        """Look until there was a change, or the bell is rung, or for ``timeout`` seconds."""
        until, pause = time.monotonic() + timeout, _SHORTEST
        while not (changed() or bell.rung) and (left := until - time.monotonic()) > 0:
            bell.wait(min(pause, left))
            pause = min(2 * pause, _LONGEST)

    def close(self) -> None:
        """Nothing to let go of."""


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: int | bytes) -> int:
    result = getattr(_library(), name)(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return int(result)
