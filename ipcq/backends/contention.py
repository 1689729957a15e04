"""Waiting for a lock that a live process has: a warning first, an error in the end, never a theft."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable

from ..errors import QueueStalled, StorageError
from .lockfile import QUEUE, LockFile

__all__ = ["Wait", "stalled", "take_turn"]

log = logging.getLogger("ipcq.lock")

_YIELDS = 40  # tries that only let others run; a critical section takes some 10 us
_SHORTEST_SLEEP = 20e-6  # seconds
_LONGEST_SLEEP = 1e-3
_WARN_AFTER = 5.0
_GIVE_UP_AFTER = 60.0

_EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB


class Wait:
    """One long wait for a lock."""

    def __init__(self, stalled: Callable[[float], str]) -> None:
        """
        Args:
            stalled: what to tell after so many seconds.
        """
        self._stalled = stalled
        self._started = time.monotonic()
        self._warned = False

    def check(self) -> None:
        """Say so when it takes too long: a warning after 5 s, `QueueStalled` after 60."""
        waited = time.monotonic() - self._started
        if waited > _GIVE_UP_AFTER:
            raise QueueStalled(self._stalled(waited))
        if waited > _WARN_AFTER and not self._warned:
            self._warned = True
            log.warning("%s", self._stalled(waited))


def stalled(queue: str, waited: float, pid: int) -> str:
    """What to tell after a wait of so many seconds for a lock that ``pid`` has; 0 for unknown."""
    return (
        f"queue {queue!r}: its lock has been held for {waited:.0f} s by live process {pid or '?'};"
        " if that process is stopped, continue or kill it"
    )


def take_turn(queue: str, lock: LockFile, told: Callable[[float], str]) -> None:
    """Take the byte `QUEUE`, waiting for whoever has it; the caller has the lock file's mutex.

    Args:
        queue: its name, for messages.
        told: as for `Wait`.
    """
    fd = lock.fd
    try:
        fcntl.lockf(fd, _EXCLUSIVE, 1, QUEUE)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise StorageError(f"queue {queue!r}: cannot lock it: {error.strerror}") from error
        _contend(fd, told)


def _contend(fd: int, told: Callable[[float], str]) -> None:
    for _ in range(_YIELDS):
        os.sched_yield()
        if _try(fd):
            return
    wait = Wait(told)
    pause = _SHORTEST_SLEEP
    while not _try(fd):
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_SLEEP)
        wait.check()


def _try(fd: int) -> bool:
    try:
        fcntl.lockf(fd, _EXCLUSIVE, 1, QUEUE)
    except OSError:
        return False
    return True
