"""Make every derived structure anew from the state words. Called with the queue's lock held.

A rebuild may itself be killed at any store and run again: it reads only the truth, and what it
changes of that (garbage becomes a KILLED task, what a dead transition left is dropped) it would
change in the same way again.
"""

from __future__ import annotations

from .core import Core
from .layout import (
    ARENA_COMMITTED,
    ATTEMPTS_MASK,
    ATTEMPTS_SHIFT,
    BLOCK_BYTES,
    COUNTED_MASK,
    COUNTS,
    D_ARENA,
    D_BLOB,
    D_INLINE,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DELAYED,
    FETCHED,
    FETCHED_FLAG,
    FLAGS_MASK,
    FREE_HEAD,
    FRESH,
    GEN_MASK,
    GEN_SHIFT,
    HALF_MASK,
    HOT_END,
    IDLE,
    INLINE_BYTES,
    KIND_CORRUPT,
    L_DEATHS_SHIFT,
    L_KEEP,
    LAST_SWEEP,
    LEVEL_COUNT,
    M_DONE_AT,
    M_DONE_SEQ,
    M_EPOCH,
    M_KIND,
    M_LIMITS,
    M_LOCK_AT,
    M_PARTS,
    M_PAYLOAD,
    M_RESULT,
    M_RUN_AT,
    M_SEQ,
    MAX_ATTEMPTS,
    MAX_DEATHS,
    META_WORDS,
    METRICS,
    METRICS_END,
    NOTICED,
    OP,
    P_DONE,
    P_INBOX,
    P_OWNED,
    P_STATE,
    P_TASKS,
    PART_ACTIVE,
    PART_FREE,
    PART_HIGH,
    PAYLOAD_BLOB_BYTES,
    PAYLOAD_BLOCKS,
    READY,
    REBUILDS,
    RECLAIMED,
    REMOVED,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    RESULT_INLINE_BYTES,
    SEQ,
    SLOTS_COMMITTED,
    ST_DONE,
    ST_FAILED,
    ST_FREE,
    ST_KILLED,
    ST_LAST,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    ST_WRITING,
    STATUS_MASK,
    UNFETCHED,
)
from .slots import file_length, finished, generation, owner

__all__ = ["Rebuild"]

OP_REBUILD = 16

SEQ_LIMIT = 1 << 62  # at a million a second, 146,000 years
TIME_LIMIT = 1 << 62  # microseconds: likewise; what is added to a moment stays a word
BLOB_LIMIT = 1 << 39  # bytes in one file: the sum over all slots stays a word


class Rebuild:
    """Rebuild one queue."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.w = core.w

    def rebuild(self, now: int) -> int:
        """Make every derived structure anew; how many slots held garbage."""
        w = self.w
        self.core.clear_out()
        w[OP] = OP_REBUILD
        self._clamp()
        self.core.draft.finish()
        self._clear()
        self._clear_rows()
        self.core.arena.reset()
        corrupt = self._find_fresh()
        highest = max(w[SEQ], 1)
        for slot in range(w[FRESH]):
            m = self.core.meta_at + slot * META_WORDS
            if not self._mend(slot, m):
                self._quarantine(slot, m, now)
                corrupt += 1
            highest = max(highest, self._after(slot, m))
            self._file(slot, m)
        self._put_in_order()
        self.core.arena.settle()
        w[SEQ] = highest
        w[COUNTS + ST_FREE] = w[COUNTS + ST_FREE] + self.core.capacity - w[FRESH]
        self._wake_everybody()
        w[REBUILDS] = w[REBUILDS] + 1
        w[OP] = 0
        return corrupt

    # --- a clean sheet --------------------------------------------------------------------------

    def _clamp(self) -> None:
        """Bring words that are neither truth nor derived into their range."""
        w = self.w
        self._limit(SLOTS_COMMITTED, self.core.capacity)
        self._limit(FRESH, w[SLOTS_COMMITTED])
        self._limit(ARENA_COMMITTED, self.core.arena.blocks)
        self._limit(PART_HIGH, self.core.participants)
        self._restart(SEQ)
        self._restart(REMOVED)
        self._restart(REBUILDS)
        self._restart(RECLAIMED)
        for at in range(METRICS, METRICS_END):
            self._restart(at)

    def _limit(self, at: int, most: int) -> None:
        if self.w[at] > most:
            self.w[at] = most

    def _restart(self, at: int) -> None:
        if self.w[at] >= SEQ_LIMIT:
            self.w[at] = 0

    def _clear(self) -> None:
        self._zero(FREE_HEAD, LAST_SWEEP)  # heads and sizes, bytes in use
        self._zero(COUNTS, COUNTS + 16)
        self._zero(READY, READY + 2 * LEVEL_COUNT)
        self._zero(IDLE, HOT_END)  # all sets: who waits is woken and enters again
        self._zero(self.core.buckets_at, self.core.buckets_at + self.core.buckets)

    def _clear_rows(self) -> None:
        w = self.w
        for index in range(self.core.participants):
            row = self.core.row(index)
            if w[row + P_STATE] == PART_ACTIVE:
                w[PART_HIGH] = max(w[PART_HIGH], index + 1)
            elif w[row + P_STATE] != PART_FREE:
                w[row + P_STATE] = PART_FREE
            # Of those not in use as well: their processes may live, and not know it yet.
            self._zero(row + P_INBOX, row + P_DONE + 1)
            self._zero(row + P_OWNED, row + P_OWNED + 2)

    def _zero(self, start: int, end: int) -> None:
        for at in range(start, end):
            self.w[at] = 0

    def _find_fresh(self) -> int:
        """Let FRESH be behind every slot in use; how many are in use that cannot be."""
        w = self.w
        corrupt = 0
        for slot in range(w[FRESH], self.core.capacity):
            if w[self.core.state_at + slot] and slot < w[SLOTS_COMMITTED]:
                w[FRESH] = slot + 1
            elif w[self.core.state_at + slot]:
                w[self.core.state_at + slot] = 0
                corrupt += 1
        return corrupt

    # --- the truth ------------------------------------------------------------------------------

    def _mend(self, slot: int, m: int) -> bool:
        """Finish what a dead transition left of ``slot``; False if it holds garbage."""
        if not self._is_state(slot):
            return False
        self._free_of_nobody(slot, m)
        status = self.w[self.core.state_at + slot] & STATUS_MASK
        if status == ST_FREE:
            if self.w[m + M_EPOCH] >= SEQ_LIMIT:
                self.w[m + M_EPOCH] = 0
            return True
        return self._is_in_budget(slot, m) and self._is_sound(m, status) and self._claim(m, status)

    def _is_state(self, slot: int) -> bool:
        """Whether the state word of ``slot`` is one that ipcq writes."""
        word = self.w[self.core.state_at + slot]
        status = word & STATUS_MASK
        flags = word & FLAGS_MASK
        if status > ST_LAST or owner(word) > self.core.participants:
            return False
        if status == ST_DONE or status == ST_KILLED:
            return not owner(word) and not flags & ~(NOTICED | FETCHED_FLAG)
        if status == ST_PENDING or status == ST_FAILED:
            return not owner(word) and not flags & ~DELAYED
        return not flags and (owner(word) > 0) == (status != ST_FREE)

    def _free_of_nobody(self, slot: int, m: int) -> None:
        """Free what its owner cannot care for, or nobody wants.

        An owner whose row is not in use comes only from garbage in that row; a DONE task whose
        result is not kept, from a kill just before its place was freed.
        """
        w = self.w
        at = self.core.state_at + slot
        word = w[at]
        status = word & STATUS_MASK
        kept = word & GEN_MASK << GEN_SHIFT
        if status == ST_DONE and not w[m + M_LIMITS] & L_KEEP:
            w[at] = kept | ST_FREE
        elif owner(word) and w[self.core.row(owner(word) - 1) + P_STATE] != PART_ACTIVE:
            w[at] = kept | ST_FREE if status == ST_WRITING else kept | word & COUNTED_MASK | ST_PENDING

    def _is_in_budget(self, slot: int, m: int) -> bool:
        """Whether the task was run as often as its limits allow, and has an epoch if it is now."""
        word = self.w[self.core.state_at + slot]
        status = word & STATUS_MASK
        limits = self.w[m + M_LIMITS]
        most = (limits >> L_DEATHS_SHIFT & MAX_DEATHS) + (1 if status == ST_KILLED else 0)
        attempts = (word & ATTEMPTS_MASK) >> ATTEMPTS_SHIFT
        if (word & DEATHS_MASK) >> DEATHS_SHIFT > most:
            return False
        if status == ST_FAILED:
            return attempts < limits & MAX_ATTEMPTS
        return (status != ST_QUEUED and status != ST_RUNNING) or self.w[m + M_EPOCH] > 0

    def _is_sound(self, m: int, status: int) -> bool:
        """Whether the metadata can be what ipcq wrote for a task in that status."""
        w = self.w
        payload = w[m + M_PAYLOAD]
        length = file_length(payload) if payload & 3 == D_BLOB else payload >> 32
        return (
            w[m + M_EPOCH] < SEQ_LIMIT
            and max(w[m + M_RUN_AT], w[m + M_LOCK_AT], w[m + M_DONE_AT]) < TIME_LIMIT
            and (status == ST_WRITING or w[m + M_SEQ] < SEQ_LIMIT)
            and ((status != ST_DONE and status != ST_KILLED) or 0 < w[m + M_DONE_SEQ] < SEQ_LIMIT)
            and self._fits(payload, INLINE_BYTES)
            and self._fits(w[m + M_RESULT], RESULT_INLINE_BYTES)
            # Of a DONE task the payload may be gone already.
            and ((status == ST_DONE and not payload) or w[m + M_PARTS] & HALF_MASK <= length)
        )

    def _fits(self, desc: int, inline: int) -> bool:
        kind = desc & 3
        if kind == D_INLINE:
            return desc >> 32 <= inline
        if kind == D_ARENA:
            return desc >> 32 <= BLOCK_BYTES << min(desc >> 2 & 63, 32)
        if kind == D_BLOB:
            return file_length(desc) <= BLOB_LIMIT
        return desc == 0

    def _claim(self, m: int, status: int) -> bool:
        """Claim the areas that a slot uses; what another run left is dropped."""
        w = self.w
        if status == ST_DONE and w[m + M_PAYLOAD] & 3 > D_INLINE:
            w[m + M_PAYLOAD] = 0
        if status == ST_WRITING or status == ST_PENDING or status == ST_QUEUED:
            w[m + M_RESULT] = 0
        payload = w[m + M_PAYLOAD]
        result = w[m + M_RESULT]
        if payload & 3 == D_ARENA and not self.core.arena.claim(payload >> 8 & 0xFFFFFF, payload >> 2 & 63):
            return False
        if result & 3 == D_ARENA and not self.core.arena.claim(result >> 8 & 0xFFFFFF, result >> 2 & 63):
            if payload & 3 == D_ARENA:
                self.core.arena.disclaim(payload >> 8 & 0xFFFFFF, payload >> 2 & 63)
            return False
        return True

    def _quarantine(self, slot: int, m: int, now: int) -> None:
        """Make a slot with garbage a KILLED task that says so."""
        w = self.w
        w[m + M_PAYLOAD] = 0
        w[m + M_RESULT] = 0
        w[m + M_PARTS] = 0
        w[m + M_EPOCH] = 0
        w[m + M_SEQ] = 1
        w[m + M_DONE_SEQ] = 1  # before all others, and as SEQ is never less
        w[m + M_RUN_AT] = 0
        w[m + M_LOCK_AT] = 0
        w[m + M_KIND] = KIND_CORRUPT
        w[m + M_DONE_AT] = now
        at = self.core.state_at + slot
        w[at] = generation(w[at]) << GEN_SHIFT | ST_KILLED

    def _after(self, slot: int, m: int) -> int:
        """The first sequence number that is later than all of a slot's."""
        w = self.w
        word = w[self.core.state_at + slot]
        if finished(word):
            return max(w[m + M_SEQ], w[m + M_DONE_SEQ]) + 1
        return w[m + M_SEQ] + 1 if word & STATUS_MASK > ST_WRITING else 0

    # --- what follows from it -------------------------------------------------------------------

    def _file(self, slot: int, m: int) -> None:
        """Enter one slot into the derived structures."""
        w = self.w
        word = w[self.core.state_at + slot]
        status = word & STATUS_MASK
        w[COUNTS + status] = w[COUNTS + status] + 1
        if status == ST_FREE:
            self.core.slots.link_free(slot)
            return
        self._account(m)
        if owner(word):
            self.core.own(slot, owner(word) - 1)
        if status == ST_WRITING:
            return
        self.core.index.add(slot)
        self._charge_pusher(slot, word)
        if finished(word):
            self.core.chains.append(self.core.list_of(slot), slot)
        elif status == ST_QUEUED or status == ST_RUNNING:
            return
        elif word & DELAYED:
            self.core.delay.add(slot)
        else:
            self.core.ready.append(slot)

    def _account(self, m: int) -> None:
        """Count the bytes that a slot occupies."""
        w = self.w
        payload = w[m + M_PAYLOAD]
        if payload & 3 == D_ARENA:
            w[PAYLOAD_BLOCKS] = w[PAYLOAD_BLOCKS] + (1 << (payload >> 2 & 63))
        elif payload & 3 == D_BLOB:
            w[PAYLOAD_BLOB_BYTES] = w[PAYLOAD_BLOB_BYTES] + file_length(payload)
        result = w[m + M_RESULT]
        if result & 3 == D_ARENA:
            w[RESULT_BLOCKS] = w[RESULT_BLOCKS] + (1 << (result >> 2 & 63))
        elif result & 3 == D_BLOB:
            w[RESULT_BLOB_BYTES] = w[RESULT_BLOB_BYTES] + file_length(result)

    def _charge_pusher(self, slot: int, word: int) -> None:
        w = self.w
        if word & FETCHED_FLAG or not self.core.is_charged(slot):
            return
        pusher = self.core.submitter(slot)
        if pusher:
            row = self.core.row(pusher - 1)
            w[row + P_TASKS] = w[row + P_TASKS] + 1
            w[row + P_DONE] = w[row + P_DONE] + (1 if finished(word) else 0)

    def _put_in_order(self) -> None:
        """Sort the lists, which were filled as the slots came."""
        self.core.ready.sort()
        self.core.chains.sort(UNFETCHED, M_DONE_SEQ)
        self.core.chains.sort(FETCHED, M_DONE_SEQ)
        for index in range(self.w[PART_HIGH]):
            row = self.core.row(index)
            if self.w[row + P_STATE] == PART_ACTIVE:
                self.core.chains.sort(row + P_INBOX, M_DONE_SEQ)

    def _wake_everybody(self) -> None:
        for index in range(self.w[PART_HIGH]):
            if self.w[self.core.row(index) + P_STATE] == PART_ACTIVE:
                self.core.wake(index)
