"""The one lock of a queue, in the compiled mode: a word of shared memory around each critical section.

Nothing frees the word when its owner dies, so whoever wakes, after 20 ms at the latest, and does not get
it looks whether the owner lives, and takes the word from a dead one by a compare-and-swap with the very
value that was seen.

The owner is a seat, not a participant: handles that have no row use the lock too, to enter one for
instance. A process takes a seat with its byte in the lock file and writes its identity beside it; all
its handles and threads share it, one at a time by the lock file's mutex.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ...errors import StorageError
from ..contention import Wait
from ..liveness import own_identity
from ..lockfile import SEAT, LockFile
from .futex import can_spin
from .layout import LOCK_AWAITED, LOCK_OWNER, P_BOOT, P_PID, P_PIDNS, P_START, SEAT_WORDS, SEATS
from .liveness import identity_of, names_gone
from .lock import Guard
from .lockword import LockWord
from .words import Words

__all__ = ["WordGuard"]

_TRIES = 100  # a critical section takes about a microsecond
_YIELDS = 20  # tries that let others run: the owner may wait for our CPU, and a sleep costs both of us more
_PATIENCE = 20_000  # microseconds asleep before the owner's life is looked at


class WordGuard(Guard):
    """Runs critical sections one at a time, across threads and processes."""

    def __init__(
        self, name: str, lock: LockFile, words: Words, rebuild: Callable[[], None], seats_at: int
    ) -> None:
        """
        Args:
            seats_at: the word where the seats start.
        """
        super().__init__(name, lock, words, rebuild)
        self.word: LockWord = LockWord(words)
        self._seats_at = seats_at
        self.tries = _TRIES if can_spin() else 0

    def run(self, section: Callable[..., Any], *args: Any) -> Any:
        """As `Guard.run`."""
        lock = self._lock
        word = self.word
        with lock.mutex:
            if lock.fd < 0 or lock.inside:
                raise self._unusable(lock.fd)
            me = lock.seat or self._sit_down()
            lock.inside = True
            try:
                if not word.take(me, 0):
                    self._wait(me)
                return self._hold(section, args)
            finally:
                lock.inside = False
                word.release(me if lock.fd >= 0 else 0)  # not in a child that was forked in the middle

    # --- seats ----------------------------------------------------------------------------------

    def _sit_down(self) -> int:
        """Take a seat for this process; its number + 1."""
        lock, words = self._lock, self._words
        own = own_identity()
        # First a seat that names us or whose byte we have: we had the lock there and called exec in another
        # thread, or a Ctrl-C came between here and the end. A lock left there would be nobody else's to take.
        ours = {n for n in range(SEATS) if self._pid(n) == own.pid or SEAT + n in lock.held}
        for number in sorted(range(SEATS), key=lambda n: n not in ours):
            if SEAT + number not in lock.held and not lock.take(SEAT + number):
                continue
            at = self._seats_at + number * SEAT_WORDS
            if identity_of(words, at) == own or names_gone(words, at):
                words[at + P_PID], words[at + P_PIDNS] = own.pid, own.pidns
                words[at + P_START], words[at + P_BOOT] = own.start, own.boot
                lock.seat = number + 1
                return number + 1
            lock.drop(SEAT + number)  # alive: foreign code closed the lock file there
        raise StorageError(f"queue {self.name!r} has {SEATS} processes attached, the most it can have")

    def _pid(self, number: int) -> int:
        return self._words[self._seats_at + number * SEAT_WORDS + P_PID]

    # --- waiting --------------------------------------------------------------------------------

    def _wait(self, me: int) -> None:
        """Take the word that somebody else has, or had."""
        word = self.word
        if self._seize(me, doubted=False) or word.spin(me, self.tries):
            return
        for _ in range(_YIELDS):
            os.sched_yield()
            if word.take(me, 0):
                return
        wait = Wait(self.stalled)
        while True:
            seen = word.announce()
            if seen & LOCK_OWNER:
                word.sleep(seen, _PATIENCE)  # cut short by signals, which may come more often than that
            if word.take(me, LOCK_AWAITED) or self._seize(me, doubted=True):
                return
            wait.check()

    def _seize(self, me: int, *, doubted: bool) -> bool:
        """Take the word over from who sat on our seat before, or from a dead owner."""
        seen = self.word.look()
        owner = seen & LOCK_OWNER
        if owner and (owner == me or (doubted and self._is_dead(owner))):
            return bool(self.word.swap(seen, me, LOCK_AWAITED))
        return False

    def _is_dead(self, owner: int) -> bool:
        if owner > SEATS:
            return True  # damage: nobody sits there
        at = self._seats_at + (owner - 1) * SEAT_WORDS
        return not self._lock.is_held(SEAT + owner - 1) and names_gone(self._words, at)

    def _holder(self) -> int:
        owner = self.word.owner()
        return self._pid(owner - 1) if 0 < owner <= SEATS else 0
