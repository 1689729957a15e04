"""Critical sections that change a task from outside, whoever has it. Called with the lock held.

Each begins with a comparison: whether the task is still as the caller saw it when it decided that the
move is legal. If not, nothing changes and the caller looks again.
"""

from __future__ import annotations

from .core import Core
from .finish import Finish
from .layout import (
    ATTEMPTS_MASK,
    BUSY,
    COUNTED_MASK,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DELAYED,
    DR_LIMITS,
    DR_RUN_AT,
    DRAFT,
    FETCHED_FLAG,
    GEN_MASK,
    GEN_SHIFT,
    GONE,
    IDLE,
    KIND_CANCELLED,
    L_DEATHS_SHIFT,
    L_KEEP,
    M_EPOCH,
    M_KIND,
    M_RESULT,
    MAX_DEATHS,
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
from .slots import finished, generation

__all__ = ["Amend"]

OP_CANCEL = 10
OP_RESUME = 18


class Amend:
    """Look a task up, end it, and have it run again."""

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

    def resume(self, slot: int, seen: int, epoch: int, run_at: int, reset: bool, now: int) -> int:
        """PENDING, FAILED, QUEUED, RUNNING or KILLED -> PENDING, due at ``run_at``; leases are void.

        What is due is at its old place in the order of acceptance. A KILLED task has one more run, whatever
        it used up.

        Args:
            seen, epoch: as in `cancel`.
            reset: whether attempts and deaths start at 0.

        Returns:
            As `cancel`; REFUSED for a DONE one only.
        """
        self.core.clear_out()
        code = self._look_again(slot, seen, epoch)
        if code != OK and (code != REFUSED or seen & STATUS_MASK != ST_KILLED):
            return code
        self.w[OP] = OP_RESUME
        self.core.draft.begin(slot)
        self.w[DRAFT + DR_RUN_AT] = run_at
        kept = generation(seen) << GEN_SHIFT
        if not reset:
            kept |= seen & ATTEMPTS_MASK | self._deaths_left(seen)
        self._change(slot, kept | ST_PENDING, now)
        self.core.close()
        return OK

    def _deaths_left(self, word: int) -> int:
        """A task's deaths, shifted as in its state word; no more than the draft allows it to survive."""
        most = self.w[DRAFT + DR_LIMITS] >> L_DEATHS_SHIFT & MAX_DEATHS
        return min((word & DEATHS_MASK) >> DEATHS_SHIFT, most) << DEATHS_SHIFT

    # --- the parts of it ------------------------------------------------------------------------

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

    def _change(self, slot: int, word: int, now: int) -> None:
        """Commit the draft with ``word`` as the state, which is PENDING; then tell all who keep track."""
        w = self.w
        before = w[self.core.state_at + slot]
        if w[DRAFT + DR_RUN_AT] > now:
            word |= DELAYED
        self._take_out(slot, before)
        self.core.draft.commit(slot, word)
        self.core.drop_result(slot)
        self.core.draft.adopt(slot)
        if finished(before) and w[DRAFT + DR_LIMITS] & L_KEEP:
            self.core.charge_pusher(slot)
        if word & DELAYED:
            self.core.delay.add(slot)
        else:
            self.core.ready.put_back(slot)
        self.core.wake_one(IDLE)  # there is something to do, or an earlier moment to wake up

    def _take_out(self, slot: int, word: int) -> None:
        """Take a task out of where it waits or is kept, off its pusher's account, or from its owner."""
        status = word & STATUS_MASK
        if status == ST_QUEUED or status == ST_RUNNING:
            self.core.disown(slot)
        elif status == ST_KILLED:
            self.core.chains.remove(self.core.list_of(slot), slot)
            if not word & FETCHED_FLAG:
                self.core.forget_pusher(slot, 1)
        elif word & DELAYED:
            self.core.delay.remove(slot)
        else:
            self.core.ready.remove(slot)
