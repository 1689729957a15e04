"""The parts of one queue's shared memory, put together once for all critical sections.

Every critical section works on words (`w`), on two byte areas (`b` the control file, `a` the
arena) and on two process-private arrays of words: `stage`, what it is given for a batch, and
`out`, what it answers beyond its return code. No Python object is made or kept inside one.
"""

from __future__ import annotations

from .arena import Arena, order_of
from .bits import add_to_set, pop_from_set
from .chains import Chains
from .delay import Delay
from .draft import Draft
from .index import Index
from .layout import (
    BLOCK_BYTES,
    CROWDED,
    CURIOUS,
    D_ARENA,
    D_BLOB,
    DELAYED,
    FETCHED,
    FETCHED_FLAG,
    FRESH,
    GEN_SHIFT,
    HALF_MASK,
    IDLE,
    L_KEEP,
    LEASE_MASK,
    M_EPOCH,
    M_LIMITS,
    M_PAYLOAD,
    M_RESULT,
    M_SUBMITTER,
    META_WORDS,
    NOTICED,
    OP,
    OP_DAMAGED,
    OWNER_MASK,
    OWNER_SHIFT,
    P_ASLEEP,
    P_DONE,
    P_GEN,
    P_INBOX,
    P_OWNED,
    P_STATE,
    P_TASKS,
    P_WAKE,
    PART_ACTIVE,
    PART_WORDS,
    PARTS_AT,
    PAYLOAD_BLOB_BYTES,
    PAYLOAD_BLOCKS,
    REMOVED,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    STATUS_MASK,
    UNFETCHED,
    UNLINKS,
    WAKES,
    Geometry,
)
from .machine import copy_bytes, fence
from .measure import Measure
from .ready import Ready
from .slots import Slots, file_epoch, file_length, finished, generation
from .words import Words

__all__ = ["Core"]

MOST_WAKES = 512
MOST_UNLINKS = 1024


class Core:
    """One queue's shared memory as its algorithms see it."""

    def __init__(
        self,
        w: Words,
        b: memoryview,
        a: memoryview,
        geometry: Geometry,
        out: Words,
        stage: Words,
    ) -> None:
        self.w = w
        self.b = b
        self.a = a
        self.out = out
        self.stage = stage
        self.capacity = geometry.capacity
        self.participants = geometry.participants
        self.state_at = geometry.state_at
        self.meta_at = geometry.meta_at
        self.buckets_at = geometry.buckets_at
        self.buckets = geometry.buckets
        self.slots = Slots(w, geometry.state_at, geometry.meta_at)
        self.draft = Draft(w, self.slots)
        self.measure = Measure(w)
        self.chains = Chains(w, geometry.meta_at, geometry.capacity)
        self.ready = Ready(w, geometry.meta_at, self.chains)
        self.delay = Delay(w, geometry.meta_at, geometry.heap_at, geometry.capacity)
        self.index = Index(w, geometry.meta_at, geometry.buckets_at, geometry.buckets, geometry.capacity)
        self.arena = Arena(w, geometry.map_at, geometry.arena_blocks)

    # --- participants -------------------------------------------------------------------------

    def row(self, index: int) -> int:
        """Where participant ``index`` starts."""
        return PARTS_AT + index * PART_WORDS

    def submitter(self, slot: int) -> int:
        """The row number, + 1, of who pushed the task in ``slot``; 0 if it is gone."""
        word = self.w[self.meta_at + slot * META_WORDS + M_SUBMITTER]
        index = word & 0xFFFF
        if not index or index > self.participants:
            return 0
        row = self.row(index - 1)
        if self.w[row + P_STATE] != PART_ACTIVE or self.w[row + P_GEN] & HALF_MASK != word >> 16:
            return 0
        return index

    def holds(self, slot: int, gen: int, epoch: int, index: int, status: int) -> bool:
        """Whether participant ``index`` has a valid lease on ``slot``, in that status."""
        w = self.w
        lease = gen << GEN_SHIFT | index + 1 << OWNER_SHIFT | status
        return (
            w[self.state_at + slot] & LEASE_MASK == lease
            and w[self.meta_at + slot * META_WORDS + M_EPOCH] == epoch
        )

    def is_ready(self, slot: int) -> bool:
        """Whether the task in ``slot`` is what a ready list holds."""
        word = self.w[self.state_at + slot]
        status = word & STATUS_MASK
        return (status == ST_PENDING or status == ST_FAILED) and not word & DELAYED

    def own(self, slot: int, index: int) -> None:
        """Enter ``slot`` among those of participant ``index``."""
        self.chains.append(self.row(index) + P_OWNED, slot)

    def disown(self, slot: int) -> None:
        """Take ``slot`` from those of its owner, which its state word still names."""
        index = ((self.w[self.state_at + slot] & OWNER_MASK) >> OWNER_SHIFT) - 1
        self.chains.remove(self.row(index) + P_OWNED, slot)

    def close(self) -> None:
        """End the critical section, unless it met damage: then the next one begins with a rebuild."""
        if self.w[OP] != OP_DAMAGED:
            self.w[OP] = 0

    # --- waking -------------------------------------------------------------------------------

    def clear_out(self) -> None:
        """Forget what the critical section before this one answered."""
        self.out[WAKES] = 0
        self.out[UNLINKS] = 0

    def wake(self, index: int) -> None:
        """Bump the wake word of a participant; if it sleeps, the system call follows after the lock."""
        w = self.w
        out = self.out
        if index >= self.participants:
            return
        row = self.row(index)
        w[row + P_WAKE] = (w[row + P_WAKE] & HALF_MASK) + 1 & HALF_MASK  # also where garbage is
        fence()  # or both could look before either's store arrives: the bump unseen, the sleeper unseen
        if not w[row + P_ASLEEP]:
            return
        count = out[WAKES]
        if count and out[WAKES + count] == index:
            count = MOST_WAKES  # once for all that it gets from this section
        if count < MOST_WAKES:
            out[WAKES + 1 + count] = index
            out[WAKES] = count + 1

    def wake_one(self, members: int) -> int:
        """Wake one participant of the set at word ``members``; 0 when it was empty."""
        index = pop_from_set(self.w, members)
        if index < 0:
            return 0
        self.wake(index)
        return 1

    def wake_all(self, members: int) -> None:
        """Wake all participants of a set, and empty it."""
        while self.wake_one(members):
            pass

    def wait_in(self, members: int, index: int) -> int:
        """Enter a set of waiting participants; the value of the wake word to sleep on."""
        add_to_set(self.w, members, index)
        return self.w[self.row(index) + P_WAKE]

    # --- payloads -----------------------------------------------------------------------------

    def _list_unlink(self, slot: int, epoch: int) -> None:
        out = self.out
        count = out[UNLINKS]
        if count < MOST_UNLINKS:  # the rest is found by the sweep of the blob directory
            at = UNLINKS + 1 + 3 * count
            out[at] = slot
            out[at + 1] = generation(self.w[self.state_at + slot])
            out[at + 2] = epoch
            out[UNLINKS] = count + 1

    def drop_payload(self, slot: int) -> None:
        """Give back what the payload of ``slot`` occupies; one that lies in the slot stays."""
        w = self.w
        at = self.meta_at + slot * META_WORDS + M_PAYLOAD
        desc = w[at]
        kind = desc & 3
        if kind == D_BLOB:
            w[at] = 0
            w[PAYLOAD_BLOB_BYTES] = w[PAYLOAD_BLOB_BYTES] - file_length(desc)
            self._list_unlink(slot, file_epoch(desc))
        elif kind == D_ARENA:
            w[at] = 0
            w[PAYLOAD_BLOCKS] = w[PAYLOAD_BLOCKS] - (1 << (desc >> 2 & 63))
            self.arena.give(desc >> 8 & 0xFFFFFF, desc >> 2 & 63)

    def drop_result(self, slot: int) -> None:
        """Give back what the result of ``slot`` occupies, and forget it."""
        w = self.w
        m = self.meta_at + slot * META_WORDS
        desc = w[m + M_RESULT]
        if not desc:
            return
        w[m + M_RESULT] = 0
        kind = desc & 3
        if kind == D_BLOB:
            w[RESULT_BLOB_BYTES] = w[RESULT_BLOB_BYTES] - file_length(desc)
            self._list_unlink(slot, w[m + M_EPOCH])
        elif kind == D_ARENA:
            w[RESULT_BLOCKS] = w[RESULT_BLOCKS] - (1 << (desc >> 2 & 63))
            self.arena.give(desc >> 8 & 0xFFFFFF, desc >> 2 & 63)

    def area(self, length: int) -> int:
        """A descriptor of a new area for ``length`` bytes in the arena; 0 when there is none."""
        order = order_of(length)
        block = self.arena.take(order)
        return D_ARENA | order << 2 | (block - 1) << 8 | length << 32 if block else 0

    def copy_in(self, desc: int, data: bytes | memoryview, start: int, inline_at: int) -> None:
        """Copy the bytes of a payload to where ``desc`` says; ``inline_at`` is a word index."""
        length = desc >> 32
        if desc & 3 == D_ARENA:
            at = (desc >> 8 & 0xFFFFFF) * BLOCK_BYTES
            copy_bytes(self.a, at, data, start, length)
        else:
            at = inline_at * 8
            copy_bytes(self.b, at, data, start, length)

    # --- finished tasks -----------------------------------------------------------------------

    def file_finished(self, slot: int) -> None:
        """Put a task that has just finished into the list where it belongs, and wake who waits."""
        w = self.w
        pusher = self.submitter(slot)
        if pusher:
            row = self.row(pusher - 1)
            if self.is_charged(slot):
                w[row + P_DONE] = w[row + P_DONE] + 1
                if not w[self.meta_at + slot * META_WORDS + M_LIMITS] & L_KEEP:
                    w[row + P_TASKS] = w[row + P_TASKS] + 1  # not until now: it was to free its place
            self.chains.append(row + P_INBOX, slot)
            self.wake(pusher - 1)
        else:
            self.chains.append(UNFETCHED, slot)
        if w[CURIOUS]:
            self.wake_all(CURIOUS)

    def list_of(self, slot: int) -> int:
        """The list that a finished task is in."""
        word = self.w[self.state_at + slot]
        if word & FETCHED_FLAG:
            return FETCHED
        pusher = 0 if word & NOTICED else self.submitter(slot)
        return self.row(pusher - 1) + P_INBOX if pusher else UNFETCHED

    def is_charged(self, slot: int) -> bool:
        """Whether the place of a task is on its pusher's account: its result is kept, or it was KILLED."""
        return (
            self.w[self.meta_at + slot * META_WORDS + M_LIMITS] & L_KEEP != 0
            or self.w[self.state_at + slot] & STATUS_MASK == ST_KILLED
        )

    def forget_pusher(self, slot: int, done: int) -> None:
        """Take the place of a task off its pusher's account; ``done`` is 1 when it is finished."""
        pusher = self.submitter(slot)
        if pusher and self.is_charged(slot):
            row = self.row(pusher - 1)
            self.w[row + P_TASKS] = self.w[row + P_TASKS] - 1
            self.w[row + P_DONE] = self.w[row + P_DONE] - done

    def charge_pusher(self, slot: int) -> None:
        """Put the place of a task that is owed a run again on its pusher's account."""
        pusher = self.submitter(slot)
        if pusher:
            row = self.row(pusher - 1)
            self.w[row + P_TASKS] = self.w[row + P_TASKS] + 1

    def give_way(self) -> int:
        """Remove the result that was fetched first; 0 when there is none."""
        first = self.w[FETCHED]
        if not first:
            return 0
        slot = first - 1
        word = self.w[self.state_at + slot]
        if not finished(word) or not word & FETCHED_FLAG:
            self.w[OP] = OP_DAMAGED
            return 0
        self.remove_finished(slot)
        return 1

    def remove_finished(self, slot: int) -> None:
        """Remove a finished task: its place, payload and result are free then."""
        w = self.w
        if not w[self.state_at + slot] & FETCHED_FLAG:
            w[REMOVED] = w[REMOVED] + 1
        self.chains.remove(self.list_of(slot), slot)
        self.free(slot)

    def free(self, slot: int) -> None:
        """Free a slot that is in no list any more, with all it holds."""
        word = self.w[self.state_at + slot]
        self.index.remove(slot)
        if not word & FETCHED_FLAG:
            self.forget_pusher(slot, 1 if finished(word) else 0)
        self.slots.release(slot)
        self.drop_payload(slot)
        self.drop_result(slot)
        if self.w[CROWDED]:
            self.wake_all(CROWDED)

    def used_slots(self) -> int:
        """Slots from here on were never used."""
        return self.w[FRESH]

    def hand_on(self) -> None:
        """Wake one more worker when there is more to take and somebody waits for it."""
        if self.w[IDLE] and self.ready.first():
            self.wake_one(IDLE)
