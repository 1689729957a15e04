"""How participants come and go, dead or alive: `reclaim` returns what one had. Lock held."""

from __future__ import annotations

from .bits import discard_from_set
from .core import Core
from .deliver import Deliver
from .finish import Finish
from .layout import (
    ATTEMPTS_MASK,
    CRAMPED,
    CROWDED,
    CURIOUS,
    D_BLOB,
    D_INLINE,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DIED_NAME_CUT,
    FRESH,
    GEN_MASK,
    GEN_SHIFT,
    IDLE,
    KIND_DIED,
    L_DEATHS_SHIFT,
    M_DONE_SEQ,
    M_EPOCH,
    M_KIND,
    M_LIMITS,
    M_PAYLOAD,
    M_RESULT,
    M_RESULT_INLINE,
    MAX_DEATHS,
    META_WORDS,
    OP,
    OP_DAMAGED,
    P_ASLEEP,
    P_DONE,
    P_GEN,
    P_INBOX,
    P_NAME,
    P_OWNED,
    P_PID,
    P_REQUEST,
    P_RSS,
    P_STATE,
    P_TASKS,
    PART_ACTIVE,
    PART_FREE,
    PART_HIGH,
    RECLAIMED,
    RESULT_INLINE_BYTES,
    ST_FREE,
    ST_KILLED,
    ST_QUEUED,
    ST_WRITING,
    STATUS_MASK,
    UNFETCHED,
    VERSIONED,
    WAKES,
    WORD_MASK,
)
from .slots import file_epoch, generation, owner

__all__ = ["Recover"]

OP_ENTER = 14
OP_RECLAIM = 15


class Recover:
    """Enter, reclaim, and what the sweep of the blob directory asks."""

    def __init__(self, core: Core, deliver: Deliver, finish: Finish) -> None:
        self.core = core
        self.w = core.w
        self.out = core.out
        self.deliver = deliver
        self.ending = finish

    # --- participants ---------------------------------------------------------------------------

    def enter(self, index: int) -> None:
        """Make row ``index``, whose identity is written already, an active participant.

        The row is FREE, and its byte lock is held by the caller.
        """
        w = self.w
        row = self.core.row(index)
        w[OP] = OP_ENTER
        w[row + P_REQUEST] = 0
        w[row + P_TASKS] = 0
        w[row + P_DONE] = 0
        w[row + P_INBOX] = 0
        w[row + P_INBOX + 1] = 0
        w[row + P_OWNED] = 0
        w[row + P_OWNED + 1] = 0
        w[row + P_ASLEEP] = 0
        w[row + P_GEN] = w[row + P_GEN] + 1 if w[row + P_GEN] < WORD_MASK else 0  # never past the word
        if w[PART_HIGH] <= index:
            w[PART_HIGH] = index + 1
        w[row + P_STATE] = PART_ACTIVE
        w[OP] = 0

    def reclaim(self, index: int, died: bool, exit_word: int, rss: int, oom: int, now: int) -> int:
        """Return everything that participant ``index`` had, and free its row last.

        Args:
            died: whether it died; else it leaves in order and nothing is charged.
            exit_word: its exit code + 2^31; 0 where nobody saw it.
            rss: its resident memory in bytes, 0 for what it last wrote itself.
            oom: 1 when the kernel's memory killer ended it.
            now: this moment.

        Returns:
            How many tasks went back; ``out[0...]`` lists the first of them.
        """
        w = self.w
        self.core.clear_out()
        row = self.core.row(index)
        if w[row + P_STATE] != PART_ACTIVE:
            return 0
        w[OP] = OP_RECLAIM
        count = 0
        while w[row + P_OWNED]:
            slot = w[row + P_OWNED] - 1
            if owner(w[self.core.state_at + slot]) != index + 1:
                w[OP] = OP_DAMAGED
                return count  # still active: its turn comes again, after the rebuild
            if self._return(slot, row, died, exit_word, rss, oom, now) and count < WAKES:
                self.out[count] = slot
                count += 1
        self._bequeath_inbox(row)
        discard_from_set(w, IDLE, index)
        discard_from_set(w, CROWDED, index)
        discard_from_set(w, CURIOUS, index)
        discard_from_set(w, CRAMPED, index)
        w[RECLAIMED] = w[RECLAIMED] + (count if died else 0)
        w[row + P_STATE] = PART_FREE
        self.core.hand_on()
        self.core.wake_all(CROWDED)
        self.core.close()
        return count

    def _return(self, slot: int, row: int, died: bool, exit_word: int, rss: int, oom: int, now: int) -> bool:
        """Take ``slot`` from its owner; whether its task is back in the queue."""
        w = self.w
        word = w[self.core.state_at + slot]
        status = word & STATUS_MASK
        if status == ST_WRITING:
            self.core.disown(slot)
            self.core.slots.release(slot)
            self.core.drop_payload(slot)
            return False
        if status == ST_QUEUED or not died:
            self.deliver.requeue(slot, 0)
            return True
        deaths = ((word & DEATHS_MASK) >> DEATHS_SHIFT) + 1
        m = self.core.meta_at + slot * META_WORDS
        if deaths <= w[m + M_LIMITS] >> L_DEATHS_SHIFT & MAX_DEATHS:
            self.deliver.requeue(slot, 1 << DEATHS_SHIFT)
            return True
        self.core.disown(slot)
        self._bury(slot, m, row, exit_word, rss, oom)
        attempts = word & ATTEMPTS_MASK
        kept = attempts | min(deaths, MAX_DEATHS) << DEATHS_SHIFT | word & GEN_MASK << GEN_SHIFT
        self.ending.finish(slot, kept | ST_KILLED, now)
        return False

    def _bury(self, slot: int, m: int, row: int, exit_word: int, rss: int, oom: int) -> None:
        """Write how its last worker died into the slot: seven words, always room for them.

        Three of them are the beginning of its name; a flag tells whether there is more.
        """
        w = self.w
        self.core.drop_result(slot)
        at = m + M_RESULT_INLINE
        w[at] = w[row + P_PID]
        w[at + 1] = exit_word
        w[at + 2] = rss or w[row + P_RSS]
        w[at + 3] = oom | (DIED_NAME_CUT if w[row + P_NAME + 3] else 0)
        for n in range(3):
            w[at + 4 + n] = w[row + P_NAME + n]
        w[m + M_KIND] = KIND_DIED
        w[m + M_RESULT] = D_INLINE | RESULT_INLINE_BYTES << 32

    def _bequeath_inbox(self, row: int) -> None:
        """Keep the results that a leaving participant has not noticed, for whoever has the ids."""
        w = self.w
        steps = self.core.capacity
        while w[row + P_INBOX] and steps:
            slot = w[row + P_INBOX] - 1
            self.core.chains.remove(row + P_INBOX, slot)
            self.core.chains.insert_last(UNFETCHED, slot, M_DONE_SEQ)
            steps -= 1

    # --- blobs ----------------------------------------------------------------------------------

    def is_live_blob(self, slot: int, gen: int, epoch: int) -> bool:
        """Whether a file of this name belongs to a task. Once it does not, it never will again."""
        w = self.w
        if slot >= w[FRESH]:
            return False
        word = w[self.core.state_at + slot]
        if word & STATUS_MASK == ST_FREE or generation(word) != gen:
            return False
        m = self.core.meta_at + slot * META_WORDS
        if not epoch or epoch & VERSIONED:
            return w[m + M_PAYLOAD] & 3 == D_BLOB and file_epoch(w[m + M_PAYLOAD]) == epoch
        return w[m + M_RESULT] & 3 == D_BLOB and w[m + M_EPOCH] == epoch
