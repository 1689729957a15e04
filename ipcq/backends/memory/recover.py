"""What makes a queue whole again after a death. Called with the queue's lock held.

`rebuild` makes all derived structures anew from the state words; it may itself be killed at any
store and run again. `reclaim` returns what a dead participant had.
"""

from __future__ import annotations

from .bits import discard_from_set
from .core import WAKES, Core
from .deliver import Deliver
from .finish import Finish
from .layout import (
    ATTEMPTS_MASK,
    BLOCK_BYTES,
    COUNTED_MASK,
    COUNTS,
    CRAMPED,
    CROWDED,
    CURIOUS,
    D_ARENA,
    D_BLOB,
    D_INLINE,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DELAYED,
    FETCHED,
    FETCHED_FLAG,
    FREE_HEAD,
    FRESH,
    GEN_MASK,
    GEN_SHIFT,
    HEAP_SIZE,
    IDLE,
    INLINE_BYTES,
    KIND_CORRUPT,
    KIND_DIED,
    L_DEATHS_SHIFT,
    L_KEEP,
    LEVEL_COUNT,
    LEVELS,
    M_DONE_SEQ,
    M_EPOCH,
    M_KIND,
    M_LIMITS,
    M_PARTS,
    M_PAYLOAD,
    M_RESULT,
    M_RESULT_INLINE,
    M_SEQ,
    MAX_DEATHS,
    META_WORDS,
    OP,
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
    PAYLOAD_BLOB_BYTES,
    PAYLOAD_BLOCKS,
    READY,
    REBUILDS,
    RECLAIMED,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    RESULT_INLINE_BYTES,
    SEQ,
    SET_WORDS,
    SLOTS_COMMITTED,
    ST_DONE,
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
from .slots import generation, owner

__all__ = ["Recover"]

OP_ENTER = 14
OP_RECLAIM = 15
OP_REBUILD = 16

SEQ_LIMIT = 1 << 62  # at a million a second, 146,000 years

SETS = (IDLE, CROWDED, CURIOUS, CRAMPED)


class Recover:
    """Enter and leave, reclaim, rebuild."""

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
        w[row + P_GEN] += 1
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
        core = self.core
        w = self.w
        core.clear_out()
        row = core.row(index)
        if w[row + P_STATE] != PART_ACTIVE:
            return 0
        w[OP] = OP_RECLAIM
        count = 0
        while w[row + P_OWNED]:
            slot = w[row + P_OWNED] - 1
            if self._return(slot, row, died, exit_word, rss, oom, now) and count < WAKES:
                self.out[count] = slot
                count += 1
        self._bequeath_inbox(row)
        for members in SETS:
            discard_from_set(w, members, index)
        w[RECLAIMED] += count if died else 0
        w[row + P_STATE] = PART_FREE
        core.hand_on()
        core.wake_all(CROWDED)
        w[OP] = 0
        return count

    def _return(self, slot: int, row: int, died: bool, exit_word: int, rss: int, oom: int, now: int) -> bool:
        """Take ``slot`` from its owner; whether its task is back in the queue."""
        core = self.core
        w = self.w
        word = w[core.state_at + slot]
        status = word & STATUS_MASK
        if status == ST_WRITING:
            core.disown(slot)
            core.slots.release(slot)
            core.drop_payload(slot)
            return False
        if status == ST_QUEUED or not died:
            self.deliver.requeue(slot, 0)
            return True
        deaths = ((word & DEATHS_MASK) >> DEATHS_SHIFT) + 1
        m = core.meta_at + slot * META_WORDS
        if deaths <= w[m + M_LIMITS] >> L_DEATHS_SHIFT & MAX_DEATHS:
            self.deliver.requeue(slot, 1 << DEATHS_SHIFT)
            return True
        core.disown(slot)
        self._bury(slot, m, row, exit_word, rss, oom)
        attempts = word & ATTEMPTS_MASK
        kept = attempts | min(deaths, MAX_DEATHS) << DEATHS_SHIFT | word & GEN_MASK << GEN_SHIFT
        self.ending.finish(slot, kept | ST_KILLED, now)
        return False

    def _bury(self, slot: int, m: int, row: int, exit_word: int, rss: int, oom: int) -> None:
        """Write how its last worker died into the slot: seven words, always room for them."""
        w = self.w
        self.core.drop_result(slot)
        at = m + M_RESULT_INLINE
        w[at] = w[row + P_PID]
        w[at + 1] = exit_word
        w[at + 2] = rss or w[row + P_RSS]
        w[at + 3] = oom
        for n in range(3):
            w[at + 4 + n] = w[row + P_NAME + n]
        w[m + M_KIND] = KIND_DIED
        w[m + M_RESULT] = D_INLINE | RESULT_INLINE_BYTES << 32

    def _bequeath_inbox(self, row: int) -> None:
        """Keep the results that a leaving participant has not noticed, for whoever has the ids."""
        w = self.w
        core = self.core
        steps = w[FRESH]
        while w[row + P_INBOX] and steps:
            slot = w[row + P_INBOX] - 1
            core.chains.remove(row + P_INBOX, slot)
            core.chains.insert_last(UNFETCHED, slot, M_DONE_SEQ)
            steps -= 1

    # --- rebuilding -----------------------------------------------------------------------------

    def rebuild(self, now: int) -> int:
        """Make every derived structure anew from the truth; how many slots held garbage."""
        core = self.core
        w = self.w
        core.clear_out()
        w[OP] = OP_REBUILD
        self._reset()
        highest = w[SEQ] if w[SEQ] < SEQ_LIMIT else 0
        corrupt = 0
        for slot in range(w[FRESH]):
            if not self._is_sound(slot):
                self._quarantine(slot)
                corrupt += 1
            self._free_of_nobody(slot)
            m = core.meta_at + slot * META_WORDS
            if w[core.state_at + slot] & STATUS_MASK > ST_WRITING:
                highest = max(highest, w[m + M_SEQ] + 1, w[m + M_DONE_SEQ] + 1)
            self._file(slot, m)
        core.ready.sort()
        core.chains.sort(UNFETCHED, M_DONE_SEQ)
        core.chains.sort(FETCHED, M_DONE_SEQ)
        for index in range(w[PART_HIGH]):
            row = core.row(index)
            core.chains.sort(row + P_INBOX, M_DONE_SEQ)
            if w[row + P_STATE] == PART_ACTIVE:
                core.wake(index)
        core.arena.settle()
        w[SEQ] = highest
        w[COUNTS + ST_FREE] += core.capacity - w[FRESH]
        w[REBUILDS] += 1
        w[OP] = 0
        return corrupt

    def _reset(self) -> None:
        core = self.core
        w = self.w
        if w[SLOTS_COMMITTED] > core.capacity:
            w[SLOTS_COMMITTED] = core.capacity
        if w[FRESH] > w[SLOTS_COMMITTED]:
            w[FRESH] = w[SLOTS_COMMITTED]
        if w[PART_HIGH] > core.participants:
            w[PART_HIGH] = core.participants
        for at in (FREE_HEAD, HEAP_SIZE, LEVELS, UNFETCHED, UNFETCHED + 1, FETCHED, FETCHED + 1):
            w[at] = 0
        for at in (PAYLOAD_BLOCKS, RESULT_BLOCKS, PAYLOAD_BLOB_BYTES, RESULT_BLOB_BYTES):
            w[at] = 0
        for at in range(COUNTS, COUNTS + 16):
            w[at] = 0
        for at in range(READY, READY + 2 * LEVEL_COUNT):
            w[at] = 0
        for members in SETS:
            for at in range(members, members + 1 + SET_WORDS):
                w[at] = 0
        for index in range(w[PART_HIGH]):
            row = core.row(index)
            for at in (row + P_INBOX, row + P_INBOX + 1, row + P_TASKS, row + P_DONE):
                w[at] = 0
            w[row + P_OWNED] = 0
            w[row + P_OWNED + 1] = 0
        for at in range(core.buckets_at, core.buckets_at + core.buckets):
            w[at] = 0
        core.arena.reset()

    def _is_sound(self, slot: int) -> bool:
        """Whether the words of ``slot`` can be what ipcq wrote."""
        w = self.w
        core = self.core
        word = w[core.state_at + slot]
        status = word & STATUS_MASK
        if status > ST_LAST or owner(word) > core.participants:
            return False
        if status == ST_FREE:
            return True
        if (status == ST_WRITING or status == ST_QUEUED or status == ST_RUNNING) != (owner(word) > 0):
            return False
        m = core.meta_at + slot * META_WORDS
        payload = w[m + M_PAYLOAD]
        return (
            w[m + M_SEQ] < SEQ_LIMIT
            and w[m + M_DONE_SEQ] < SEQ_LIMIT
            and self._fits(payload, INLINE_BYTES)
            and self._fits(w[m + M_RESULT], RESULT_INLINE_BYTES)
            and (payload & 3 == D_BLOB or w[m + M_PARTS] & 0xFFFF_FFFF <= payload >> 32)
            and self._claim(slot, m)
        )

    def _fits(self, desc: int, inline: int) -> bool:
        kind = desc & 3
        if kind == D_INLINE:
            return desc >> 32 <= inline
        if kind == D_ARENA:
            return desc >> 32 <= BLOCK_BYTES << min(desc >> 2 & 63, 32)
        return kind == D_BLOB or desc == 0

    def _claim(self, slot: int, m: int) -> bool:
        """Claim the areas that a slot uses; what a finished run left of its payload is dropped."""
        w = self.w
        core = self.core
        status = w[core.state_at + slot] & STATUS_MASK
        if status == ST_DONE and w[m + M_PAYLOAD] & 3 > D_INLINE:
            w[m + M_PAYLOAD] = 0
        if w[m + M_RESULT] and (status == ST_WRITING or status == ST_PENDING or status == ST_QUEUED):
            w[m + M_RESULT] = 0
        payload = w[m + M_PAYLOAD]
        if payload & 3 == D_ARENA and not core.arena.claim(payload >> 8 & 0xFFFFFF, payload >> 2 & 63):
            return False
        result = w[m + M_RESULT]
        if result & 3 == D_ARENA and not core.arena.claim(result >> 8 & 0xFFFFFF, result >> 2 & 63):
            # The payload's area stays claimed until the next rebuild; nobody uses it meanwhile.
            return False
        return True

    def _free_of_nobody(self, slot: int) -> None:
        """Take a slot from an owner whose row is not in use; only garbage in that row leads here."""
        w = self.w
        at = self.core.state_at + slot
        word = w[at]
        if not owner(word) or w[self.core.row(owner(word) - 1) + P_STATE] == PART_ACTIVE:
            return
        kept = word & GEN_MASK << GEN_SHIFT
        if word & STATUS_MASK == ST_WRITING:
            w[at] = kept | ST_FREE
        else:
            w[at] = kept | word & COUNTED_MASK | ST_PENDING

    def _quarantine(self, slot: int) -> None:
        """Make a slot with garbage a KILLED task that says so."""
        w = self.w
        core = self.core
        m = core.meta_at + slot * META_WORDS
        w[m + M_PAYLOAD] = 0
        w[m + M_RESULT] = 0
        w[m + M_PARTS] = 0
        w[m + M_KIND] = KIND_CORRUPT
        w[m + M_DONE_SEQ] = 0
        w[m + M_SEQ] = 0
        w[core.state_at + slot] = generation(w[core.state_at + slot]) << GEN_SHIFT | ST_KILLED

    def _file(self, slot: int, m: int) -> None:
        """Enter one slot into the derived structures."""
        w = self.w
        core = self.core
        word = w[core.state_at + slot]
        status = word & STATUS_MASK
        w[COUNTS + status] += 1
        if status == ST_FREE:
            core.slots.link_free(slot)
            return
        self._account(m)
        if owner(word):
            core.own(slot, owner(word) - 1)
        if status == ST_WRITING:
            return
        core.index.add(slot)
        self._charge_pusher(slot, m, word)
        if status == ST_DONE or status == ST_KILLED:
            core.chains.append(core.list_of(slot), slot)
        elif status == ST_QUEUED or status == ST_RUNNING:
            return
        elif word & DELAYED:
            core.delay.add(slot)
        else:
            core.ready.append(slot)

    def _account(self, m: int) -> None:
        """Count the bytes that a slot occupies."""
        w = self.w
        payload = w[m + M_PAYLOAD]
        if payload & 3 == D_ARENA:
            w[PAYLOAD_BLOCKS] += 1 << (payload >> 2 & 63)
        elif payload & 3 == D_BLOB:
            w[PAYLOAD_BLOB_BYTES] += payload >> 2
        result = w[m + M_RESULT]
        if result & 3 == D_ARENA:
            w[RESULT_BLOCKS] += 1 << (result >> 2 & 63)
        elif result & 3 == D_BLOB:
            w[RESULT_BLOB_BYTES] += result >> 2

    def _charge_pusher(self, slot: int, m: int, word: int) -> None:
        w = self.w
        core = self.core
        if word & FETCHED_FLAG or not w[m + M_LIMITS] & L_KEEP:
            return
        pusher = core.submitter(slot)
        if pusher:
            row = core.row(pusher - 1)
            w[row + P_TASKS] += 1
            status = word & STATUS_MASK
            w[row + P_DONE] += 1 if status == ST_DONE or status == ST_KILLED else 0

    # --- blobs ----------------------------------------------------------------------------------

    def is_live_blob(self, slot: int, gen: int, epoch: int) -> bool:
        """Whether a file of this name belongs to a task. Once it does not, it never will again."""
        w = self.w
        core = self.core
        if slot >= w[FRESH]:
            return False
        word = w[core.state_at + slot]
        if word & STATUS_MASK == ST_FREE or generation(word) != gen:
            return False
        m = core.meta_at + slot * META_WORDS
        if not epoch:
            return w[m + M_PAYLOAD] & 3 == D_BLOB
        return w[m + M_RESULT] & 3 == D_BLOB and w[m + M_EPOCH] == epoch
