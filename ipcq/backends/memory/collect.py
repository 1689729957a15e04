"""Critical sections by which results are found, fetched and removed. Called with the lock held.

Reading a result is three steps: find it (here), copy its bytes without the lock, then `settle`
(here), which succeeds only if the slot's state word is still the one that was found.
"""

from __future__ import annotations

from .core import Core
from .layout import (
    COUNTS,
    CRAMPED,
    CROWDED,
    CURIOUS,
    FETCHED,
    FETCHED_FLAG,
    FRESH,
    GONE,
    M_DONE_AT,
    M_DONE_SEQ,
    M_NEXT,
    META_WORDS,
    NOTICED,
    OK,
    OP,
    OP_DAMAGED,
    P_DONE,
    P_INBOX,
    P_STATE,
    P_TASKS,
    P_WAKE,
    PART_ACTIVE,
    PART_HIGH,
    SEQ,
    ST_DONE,
    ST_FAILED,
    ST_FREE,
    ST_KILLED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    STATUS_MASK,
    UNFETCHED,
)
from .slots import finished

__all__ = ["Collect"]

OP_SETTLE = 9
OP_VACUUM = 11
OP_EXPIRE = 12

MOST_REMOVED = 256  # slots looked at in one hold of the lock


class Collect:
    """Find, fetch and remove."""

    def __init__(self, core: Core, result_ttl: int) -> None:
        self.core = core
        self.w = core.w
        self.out = core.out
        self.result_ttl = result_ttl

    # --- finding --------------------------------------------------------------------------------

    def find(self, hi: int, lo: int) -> int:
        """The slot of a task, + 1, or 0; ``out[0]`` is its state word."""
        place = self.core.index.find(hi, lo)
        if place:
            self.out[0] = self.w[self.core.state_at + place - 1]
        return place

    def find_many(self, count: int) -> None:
        """`find` for ``count`` ids staged as (hi, lo): ``out[2n]`` slot + 1, ``out[2n + 1]`` word."""
        stage = self.core.stage
        out = self.out
        for n in range(count):
            place = self.core.index.find(stage[2 * n], stage[2 * n + 1])
            out[2 * n] = place
            out[2 * n + 1] = self.w[self.core.state_at + place - 1] if place else 0

    def inbox(self, index: int, most: int) -> int:
        """Up to ``most`` finished tasks that participant ``index`` pushed and has not noticed.

        They stay where they are until `settle`.

        Returns:
            How many: ``out[2n]`` the slot, ``out[2n + 1]`` its state word. With 0, ``out[0]`` is
            the wake word to sleep on.
        """
        w = self.w
        out = self.out
        at = w[self.core.row(index) + P_INBOX]
        count = 0
        while at and count < most:
            out[2 * count] = at - 1
            out[2 * count + 1] = w[self.core.state_at + at - 1]
            count += 1
            at = w[self.core.meta_at + (at - 1) * META_WORDS + M_NEXT]
        if not count:
            out[0] = w[self.core.row(index) + P_WAKE]
        return count

    def watch(self, index: int) -> None:
        """Be woken when any task finishes, not only those that this participant pushed."""
        self.core.wait_in(CURIOUS, index)

    # --- fetching -------------------------------------------------------------------------------

    def settle(self, count: int) -> None:
        """Commit for ``count`` staged (slot, state word, fetched) that they were fetched or noticed.

        ``out[n]`` is OK, or GONE where the slot is not as it was found: what was read from it
        is void.
        """
        w = self.w
        stage = self.core.stage
        out = self.out
        self.core.clear_out()
        w[OP] = OP_SETTLE
        for n in range(count):
            slot = stage[3 * n]
            found = stage[3 * n + 1]
            word = w[self.core.state_at + slot]
            if (word ^ found) & ~(NOTICED | FETCHED_FLAG) or not finished(word):
                out[n] = GONE
                continue
            out[n] = OK
            if stage[3 * n + 2]:
                self._mark_fetched(slot, word)
            elif not word & (NOTICED | FETCHED_FLAG):
                self._move(slot, word | NOTICED, UNFETCHED)
        self.core.close()

    def _mark_fetched(self, slot: int, word: int) -> None:
        if word & FETCHED_FLAG:
            return
        self._move(slot, word | FETCHED_FLAG, FETCHED)
        self.core.forget_pusher(slot, 1)
        if self.core.w[CROWDED]:
            self.core.wake_all(CROWDED)

    def _move(self, slot: int, word: int, target: int) -> None:
        """Commit ``word`` and put the finished slot into another list, behind the others."""
        w = self.w
        self.core.chains.remove(self.core.list_of(slot), slot)
        seq = w[SEQ]
        w[SEQ] = seq + 1
        w[self.core.meta_at + slot * META_WORDS + M_DONE_SEQ] = seq
        self.core.slots.commit(slot, word)
        self.core.chains.append(target, slot)

    # --- removing -------------------------------------------------------------------------------

    def vacuum(self, start: int, before: int, done: bool, killed: bool) -> int:
        """Remove finished tasks among the `MOST_REMOVED` slots from ``start`` on.

        Args:
            before: only those that finished at this moment or earlier.
            done: whether DONE ones are meant.
            killed: whether KILLED ones are meant.

        Returns:
            How many were removed; ``out[0]`` is where to go on, 0 at the end.
        """
        w = self.w
        self.core.clear_out()
        end = min(start + MOST_REMOVED, w[FRESH])
        removed = 0
        w[OP] = OP_VACUUM
        for slot in range(start, end):
            word = w[self.core.state_at + slot]
            status = word & STATUS_MASK
            if not ((done and status == ST_DONE) or (killed and status == ST_KILLED)):
                continue
            if w[self.core.meta_at + slot * META_WORDS + M_DONE_AT] <= before:
                self._remove(slot, word)
                removed += 1
        self.core.close()
        self.out[0] = end if end < w[FRESH] else 0
        return removed

    def _remove(self, slot: int, word: int) -> None:
        """Remove a finished task and tell its pusher, which may wait for it."""
        pusher = 0 if word & FETCHED_FLAG else self.core.submitter(slot)
        self.core.remove_finished(slot)
        if pusher:
            self.core.wake(pusher - 1)
        self.core.wake_all(CURIOUS)

    def expire(self, now: int) -> int:
        """Remove results that nobody fetched within the queue's `result_ttl`; how many."""
        w = self.w
        self.core.clear_out()
        w[OP] = OP_EXPIRE
        removed = self._expire_list(UNFETCHED, now)
        for index in range(min(w[PART_HIGH], self.core.participants)):
            if w[self.core.row(index) + P_STATE] == PART_ACTIVE:
                removed += self._expire_list(self.core.row(index) + P_INBOX, now)
        self.core.close()
        return removed

    def _expire_list(self, head: int, now: int) -> int:
        w = self.w
        removed = 0
        while w[head] and removed < MOST_REMOVED:
            slot = w[head] - 1
            if not finished(w[self.core.state_at + slot]):
                w[OP] = OP_DAMAGED
                break
            if w[self.core.meta_at + slot * META_WORDS + M_DONE_AT] + self.result_ttl > now:
                break
            self._remove(slot, w[self.core.state_at + slot])
            removed += 1
        return removed

    # --- looking --------------------------------------------------------------------------------

    def waits_for_itself(self, index: int) -> bool:
        """Whether only results that participant ``index`` has not fetched can make place.

        So it is when every place is taken by its own tasks and some of them are finished, and
        also when workers cannot go on because its results fill the results' budget.
        """
        w = self.w
        row = self.core.row(index)
        if not w[row + P_DONE]:
            return False
        unfinished = w[COUNTS + ST_PENDING] + w[COUNTS + ST_QUEUED] + w[COUNTS + ST_FAILED]
        unfinished += w[COUNTS + ST_RUNNING]
        places_full = not w[COUNTS + ST_FREE]
        mine = w[row + P_TASKS] >= self.core.capacity - w[COUNTS + ST_FREE]
        return mine and (places_full or not unfinished or w[CRAMPED] != 0)
