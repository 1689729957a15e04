"""The one lock of a queue, in the uncompiled mode: a kernel byte lock around each critical section.

The kernel frees it when its holder dies and tells nobody; the op word does: whoever takes the
lock and finds ``op != 0`` rebuilds first. An exception in the middle (Ctrl-C too) leaves op set
in the same way.

Why no interrupt can leave the lock taken: CPython looks for signals after a call returned and at
backward jumps only. ``with mutex`` enters and leaves in one such step, the byte lock is taken
inside the ``try``, giving it back is the first call of ``finally``, one to C, and it does no harm
when it was not taken.

A signal handler or finalizer that uses the queue in the middle of a section of its own thread can
neither wait for it nor run: it gets an error.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable
from typing import Any, NoReturn

from ...errors import CorruptQueue, QueueClosed, StorageError
from ..contention import stalled, take_turn
from ..lockfile import QUEUE, LockFile
from .layout import CLOSED, OP
from .lockword import LockWord
from .words import Words

__all__ = ["Guard"]

log = logging.getLogger("ipcq.memory")

_UNLOCK = fcntl.LOCK_UN

# What indices and values that no sound queue holds lead to.
_DAMAGE = (IndexError, ValueError, ArithmeticError)


def _refuse() -> NoReturn:
    raise QueueClosed("this handle was closed")


class Guard:
    """Runs critical sections one at a time, across threads and processes.

    Attributes:
        word: the lock word, where that is the lock.
        tries: how often to look at it before letting others run.
    """

    word: LockWord | None = None
    tries = 0

    def __init__(self, name: str, lock: LockFile, words: Words, rebuild: Callable[[], None]) -> None:
        """
        Args:
            name: the queue's, for messages.
            rebuild: called under the lock when the holder before died in the middle.
        """
        self.name = name
        self._lock = lock
        self._words = words
        self._rebuild = rebuild

    def run(self, section: Callable[..., Any], *args: Any) -> Any:
        """Call ``section(*args)`` with the lock held and the queue whole.

        Raises:
            QueueClosed: the queue was destroyed.
            QueueStalled: a live process has held the lock for a minute.
            CorruptQueue: damage that a rebuild does not repair.
        """
        lockf = fcntl.lockf
        lock = self._lock
        with lock.mutex:
            fd = lock.fd
            if fd < 0 or lock.inside:
                raise self._unusable(fd)
            lock.inside = True
            try:
                take_turn(self.name, lock, self.stalled)
                return self._hold(section, args)
            finally:
                lock.inside = False
                lockf(fd, _UNLOCK, 1, QUEUE)

    def close(self) -> None:
        """Refuse from now on, though other handles of this process go on using the lock file."""
        self._lock = LockFile(self._lock.path, -1)
        self._rebuild = _refuse  # what it belonged to has us: what is mapped goes without a collection

    def ensure_outside(self) -> None:
        """Raise StorageError in a signal handler or finalizer that came in the middle of a section."""
        with self._lock.mutex:
            if self._lock.inside:
                raise self._unusable(self._lock.fd)

    def _hold(self, section: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        words = self._words
        if words[CLOSED]:
            raise QueueClosed(f"queue {self.name!r} was destroyed; open it again to make a new one")
        try:
            if words[OP]:
                self._rebuild()
            return section(*args)
        except _DAMAGE:
            return self._again(section, args)

    def _again(self, section: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Rebuilding quarantines what is damaged; so try once more."""
        log.error("queue %r holds damaged words; rebuilding it", self.name)
        try:
            self._rebuild()
            return section(*args)
        except _DAMAGE as error:
            raise CorruptQueue(
                f"queue {self.name!r} is damaged beyond repair ({error}); remove it with: ipcq gc --force"
            ) from error

    def _unusable(self, fd: int) -> Exception:
        if fd < 0:
            return QueueClosed(f"queue {self.name!r}: this handle was closed")
        return StorageError(
            f"queue {self.name!r} was used by a signal handler or finalizer in the middle of another call"
            " to it; set a flag or an event there, and use the queue after that call"
        )

    def stalled(self, waited: float) -> str:
        """What to tell after a long wait."""
        return stalled(self.name, waited, self._holder())

    def _holder(self) -> int:
        return self._lock.holder(QUEUE)
