"""Critical sections that change a task from outside, whoever has it. Called with the lock held.

Each begins with a comparison: whether the task is still as the caller saw it when it decided that the
move is legal. If not, nothing changes and the caller looks again.
"""

from __future__ import annotations

from .core import Core
from .finish import Finish
from .layout import (
    BUSY,
    COUNTED_MASK,
    DELAYED,
    FETCHED_FLAG,
    GEN_MASK,
    GEN_SHIFT,
    GONE,
    KIND_CANCELLED,
    M_EPOCH,
    M_KIND,
    M_RESULT,
    META_WORDS,
    NOTICED,
    OK,
    OP,
    REFUSED,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    ST_WRITING,
    STATUS_MASK,
)

__all__ = ["Amend"]

OP_CANCEL = 10


class Amend:
    """Look a task up, and end it."""

    def __init__(self, core: Core, finish: Finish) -> None:
        self.core = core
        self.w = core.w
        self.out = core.out
        self.ending = finish

    def look(self, hi: int, lo: int) -> int:
        """The slot of a task, + 1, or 0; ``out[0]`` is its state word, ``out[1]`` its epoch."""
        place = self.core.index.find(hi, lo)
        if place:
            self.out[0] = self.w[self.core.state_at + place - 1]
            self.out[1] = self.w[self.core.meta_at + (place - 1) * META_WORDS + M_EPOCH]
        return place

    def cancel(self, slot: int, seen: int, epoch: int, now: int) -> int:
        """PENDING, FAILED, QUEUED or RUNNING -> KILLED, with the error that says so.

        Args:
            seen: the state word that the caller saw.
            epoch: likewise.

        Returns:
            OK; GONE where the task is not as it was seen; REFUSED for a finished one; BUSY while its
            owner stores what the run gave.
        """
        self.core.clear_out()
        code = self._look_again(slot, seen, epoch)
        if code != OK:
            return code
        self.w[OP] = OP_CANCEL
        word = self.w[self.core.state_at + slot]
        self._take_out(slot, word)
        self.core.drop_result(slot)  # the error of the run before
        self.w[self.core.meta_at + slot * META_WORDS + M_KIND] = KIND_CANCELLED
        self.ending.finish(slot, word & (COUNTED_MASK | GEN_MASK << GEN_SHIFT) | ST_KILLED, now)
        self.core.close()
        return OK

    def _look_again(self, slot: int, seen: int, epoch: int) -> int:
        """OK where the task is as it was seen and may be ended, else the reason why not."""
        word = self.w[self.core.state_at + slot]
        m = self.core.meta_at + slot * META_WORDS
        status = word & STATUS_MASK
        if (word ^ seen) & ~(NOTICED | FETCHED_FLAG) or self.w[m + M_EPOCH] != epoch or status <= ST_WRITING:
            return GONE
        if status == ST_RUNNING and self.w[m + M_RESULT]:
            return BUSY  # its owner copies into that memory, without the lock: it cannot be given to others
        return OK if status in (ST_PENDING, ST_QUEUED, ST_RUNNING, ST_FAILED) else REFUSED

    def _take_out(self, slot: int, word: int) -> None:
        """Take a task that is not finished out of where it waits, or from its owner."""
        status = word & STATUS_MASK
        if status == ST_QUEUED or status == ST_RUNNING:
            self.core.disown(slot)
        elif word & DELAYED:
            self.core.delay.remove(slot)
        else:
            self.core.ready.remove(slot)
