"""Critical sections by which a run ends: its result is stored, its task filed. Lock held.

A result of up to `COPY_LIMIT` bytes is copied within the lock; for a larger one room is reserved
first, while the task is still RUNNING, so that a kill during the copy only costs the run.
"""

from __future__ import annotations

from .bits import add_to_set, discard_from_set
from .core import Core
from .layout import (
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
    M_KIND,
    M_LIMITS,
    M_PAYLOAD,
    M_RESULT,
    M_RESULT_INLINE,
    M_RUN_AT,
    M_SEQ,
    MAX_ATTEMPTS,
    META_WORDS,
    NEED_ARENA,
    NO_BYTES,
    OK,
    OP,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    RESULT_INLINE_BYTES,
    SEQ,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_RUNNING,
    STATUS_MASK,
)

__all__ = ["Finish"]

OP_END = 6
OP_RESERVE_RESULT = 8


class Finish:
    """End runs, with room for what they gave."""

    def __init__(self, core: Core, result_blob_bytes: int) -> None:
        self.core = core
        self.w = core.w
        self.out = core.out
        self.result_blob_bytes = result_blob_bytes

    # --- ending ---------------------------------------------------------------------------------

    def reserve_result(self, slot: int, gen: int, epoch: int, index: int, length: int, blob: bool) -> int:
        """Reserve room for a result that is copied outside of the lock, while still RUNNING.

        Returns:
            OK, LOST, NEED_ARENA or NO_BYTES; ``out[0]`` is the first block in the arena.
        """
        w = self.w
        self.core.clear_out()
        if not self.core.holds(slot, gen, epoch, index, ST_RUNNING):
            return LOST
        w[OP] = OP_RESERVE_RESULT
        self.core.drop_result(slot)
        code = self._reserve_result(self.core.meta_at + slot * META_WORDS, length, blob)
        self.core.close()
        return code

    def _reserve_result(self, m: int, length: int, blob: bool) -> int:
        w = self.w
        if blob:
            if w[RESULT_BLOB_BYTES] + length > self.result_blob_bytes:
                return NO_BYTES
            w[RESULT_BLOB_BYTES] = w[RESULT_BLOB_BYTES] + length
            w[m + M_RESULT] = D_BLOB | length << 2
            return OK
        desc = self.core.area(length)
        if not desc:
            return NEED_ARENA
        w[RESULT_BLOCKS] = w[RESULT_BLOCKS] + (1 << (desc >> 2 & 63))
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
        data: bytes | memoryview,
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
        self.core.clear_out()
        if not self.core.holds(slot, gen, epoch, index, ST_RUNNING):
            return LOST
        self.w[OP] = OP_END
        code = self._end(slot, status, kind, data, 0, length, run_at, now)
        self.core.close()
        return code

    def end_many(self, count: int, index: int, kind: int, data: bytes | memoryview, now: int) -> None:
        """RUNNING -> DONE for staged tasks, each with what its run gave, in their order.

        Args:
            count: how many are staged: slot, generation, epoch, where its bytes start in ``data``, how many.
            kind: what their results are, with their codec.

        ``out[n + 1]`` is OK, LOST, or NEED_ARENA for one that is still RUNNING.
        """
        stage = self.core.stage
        self.core.clear_out()
        self.w[OP] = OP_END
        for n in range(count):
            at = 5 * n
            slot = stage[at]
            if not self.core.holds(slot, stage[at + 1], stage[at + 2], index, ST_RUNNING):
                self.out[n + 1] = LOST
                continue
            code = self._end(slot, ST_DONE, kind, data, stage[at + 3], stage[at + 4], 0, now)
            self.out[n + 1] = code
        self.core.close()

    def _end(
        self,
        slot: int,
        status: int,
        kind: int,
        data: bytes | memoryview,
        start: int,
        length: int,
        run_at: int,
        now: int,
    ) -> int:
        w = self.w
        m = self.core.meta_at + slot * META_WORDS
        if length:
            if w[m + M_RESULT]:
                self.core.drop_result(slot)
            if length <= RESULT_INLINE_BYTES:
                self.core.copy_in(D_INLINE | length << 32, data, start, m + M_RESULT_INLINE)
                w[m + M_RESULT] = D_INLINE | length << 32
            else:
                if self._reserve_result(m, length, False) != OK:
                    return NEED_ARENA
                self.core.copy_in(w[m + M_RESULT], data, start, m + M_RESULT_INLINE)
        word = w[self.core.state_at + slot]
        attempts = ((word & ATTEMPTS_MASK) >> ATTEMPTS_SHIFT) + 1
        if status == ST_FAILED and attempts >= w[m + M_LIMITS] & MAX_ATTEMPTS:
            status = ST_KILLED
        w[m + M_KIND] = kind
        self.core.measure.ran(m, status == ST_DONE, now)
        kept = word & (COUNTED_MASK & ~ATTEMPTS_MASK | GEN_MASK << GEN_SHIFT)
        kept |= min(attempts, MAX_ATTEMPTS) << ATTEMPTS_SHIFT
        self.out[0] = status
        self.core.disown(slot)
        if status == ST_FAILED:
            self._owe(slot, m, kept, run_at, now)
        else:
            self.finish(slot, kept | status, now)
        return OK

    def _owe(self, slot: int, m: int, kept: int, run_at: int, now: int) -> None:
        """Commit FAILED: another run is owed, at ``run_at``."""
        w = self.w
        delayed = DELAYED if run_at > now else 0
        if not delayed:
            # Behind the others, as a new task. Alone these two stores only move a RUNNING task's
            # place in the order, should its worker die right here.
            seq = w[SEQ]
            w[SEQ] = seq + 1
            w[m + M_SEQ] = seq
        w[m + M_RUN_AT] = run_at
        self.core.slots.commit(slot, kept | delayed | ST_FAILED)
        if delayed:
            self.core.delay.add(slot)
            self.core.wake_one(IDLE)  # it must learn of the earlier moment to wake up
        else:
            self.core.ready.append(slot)
            self.core.wake_one(IDLE)

    def finish(self, slot: int, word: int, now: int) -> None:
        """Commit DONE or KILLED, then free what is not needed and tell who waits."""
        w = self.w
        m = self.core.meta_at + slot * META_WORDS
        w[m + M_DONE_AT] = now
        seq = w[SEQ]
        w[SEQ] = seq + 1
        w[m + M_DONE_SEQ] = seq
        self.core.slots.commit(slot, word)
        self.core.measure.finished(word & STATUS_MASK, now)
        if word & STATUS_MASK == ST_DONE:
            if not w[m + M_LIMITS] & L_KEEP:
                self.core.free(slot)
                return
            if w[m + M_PAYLOAD] & 3 > D_INLINE:
                self.core.drop_payload(slot)
        self.core.file_finished(slot)

    def wait_for_room(self, index: int) -> int:
        """Wait for room for a result; the wake word to sleep on. Pushers that wait are told."""
        self.core.clear_out()
        add_to_set(self.w, CRAMPED, index)
        self.core.wake_all(CROWDED)
        return self.core.wait_in(CROWDED, index)

    def found_room(self, index: int) -> None:
        """The wait is over."""
        discard_from_set(self.w, CRAMPED, index)
