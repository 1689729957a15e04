"""Whose turn it is: one thread of a process at its view of the log, one process of all at the log itself.

The lock is a byte of a file of its own beside the log, which is replaced now and then. The kernel frees it
when its holder dies; then the log's end tells whether that one was in the middle of something.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from typing import TypeVar

from ...errors import QueueClosed, StorageError
from ..contention import Wait, stalled, take_turn
from ..lockfile import ATTACH, QUEUE, LockFile, open_lock_file
from .logfile import failed

__all__ = ["Turn"]

T = TypeVar("T")

_PAUSE = 0.001  # seconds


class _Replaced(Exception):
    """Somebody removed the lock file."""


class Turn:
    """Runs sections one at a time."""

    def __init__(self, path: str) -> None:
        """
        Args:
            path: the log's.
        """
        self.path = path
        self._lock = _open(path)

    def __repr__(self) -> str:
        return f"<Turn at {self.path!r} [{'taken' if self._lock.inside else 'free'}]>"

    def run(self, section: Callable[..., T], *args: object) -> T:
        """Call ``section(*args)`` while no other thread of this process is in one.

        Raises:
            QueueClosed: this was closed.
            StorageError: by a signal handler or finalizer in the middle of a section of its own thread.
        """
        while True:
            lock = self._lock
            try:
                return self._hold(lock, section, args)
            except _Replaced:
                self._reopen(lock)

    def _hold(self, lock: LockFile, section: Callable[..., T], args: tuple[object, ...]) -> T:
        with lock.mutex:
            if lock is not self._lock:
                raise _Replaced  # or closed, while this thread waited
            if lock.fd < 0 or lock.inside:
                raise self._unusable(lock.fd)
            lock.inside = True
            try:
                return section(*args)
            finally:
                lock.inside = False

    def alone(self, section: Callable[..., T], *args: object) -> T:
        """Within `run`: call ``section(*args)`` while no other process is in here.

        What `run` was given may be begun anew when this is called.

        Raises:
            QueueStalled: a live process has been in here for a minute.
        """
        lock = self._lock
        try:
            take_turn(self.path, lock, self._stalled)
            if not lock.is_current():
                raise _Replaced
            return section(*args)
        finally:  # whether it was taken or not: this is the first call after whatever interrupted it
            fcntl.lockf(lock.fd, fcntl.LOCK_UN, 1, QUEUE)

    def try_exclusive(self) -> bool:
        """Keep everybody out who is not attached yet, until `unexclusive`; False where others are."""
        return self._lock.try_exclusive()

    def unexclusive(self) -> None:
        """Let others in again."""
        self._lock.unexclusive()

    def close(self, last: Callable[[], None]) -> None:
        """Let go of the lock file, when no thread is in a section any more.

        Args:
            last: what to do before that.
        """
        lock = self._lock
        with lock.mutex:
            last()
            self._lock = LockFile(self.path, -1)
            lock.unshare()
            lock.release()

    def _reopen(self, replaced: LockFile) -> None:
        """Whoever comes now makes another lock file, and so do we, unless the log is gone as well."""
        if not os.path.lexists(self.path):
            raise QueueClosed(f"{self.path} was removed; open it again to make a new queue")
        with replaced.mutex:
            if self._lock is replaced:  # else another thread did it
                self._lock = _open(self.path)
                replaced.unshare()
                replaced.release()

    def _stalled(self, waited: float) -> str:
        return stalled(self.path, waited, self._lock.holder(QUEUE))

    def _unusable(self, fd: int) -> StorageError | QueueClosed:
        if fd < 0:
            return QueueClosed(f"queue {self.path}: this handle was closed")
        return StorageError(
            f"queue {self.path} was used by a signal handler or finalizer in the middle of another call to"
            " it; set a flag or an event there, and use the queue after that call"
        )


def _open(path: str) -> LockFile:
    name = f"{path}.lock"
    try:
        lock = open_lock_file(name)
    except FileNotFoundError as error:
        raise StorageError(f"cannot make {name}: its directory does not exist") from error
    except OSError as error:
        raise failed("open", name, error) from error
    try:
        _share(path, lock)
    except BaseException:
        lock.release()
        raise
    return lock


def _share(path: str, lock: LockFile) -> None:
    wait = Wait(lambda waited: stalled(path, waited, lock.holder(ATTACH)))
    while not lock.share():  # somebody removes the log just now
        time.sleep(_PAUSE)
        wait.check()
