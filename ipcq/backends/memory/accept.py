"""Critical sections that take tasks in. Each is called with the queue's lock held.

The order of stores is the crash safety: whatever a slot holds is written while its state word
still says FREE (or WRITING), the state word is committed with one store, and only then do the
derived structures learn of it. A kill before the commit leaves a free slot with garbage in it, a
kill after it leaves an accepted task that the next holder of the lock puts into its place.
"""

from __future__ import annotations

from .core import Core
from .layout import (
    ARENA_COMMITTED,
    CROWDED,
    D_ARENA,
    D_BLOB,
    D_INLINE,
    DELAYED,
    DUPLICATE,
    FULL,
    GEN_MASK,
    GEN_SHIFT,
    HALF_MASK,
    IDLE,
    INLINE_BYTES,
    L_GIVEN_ID,
    L_KEEP,
    LAST_ACCEPTED,
    LOST,
    M_CREATED,
    M_DONE_AT,
    M_ID_HI,
    M_ID_LO,
    M_INLINE,
    M_KIND,
    M_LIMITS,
    M_LOCK_AT,
    M_PARTS,
    M_PAYLOAD,
    M_RESULT,
    M_RUN_AT,
    M_SEQ,
    M_STARTED,
    M_SUBMITTER,
    M_TIMEOUT,
    META_WORDS,
    NEED_ARENA,
    NEED_SLOTS,
    NO_BYTES,
    OK,
    OP,
    OWNER_SHIFT,
    P_GEN,
    P_STATE,
    P_TASKS,
    PART_ACTIVE,
    PAYLOAD_BLOB_BYTES,
    PAYLOAD_BLOCKS,
    S_ID_HI,
    S_ID_LO,
    S_LENGTH,
    S_LIMITS,
    S_OFFSET,
    S_PARTS,
    S_RUN_AT,
    S_TIMEOUT,
    S_WORDS,
    SEQ,
    SLOTS_COMMITTED,
    ST_PENDING,
    ST_WRITING,
    STATUS_MASK,
)
from .slots import generation, owner

__all__ = ["Accept"]

OP_PUSH = 1
OP_RESERVE = 2
OP_PUBLISH = 3
OP_MAKE_ROOM = 13


class Accept:
    """Push, in the two ways: small payloads within the lock, large ones around it."""

    def __init__(self, core: Core, payload_blocks: int, payload_blob_bytes: int) -> None:
        """
        Args:
            payload_blocks: arena blocks that payloads may use; the rest is the results' reserve.
            payload_blob_bytes: likewise for blob files.
        """
        self.core = core
        self.w = core.w
        self.stage = core.stage
        self.out = core.out
        self.payload_blocks = payload_blocks
        self.payload_blob_bytes = payload_blob_bytes

    def push(self, data: memoryview, count: int, index: int, now: int) -> int:
        """Accept staged tasks with payloads up to `COPY_LIMIT`, in their order.

        Args:
            data: the payloads, joined.
            count: how many tasks are staged.
            index: the pusher's participant.
            now: this moment.

        Returns:
            OK or why it stopped; ``out[0]`` is how many were accepted.
        """
        w = self.w
        self.core.clear_out()
        w[OP] = OP_PUSH
        done = 0
        code = OK
        while done < count:
            code = self._push_one(data, done * S_WORDS, index, now)
            if code != OK:
                break
            done += 1
        if done:
            w[LAST_ACCEPTED] = now
        self._wake_workers(done)
        self.out[0] = done
        self.core.close()
        return code

    def _push_one(self, data: memoryview, s: int, index: int, now: int) -> int:
        stage = self.stage
        if stage[s + S_LIMITS] & L_GIVEN_ID and self.core.index.find(stage[s + S_ID_HI], stage[s + S_ID_LO]):
            return DUPLICATE
        length = stage[s + S_LENGTH]
        desc = D_INLINE | length << 32
        if length > INLINE_BYTES:
            desc = self.payload_area(length)
            if desc == NEED_ARENA or desc == NO_BYTES:
                return desc
        place = self._place()
        if place <= 0:
            if desc & 3 == D_ARENA:
                self._return_area(desc)
            return -place
        slot = place - 1
        m = self.core.meta_at + slot * META_WORDS
        self.core.copy_in(desc, data, stage[s + S_OFFSET], m + M_INLINE)
        self._describe(m, s, index, now, desc)
        self._publish(slot, m, ST_PENDING, index, now)
        return OK

    def payload_area(self, length: int) -> int:
        """A descriptor of an area in the payloads' part of the arena; NEED_ARENA or NO_BYTES.

        Of what is committed they leave the results' share as well, not only of the whole: on a file
        system that is full nothing more is committed.
        """
        w = self.w
        blocks = self.core.arena.blocks
        committed = min(w[ARENA_COMMITTED], blocks)
        most = committed * self.payload_blocks // blocks
        if w[PAYLOAD_BLOCKS] < most:
            desc = self.core.area(length)
            if not desc:
                return NEED_ARENA
            size = 1 << (desc >> 2 & 63)
            if w[PAYLOAD_BLOCKS] + size <= most:
                w[PAYLOAD_BLOCKS] = w[PAYLOAD_BLOCKS] + size
                return desc
            self.core.arena.give(desc >> 8 & 0xFFFFFF, desc >> 2 & 63)
        return NEED_ARENA if committed < blocks else NO_BYTES

    def _return_area(self, desc: int) -> None:
        self.w[PAYLOAD_BLOCKS] = self.w[PAYLOAD_BLOCKS] - (1 << (desc >> 2 & 63))
        self.core.arena.give(desc >> 8 & 0xFFFFFF, desc >> 2 & 63)

    def _place(self) -> int:
        """A free slot, + 1, or minus the reason why there is none."""
        w = self.w
        place = self.core.slots.reserve()
        if place:
            return place
        if w[SLOTS_COMMITTED] < self.core.capacity:
            return -NEED_SLOTS
        if self.core.give_way():
            place = self.core.slots.reserve()
        return place or -FULL

    def _describe(self, m: int, s: int, index: int, now: int, desc: int) -> None:
        """Write what the slot's metadata must hold before its state word is committed."""
        w = self.w
        stage = self.stage
        w[m + M_ID_HI] = stage[s + S_ID_HI]
        w[m + M_ID_LO] = stage[s + S_ID_LO]
        w[m + M_RUN_AT] = stage[s + S_RUN_AT] or now
        w[m + M_CREATED] = now
        w[m + M_LOCK_AT] = 0
        w[m + M_STARTED] = 0
        w[m + M_DONE_AT] = 0
        w[m + M_LIMITS] = stage[s + S_LIMITS]
        w[m + M_TIMEOUT] = stage[s + S_TIMEOUT]
        w[m + M_PARTS] = stage[s + S_PARTS]
        w[m + M_PAYLOAD] = desc
        w[m + M_RESULT] = 0
        w[m + M_KIND] = 0
        w[m + M_SUBMITTER] = (w[self.core.row(index) + P_GEN] & HALF_MASK) << 16 | index + 1

    def _publish(self, slot: int, m: int, status: int, index: int, now: int) -> None:
        """Commit the slot as accepted, then tell the derived structures."""
        w = self.w
        word = w[self.core.state_at + slot]
        # A slot in WRITING got its generation when it was reserved.
        gen = generation(word) + (0 if word & STATUS_MASK == ST_WRITING else 1)
        seq = w[SEQ]
        w[SEQ] = seq + 1
        w[m + M_SEQ] = seq
        delayed = DELAYED if w[m + M_RUN_AT] > now else 0
        if word & STATUS_MASK == ST_WRITING:
            self.core.disown(slot)
        self.core.slots.commit(slot, (gen & GEN_MASK) << GEN_SHIFT | delayed | status)
        self.core.index.add(slot)
        if delayed:
            self.core.delay.add(slot)
        else:
            self.core.ready.append(slot)
        if w[m + M_LIMITS] & L_KEEP:
            w[self.core.row(index) + P_TASKS] = w[self.core.row(index) + P_TASKS] + 1

    def _wake_workers(self, tasks: int) -> None:
        while tasks and self.core.wake_one(IDLE):
            tasks -= 1

    # --- large payloads -------------------------------------------------------------------------

    def reserve(self, blob: bool, index: int, now: int) -> int:
        """Reserve a place for the first staged task, whose payload is copied outside of the lock.

        Args:
            blob: whether the payload goes to a file of its own.

        Returns:
            OK or the reason; ``out[0]`` is the slot, ``out[1]`` its generation, ``out[2]`` where
            the bytes go in the arena.
        """
        w = self.w
        stage = self.stage
        self.core.clear_out()
        w[OP] = OP_RESERVE
        code = self._reserve(blob, index, now, stage[S_LENGTH])
        self.core.close()
        return code

    def _reserve(self, blob: bool, index: int, now: int, length: int) -> int:
        w = self.w
        stage = self.stage
        if w[self.core.row(index) + P_STATE] != PART_ACTIVE:
            return LOST  # nobody would free the place, should its producer die
        if stage[S_LIMITS] & L_GIVEN_ID and self.core.index.find(stage[S_ID_HI], stage[S_ID_LO]):
            return DUPLICATE
        if blob:
            if w[PAYLOAD_BLOB_BYTES] + length > self.payload_blob_bytes:
                return NO_BYTES
            desc = D_BLOB | length << 2
        else:
            desc = self.payload_area(length)
            if desc == NEED_ARENA or desc == NO_BYTES:
                return desc
        place = self._place()
        if place <= 0:
            if not blob:
                self._return_area(desc)
            return -place
        slot = place - 1
        self._describe(self.core.meta_at + slot * META_WORDS, 0, index, now, desc)
        gen = generation(w[self.core.state_at + slot]) + 1 & GEN_MASK
        self.core.slots.commit(slot, gen << GEN_SHIFT | index + 1 << OWNER_SHIFT | ST_WRITING)
        self.core.own(slot, index)
        if blob:
            w[PAYLOAD_BLOB_BYTES] = w[PAYLOAD_BLOB_BYTES] + length
        self.out[0] = slot
        self.out[1] = gen
        self.out[2] = (desc >> 8 & 0xFFFFFF) if not blob else 0
        return OK

    def publish(self, slot: int, gen: int, index: int, now: int) -> int:
        """WRITING -> PENDING: the payload is complete. LOST if the slot is not ours any more."""
        w = self.w
        self.core.clear_out()
        if not self.is_writing(slot, gen, index):
            return LOST
        m = self.core.meta_at + slot * META_WORDS
        # Another process may have pushed the same id while the payload was copied.
        if w[m + M_LIMITS] & L_GIVEN_ID and self.core.index.find(w[m + M_ID_HI], w[m + M_ID_LO]):
            return DUPLICATE
        w[OP] = OP_PUBLISH
        self._publish(slot, m, ST_PENDING, index, now)
        w[LAST_ACCEPTED] = now
        self._wake_workers(1)
        self.core.close()
        return OK

    def abandon(self, slot: int, gen: int, index: int) -> int:
        """WRITING -> FREE: the payload could not be written."""
        self.core.clear_out()
        if not self.is_writing(slot, gen, index):
            return LOST
        self.w[OP] = OP_PUBLISH
        self.core.disown(slot)
        self.core.slots.release(slot)
        self.core.drop_payload(slot)
        self.core.wake_all(CROWDED)
        self.core.close()
        return OK

    def is_writing(self, slot: int, gen: int, index: int) -> bool:
        """Whether participant ``index`` has reserved that place, and not published it."""
        word = self.w[self.core.state_at + slot]
        return word & STATUS_MASK == ST_WRITING and generation(word) == gen and owner(word) == index + 1

    def make_room(self, most: int) -> int:
        """Remove up to ``most`` fetched results, oldest first; how many gave way."""
        self.core.clear_out()
        self.w[OP] = OP_MAKE_ROOM
        removed = 0
        while removed < most and self.core.give_way():
            removed += 1
        self.core.close()
        return removed

    def wait_for_space(self, index: int) -> int:
        """Join those who wait for a place; the wake word to sleep on."""
        return self.core.wait_in(CROWDED, index)
