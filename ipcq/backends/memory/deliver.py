"""Critical sections by which workers get tasks and end them. Each is called with the lock held.

A lease is (slot, generation, epoch, owner): the epoch grows with every hand-out, so that a worker
whose task was taken away can change nothing any more.
"""

from __future__ import annotations

from .bits import add_to_set, discard_from_set
from .core import Core
from .layout import (
    ACTIVITY,
    ATTEMPTS_MASK,
    ATTEMPTS_SHIFT,
    COUNTED_MASK,
    CRAMPED,
    CROWDED,
    D_BLOB,
    D_INLINE,
    DELAYED,
    GEN_MASK,
    GEN_SHIFT,
    IDLE,
    L_KEEP,
    LOST,
    M_DONE_AT,
    M_DONE_SEQ,
    M_EPOCH,
    M_KIND,
    M_LIMITS,
    M_LOCK_AT,
    M_RESULT,
    M_RESULT_INLINE,
    M_RUN_AT,
    M_SEQ,
    M_STARTED,
    MAX_ATTEMPTS,
    META_WORDS,
    NEED_ARENA,
    NO_BYTES,
    OK,
    OP,
    OWNER_SHIFT,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    RESULT_INLINE_BYTES,
    SEQ,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    STATUS_MASK,
)
from .slots import generation, owner

__all__ = ["Deliver"]

OP_TAKE = 4
OP_START = 5
OP_END = 6
OP_GIVE_BACK = 7
OP_RESERVE_RESULT = 8

MOST_PROMOTED = 64  # delayed tasks that become ready in one hold of the lock
DAY = 86_400_000_000  # microseconds


class Deliver:
    """Take, start, end and give back."""

    def __init__(self, core: Core, result_blob_bytes: int) -> None:
        self.core = core
        self.w = core.w
        self.out = core.out
        self.result_blob_bytes = result_blob_bytes

    # --- taking ---------------------------------------------------------------------------------

    def take(self, index: int, most: int, now: int) -> int:
        """Hand up to ``most`` ready tasks to participant ``index``: the first RUNNING, others QUEUED.

        Returns:
            How many; ``out[2n]`` is a slot and ``out[2n + 1]`` its epoch. With 0, the participant
            waits for work now: ``out[0]`` is the wake word to sleep on, ``out[1]`` the moment at
            which the next delayed task is due, or 0.
        """
        core = self.core
        core.clear_out()
        self.w[OP] = OP_TAKE
        count = self._take(index, most, now)
        self.w[OP] = 0
        return count

    def _take(self, index: int, most: int, now: int) -> int:
        core = self.core
        w = self.w
        out = self.out
        if core.delay.first():
            self._promote(now)
        count = 0
        while count < most:
            first = core.ready.first()
            if not first:
                break
            self._hand_out(first - 1, index, ST_QUEUED if count else ST_RUNNING, now)
            out[2 * count] = first - 1
            out[2 * count + 1] = w[core.meta_at + (first - 1) * META_WORDS + M_EPOCH]
            count += 1
        if count:
            discard_from_set(w, IDLE, index)  # or a pusher would wake us instead of an idle one
            core.hand_on()
            return count
        out[0] = core.wait_in(IDLE, index)
        delayed = core.delay.first()
        out[1] = w[core.meta_at + (delayed - 1) * META_WORDS + M_RUN_AT] if delayed else 0
        return 0

    def _promote(self, now: int) -> None:
        """Move delayed tasks that are due to the end of their ready lists."""
        core = self.core
        w = self.w
        left = MOST_PROMOTED
        first = core.delay.first()
        while first and left:
            slot = first - 1
            m = core.meta_at + slot * META_WORDS
            if w[m + M_RUN_AT] > now:
                return
            core.delay.remove(slot)
            seq = w[SEQ]
            w[SEQ] = seq + 1
            w[m + M_SEQ] = seq
            w[core.state_at + slot] &= ~DELAYED
            core.ready.append(slot)
            left -= 1
            first = core.delay.first()

    def _hand_out(self, slot: int, index: int, status: int, now: int) -> None:
        core = self.core
        w = self.w
        m = core.meta_at + slot * META_WORDS
        core.ready.remove(slot)
        word = w[core.state_at + slot]
        w[m + M_EPOCH] += 1  # alone it changes nothing: nobody holds the new epoch
        w[m + M_LOCK_AT] = now
        if status == ST_RUNNING:
            w[m + M_STARTED] = now
        kept = word & (COUNTED_MASK | GEN_MASK << GEN_SHIFT)
        core.slots.commit(slot, kept | index + 1 << OWNER_SHIFT | status)
        core.drop_result(slot)  # the error of the run before

    def start(self, slot: int, gen: int, epoch: int, index: int, now: int) -> int:
        """QUEUED -> RUNNING; LOST where the lease is void."""
        core = self.core
        w = self.w
        core.clear_out()
        if not self._holds(slot, gen, epoch, index, ST_QUEUED):
            return LOST
        w[OP] = OP_START
        w[core.meta_at + slot * META_WORDS + M_STARTED] = now
        word = w[core.state_at + slot]
        core.slots.commit(slot, word & ~STATUS_MASK | ST_RUNNING)
        w[OP] = 0
        return OK

    def _holds(self, slot: int, gen: int, epoch: int, index: int, status: int) -> bool:
        word = self.w[self.core.state_at + slot]
        return (
            word & STATUS_MASK == status
            and generation(word) == gen
            and owner(word) == index + 1
            and self.w[self.core.meta_at + slot * META_WORDS + M_EPOCH] == epoch
        )

    # --- ending ---------------------------------------------------------------------------------

    def reserve_result(self, slot: int, gen: int, epoch: int, index: int, length: int, blob: bool) -> int:
        """Reserve room for a result that is copied outside of the lock, while still RUNNING.

        Returns:
            OK, LOST, NEED_ARENA or NO_BYTES; ``out[0]`` is the first block in the arena.
        """
        core = self.core
        w = self.w
        core.clear_out()
        if not self._holds(slot, gen, epoch, index, ST_RUNNING):
            return LOST
        w[OP] = OP_RESERVE_RESULT
        core.drop_result(slot)
        code = self._reserve_result(core.meta_at + slot * META_WORDS, length, blob)
        w[OP] = 0
        return code

    def _reserve_result(self, m: int, length: int, blob: bool) -> int:
        core = self.core
        w = self.w
        if blob:
            if w[RESULT_BLOB_BYTES] + length > self.result_blob_bytes:
                return NO_BYTES
            w[RESULT_BLOB_BYTES] += length
            w[m + M_RESULT] = D_BLOB | length << 2
            return OK
        desc = core.area(length)
        if not desc:
            return NEED_ARENA
        w[RESULT_BLOCKS] += 1 << (desc >> 2 & 63)
        w[m + M_RESULT] = desc
        self.out[0] = desc >> 8 & 0xFFFFFF
        return OK

    def end(
        self,
        slot: int,
        gen: int,
        epoch: int,
        index: int,
        status: int,
        kind: int,
        data: memoryview,
        length: int,
        run_at: int,
        now: int,
    ) -> int:
        """RUNNING -> DONE, FAILED or KILLED, with what the run gave.

        Args:
            status: ST_DONE; ST_FAILED, which becomes ST_KILLED with no attempt left; ST_KILLED.
            kind: what the result is, with its codec.
            data: a result of up to `COPY_LIMIT` bytes; empty where one was reserved and written.
            length: its bytes.
            run_at: when a FAILED task is due again.

        Returns:
            OK, LOST or NEED_ARENA; ``out[0]`` is the status it got.
        """
        core = self.core
        core.clear_out()
        if not self._holds(slot, gen, epoch, index, ST_RUNNING):
            return LOST
        self.w[OP] = OP_END
        code = self._end(slot, status, kind, data, length, run_at, now)
        self.w[OP] = 0
        return code

    def _end(
        self, slot: int, status: int, kind: int, data: memoryview, length: int, run_at: int, now: int
    ) -> int:
        core = self.core
        w = self.w
        m = core.meta_at + slot * META_WORDS
        if length:
            core.drop_result(slot)
            if length <= RESULT_INLINE_BYTES:
                core.copy_in(D_INLINE | length << 32, data, 0, m + M_RESULT_INLINE)
                w[m + M_RESULT] = D_INLINE | length << 32
            else:
                if self._reserve_result(m, length, False) != OK:
                    return NEED_ARENA
                core.copy_in(w[m + M_RESULT], data, 0, m + M_RESULT_INLINE)
        word = w[core.state_at + slot]
        attempts = ((word & ATTEMPTS_MASK) >> ATTEMPTS_SHIFT) + 1
        if status == ST_FAILED and attempts >= w[m + M_LIMITS] & MAX_ATTEMPTS:
            status = ST_KILLED
        w[m + M_KIND] = kind
        kept = word & (COUNTED_MASK & ~ATTEMPTS_MASK | GEN_MASK << GEN_SHIFT)
        kept |= min(attempts, MAX_ATTEMPTS) << ATTEMPTS_SHIFT
        self.out[0] = status
        if status == ST_FAILED:
            self._owe(slot, m, kept, run_at, now)
        else:
            self.finish(slot, kept | status, now)
        return OK

    def _owe(self, slot: int, m: int, kept: int, run_at: int, now: int) -> None:
        """Commit FAILED: another run is owed, at ``run_at``."""
        core = self.core
        w = self.w
        delayed = DELAYED if run_at > now else 0
        if not delayed:
            # Behind the others, as a new task. Alone these two stores only move a RUNNING task's
            # place in the order, should its worker die right here.
            seq = w[SEQ]
            w[SEQ] = seq + 1
            w[m + M_SEQ] = seq
        w[m + M_RUN_AT] = run_at
        core.slots.commit(slot, kept | delayed | ST_FAILED)
        if delayed:
            core.delay.add(slot)
            core.wake_one(IDLE)  # it must learn of the earlier moment to wake up
        else:
            core.ready.append(slot)
            core.wake_one(IDLE)

    def finish(self, slot: int, word: int, now: int) -> None:
        """Commit DONE or KILLED, then free what is not needed and tell who waits."""
        core = self.core
        w = self.w
        m = core.meta_at + slot * META_WORDS
        w[m + M_DONE_AT] = now
        seq = w[SEQ]
        w[SEQ] = seq + 1
        w[m + M_DONE_SEQ] = seq
        core.slots.commit(slot, word)
        self._count(now)
        if word & STATUS_MASK == ST_DONE:
            if not w[m + M_LIMITS] & L_KEEP:
                core.free(slot)
                return
            core.drop_payload(slot)
        core.file_finished(slot)

    def _count(self, now: int) -> None:
        """Count one more finished task of this day."""
        day = now // DAY
        at = ACTIVITY + day % 8
        word = self.w[at]
        self.w[at] = word + 1 if word >> 40 == day else day << 40 | 1

    def wait_for_room(self, index: int) -> int:
        """Wait for room for a result; the wake word to sleep on. Pushers that wait are told."""
        core = self.core
        core.clear_out()
        add_to_set(self.w, CRAMPED, index)
        core.wake_all(CROWDED)
        return core.wait_in(CROWDED, index)

    def found_room(self, index: int) -> None:
        """The wait is over."""
        discard_from_set(self.w, CRAMPED, index)

    def give_back(self, slot: int, gen: int, epoch: int, index: int) -> int:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged; LOST if not ours."""
        core = self.core
        core.clear_out()
        if not (
            self._holds(slot, gen, epoch, index, ST_QUEUED)
            or self._holds(slot, gen, epoch, index, ST_RUNNING)
        ):
            return LOST
        self.w[OP] = OP_GIVE_BACK
        self.requeue(slot, 0)
        self.w[OP] = 0
        return OK

    def requeue(self, slot: int, deaths: int) -> None:
        """Commit PENDING with ``deaths`` (already shifted) more, at the front of its priority."""
        core = self.core
        word = self.w[core.state_at + slot]
        kept = (word & (COUNTED_MASK | GEN_MASK << GEN_SHIFT)) + deaths
        core.slots.commit(slot, kept | ST_PENDING)
        core.drop_result(slot)
        core.ready.put_back(slot)
        core.wake_one(IDLE)
