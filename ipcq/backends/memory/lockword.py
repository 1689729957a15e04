"""The lock of the compiled mode: one word of shared memory, taken by compare-and-swap.

High half: a generation, which each change of owner changes. Low half: whether somebody sleeps, and
the owner's seat + 1, set in the same compare-and-swap that takes the lock: an owner written
afterwards could be robbed in between.
"""

from __future__ import annotations

from .layout import CLOSED, HALF_MASK, LOCK, LOCK_AWAITED, LOCK_OWNER, OP
from .machine import compare_and_swap, pause, sleep_on, wake_one
from .words import Words

__all__ = ["LockWord"]

HIGH_HALF = HALF_MASK << 32


class LockWord:
    """The lock word of one queue. ``me`` is the caller's seat + 1."""

    def __init__(self, w: Words) -> None:
        self.w = w

    def look(self) -> int:
        """The word as it is."""
        return self.w[LOCK]

    def owner(self) -> int:
        """The seat, + 1, of who has the lock; 0 for nobody."""
        return self.w[LOCK] & LOCK_OWNER

    def take(self, me: int, flag: int) -> int:
        """1 if the lock was free and is ours now; ``flag`` is LOCK_AWAITED after a sleep."""
        seen = self.w[LOCK]
        if seen & LOCK_OWNER:
            return 0
        return self.swap(seen, me, flag | seen & LOCK_AWAITED)

    def enter(self, me: int, tries: int) -> int:
        """1 if the lock is ours, after a look or some, and the queue whole; else it is not taken."""
        if not self.take(me, 0) and not self.spin(me, tries):
            return 0
        if self.w[CLOSED] or self.w[OP]:
            self.release(me)
            return 0
        return 1

    def swap(self, seen: int, me: int, flag: int) -> int:
        """1 if the word was ``seen`` and is ours now: from nobody, a dead owner, or our predecessor."""
        generation = (seen >> 32) + 1 & HALF_MASK
        return 1 if compare_and_swap(self.w, LOCK, seen, generation << 32 | flag | me) else 0

    def spin(self, me: int, tries: int) -> int:
        """`take` again and again, for some microseconds."""
        for _ in range(tries):
            if self.take(me, 0):
                return 1
            pause()
        return 0

    def announce(self) -> int:
        """Tell the owner that somebody sleeps; the word to sleep on, or one without an owner."""
        seen = self.w[LOCK]
        while seen & LOCK_OWNER and not seen & LOCK_AWAITED:
            if compare_and_swap(self.w, LOCK, seen, seen | LOCK_AWAITED):
                return seen | LOCK_AWAITED
            seen = self.w[LOCK]
        return seen

    def sleep(self, seen: int, microseconds: int) -> None:
        """Sleep until the lock may be free, the time is over, or a signal comes."""
        sleep_on(self.w, LOCK, seen, microseconds)

    def release(self, me: int) -> int:
        """Free the lock, if it is ours, and wake one who sleeps; 1 if it was. 0 is nobody."""
        seen = self.w[LOCK]
        while me and seen & LOCK_OWNER == me:
            if compare_and_swap(self.w, LOCK, seen, seen & HIGH_HALF):
                if seen & LOCK_AWAITED:
                    wake_one(self.w, LOCK)
                return 1
            seen = self.w[LOCK]
        return 0
