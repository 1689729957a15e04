"""Critical sections by which workers get tasks and give them back. Called with the lock held.

A lease is (slot, generation, epoch, owner): the epoch grows with every hand-out, so that a worker
whose task was taken away can change nothing any more.
"""

from __future__ import annotations

from .bits import discard_from_set
from .core import Core
from .layout import (
    COUNTED_MASK,
    COUNTS,
    DELAYED,
    GEN_MASK,
    GEN_SHIFT,
    HOARD,
    IDLE,
    LEVELS,
    LOST,
    M_EPOCH,
    M_LOCK_AT,
    M_NEXT,
    M_PROGRESS,
    M_RESULT,
    M_RUN_AT,
    M_SEQ,
    M_STARTED,
    META_WORDS,
    MOST_TAKEN,
    OK,
    OP,
    OP_DAMAGED,
    OWNER_SHIFT,
    P_OWNED,
    PART_HIGH,
    SEQ,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    STATUS_MASK,
    TOLD,
    WORD_MASK,
)

__all__ = ["Deliver"]

OP_TAKE = 4
OP_START = 5
OP_GIVE_BACK = 7

MOST_PROMOTED = 64  # delayed tasks that become ready in one hold of the lock


class Deliver:
    """Take, start, tell how far a run is, and give back."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.w = core.w
        self.out = core.out

    # --- taking ---------------------------------------------------------------------------------

    def take(self, index: int, most: int, running: int, now: int) -> int:
        """Hand up to ``most`` ready tasks to participant ``index``: the first ones RUNNING, others QUEUED.

        Args:
            running: how many of them run at once.

        More than `MOST_TAKEN` it never hands out: in ``out`` they lie before the wakes.

        Returns:
            How many; ``out[2n]`` is a slot and ``out[2n + 1]`` its epoch. With 0, the participant
            waits for work now: ``out[0]`` is the wake word to sleep on, ``out[1]`` the moment at
            which to look again at the latest (a delayed task is due, or others hold tasks that
            they do not start), or 0.
        """
        self.core.clear_out()
        self.w[OP] = OP_TAKE
        count = self._take(index, most, running, now)
        self.core.close()
        return count

    def _take(self, index: int, most: int, running: int, now: int) -> int:
        w = self.w
        out = self.out
        if self.core.delay.first():
            self._promote(now)
        if not w[LEVELS] and w[COUNTS + ST_QUEUED]:
            self._unhoard(now)
        count = 0
        most = min(most, MOST_TAKEN)
        while count < most:
            first = self.core.ready.first()
            if not first:
                break
            if not self.core.is_ready(first - 1):
                w[OP] = OP_DAMAGED
                break
            self._hand_out(first - 1, index, ST_RUNNING if count < running else ST_QUEUED, now)
            out[2 * count] = first - 1
            out[2 * count + 1] = w[self.core.meta_at + (first - 1) * META_WORDS + M_EPOCH]
            count += 1
        if count:
            discard_from_set(w, IDLE, index)  # or a pusher would wake us instead of an idle one
            self.core.hand_on()
            return count
        out[0] = self.core.wait_in(IDLE, index)
        delayed = self.core.delay.first()
        out[1] = w[self.core.meta_at + (delayed - 1) * META_WORDS + M_RUN_AT] if delayed else 0
        if w[COUNTS + ST_QUEUED] and not 0 < out[1] < now + HOARD:
            out[1] = now + HOARD
        return 0

    def _promote(self, now: int) -> None:
        """Move delayed tasks that are due to the end of their ready lists."""
        w = self.w
        left = MOST_PROMOTED
        first = self.core.delay.first()
        while first and left:
            slot = first - 1
            m = self.core.meta_at + slot * META_WORDS
            if w[m + M_RUN_AT] > now:
                return
            self.core.delay.remove(slot)
            seq = w[SEQ]
            w[SEQ] = seq + 1
            w[m + M_SEQ] = seq
            w[self.core.state_at + slot] &= ~DELAYED
            self.core.ready.append(slot)
            left -= 1
            first = self.core.delay.first()

    def _hand_out(self, slot: int, index: int, status: int, now: int) -> None:
        w = self.w
        m = self.core.meta_at + slot * META_WORDS
        self.core.ready.remove(slot)
        if w[m + M_RESULT]:
            self.core.drop_result(slot)  # the error of the run before; its file is named by that run's epoch
        word = w[self.core.state_at + slot]
        w[m + M_EPOCH] = w[m + M_EPOCH] + 1  # alone it changes nothing: nobody holds the new epoch
        w[m + M_LOCK_AT] = now
        if status == ST_RUNNING:
            self._begin(m, now)
        kept = word & (COUNTED_MASK | GEN_MASK << GEN_SHIFT)
        self.core.slots.commit(slot, kept | index + 1 << OWNER_SHIFT | status)
        self.core.own(slot, index)

    def start(self, slot: int, gen: int, epoch: int, index: int, now: int) -> int:
        """QUEUED -> RUNNING; LOST where the lease is void."""
        self.core.clear_out()
        return self.begin(slot, gen, epoch, index, now)

    def begin(self, slot: int, gen: int, epoch: int, index: int, now: int) -> int:
        """`start` as the second part of a critical section, whose answers stay."""
        w = self.w
        if not self.core.holds(slot, gen, epoch, index, ST_QUEUED):
            return LOST
        w[OP] = OP_START
        self._begin(self.core.meta_at + slot * META_WORDS, now)
        word = w[self.core.state_at + slot]
        self.core.slots.commit(slot, word & ~STATUS_MASK | ST_RUNNING)
        self.core.close()
        return OK

    def _begin(self, m: int, now: int) -> None:
        """Write what is true of a run that is about to begin: it has told nothing."""
        self.w[m + M_STARTED] = now
        self.w[m + M_PROGRESS] = 0

    def tell(self, slot: int, gen: int, epoch: int, index: int, progress: int) -> int:
        """Note how far the run in ``slot`` is; LOST where the lease is void, and nothing is changed.

        It sets no op: each of its two stores is whole, and nothing is derived from either.

        Args:
            progress: with `PROGRESS_TOLD`.
        """
        w = self.w
        self.core.clear_out()
        if not self.core.holds(slot, gen, epoch, index, ST_RUNNING):
            return LOST
        w[self.core.meta_at + slot * META_WORDS + M_PROGRESS] = progress
        w[TOLD] = w[TOLD] + 1 if w[TOLD] < WORD_MASK else 0  # behind it: who saw this one sees the other
        return OK

    # --- giving back ----------------------------------------------------------------------------

    def give_back(self, slot: int, gen: int, epoch: int, index: int) -> int:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged; LOST if not ours."""
        self.core.clear_out()
        if not (
            self.core.holds(slot, gen, epoch, index, ST_QUEUED)
            or self.core.holds(slot, gen, epoch, index, ST_RUNNING)
        ):
            return LOST
        self.w[OP] = OP_GIVE_BACK
        self.requeue(slot, 0)
        self.core.close()
        return OK

    def requeue(self, slot: int, deaths: int) -> None:
        """Commit PENDING with ``deaths`` (already shifted) more, at the front of its priority."""
        word = self.w[self.core.state_at + slot]
        kept = (word & (COUNTED_MASK | GEN_MASK << GEN_SHIFT)) + deaths
        self.core.disown(slot)
        self.core.slots.commit(slot, kept | ST_PENDING)
        self.core.drop_result(slot)
        self.core.ready.put_back(slot)
        self.core.wake_one(IDLE)

    def unhoard(self, now: int) -> int:
        """Return what workers hold ahead of time and do not start, for those with nothing to do."""
        self.core.clear_out()
        if not self.w[COUNTS + ST_QUEUED]:
            return 0
        self.w[OP] = OP_GIVE_BACK
        count = self._unhoard(now)
        self.core.close()
        return count

    def _unhoard(self, now: int) -> int:
        """A worker may be busy with one long task for hours; what it holds behind it is not its own."""
        w = self.w
        count = 0
        for index in range(min(w[PART_HIGH], self.core.participants)):
            at = w[self.core.row(index) + P_OWNED]
            steps = self.core.capacity
            while at and steps and count < MOST_PROMOTED:
                steps -= 1
                slot = at - 1
                m = self.core.meta_at + slot * META_WORDS
                at = w[m + M_NEXT]
                if (
                    w[self.core.state_at + slot] & STATUS_MASK == ST_QUEUED
                    and w[m + M_LOCK_AT] + HOARD <= now
                ):
                    self.requeue(slot, 0)
                    count += 1
        return count
