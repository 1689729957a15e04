"""Critical sections that change a task from outside, whoever has it. Called with the lock held.

Each begins with a comparison: whether the task is still as the caller saw it when it decided that the
move is legal. If not, nothing changes and the caller looks again.
"""

from __future__ import annotations

from .accept import Accept
from .core import Core
from .finish import Finish
from .layout import (
    ATTEMPTS_MASK,
    ATTEMPTS_SHIFT,
    BLOB_VERSION_SHIFT,
    BLOB_VERSIONS,
    BUSY,
    COPY_LIMIT,
    COUNTED_MASK,
    CROWDED,
    D_ARENA,
    D_BLOB,
    D_INLINE,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DELAYED,
    DR_INLINE,
    DR_LIMITS,
    DR_PARTS,
    DR_PAYLOAD,
    DR_RUN_AT,
    DR_TIMEOUT,
    DRAFT,
    FETCHED_FLAG,
    GEN_MASK,
    GEN_SHIFT,
    GONE,
    IDLE,
    INLINE_BYTES,
    KIND_CANCELLED,
    L_DEATHS_SHIFT,
    L_GIVEN_ID,
    L_KEEP,
    L_LEVEL_SHIFT,
    LEVEL_COUNT,
    LOST,
    M_EPOCH,
    M_KIND,
    M_LIMITS,
    M_PAYLOAD,
    M_RESULT,
    MAX_ATTEMPTS,
    MAX_DEATHS,
    META_WORDS,
    NEED_ARENA,
    NO_BYTES,
    NOTICED,
    OK,
    OP,
    REFUSED,
    S_LENGTH,
    S_LIMITS,
    S_PARTS,
    S_RUN_AT,
    S_TIMEOUT,
    SEQ,
    SOURCE_KEPT,
    SOURCE_WRITTEN,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    ST_WRITING,
    STATUS_MASK,
    U_HOME,
    U_HOME_GEN,
    U_OWNER,
    U_SOURCE,
    U_VERSION,
)
from .slots import finished, generation

__all__ = ["Amend"]

OP_CANCEL = 10
OP_RESUME = 18
OP_UPDATE = 19
OP_POSTPONE = 22


class Amend:
    """Look a task up, end it, have it run again, and change it."""

    def __init__(self, core: Core, accept: Accept, finish: Finish) -> None:
        self.core = core
        self.w = core.w
        self.out = core.out
        self.stage = core.stage
        self.accept = accept
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

    def postpone(self, slot: int, gen: int, epoch: int, index: int, run_at: int, now: int) -> int:
        """QUEUED or RUNNING -> PENDING, due at ``run_at``, nothing charged; LOST if not ours."""
        self.core.clear_out()
        if not (
            self.core.holds(slot, gen, epoch, index, ST_QUEUED)
            or self.core.holds(slot, gen, epoch, index, ST_RUNNING)
        ):
            return LOST
        self.w[OP] = OP_POSTPONE
        self.core.draft.begin(slot)
        self.w[DRAFT + DR_RUN_AT] = run_at
        kept = self.w[self.core.state_at + slot] & (COUNTED_MASK | GEN_MASK << GEN_SHIFT)
        self._change(slot, kept | ST_PENDING, now)
        self.core.close()
        return OK

    def _deaths_left(self, word: int) -> int:
        """A task's deaths, shifted as in its state word; no more than the draft allows it to survive."""
        most = self.w[DRAFT + DR_LIMITS] >> L_DEATHS_SHIFT & MAX_DEATHS
        return min((word & DEATHS_MASK) >> DEATHS_SHIFT, most) << DEATHS_SHIFT

    # --- updating -------------------------------------------------------------------------------

    def check(self, slot: int, seen: int, epoch: int) -> int:
        """OK where `update` would change the task; else what it would answer."""
        code = self._look_again(slot, seen, epoch)
        if code == REFUSED and seen & STATUS_MASK == ST_KILLED:
            return OK
        return REFUSED if code == OK and seen & STATUS_MASK == ST_RUNNING else code

    def next_version(self, slot: int) -> int:
        """A version for the file of a payload: not that of the one before, nor of one that a kill left."""
        w = self.w
        payload = w[self.core.meta_at + slot * META_WORDS + M_PAYLOAD]
        version = 0
        while not version or version == payload >> BLOB_VERSION_SHIFT:
            version = w[SEQ] & BLOB_VERSIONS
            w[SEQ] = w[SEQ] + 1
        return version

    def update(self, slot: int, seen: int, epoch: int, data: bytes | memoryview, now: int) -> int:
        """Give a task that does not run the moment, limits, timeout and payload that are staged.

        PENDING and QUEUED become PENDING; FAILED stays so while it has an attempt left, KILLED in any case.

        Args:
            seen, epoch: as in `cancel`.
            data: the payload where the source is `SOURCE_GIVEN`.

        Returns:
            OK, GONE, REFUSED or BUSY; NEED_ARENA or NO_BYTES without room for the payload, LOST where that
            was to be written and is not there.
        """
        self.core.clear_out()
        code = self.check(slot, seen, epoch)
        if code != OK:
            return code
        self.w[OP] = OP_UPDATE
        self.core.draft.begin(slot)
        code = self._draft(data, now)
        if code == OK:
            self._change(slot, self._updated(self.w[self.core.state_at + slot]), now)
            if self.stage[U_SOURCE] == SOURCE_WRITTEN:
                self.core.disown(self.stage[U_HOME])
                self.core.slots.release(self.stage[U_HOME])
            if self.w[CROWDED]:
                self.core.wake_all(CROWDED)
        self.core.close()
        return code

    def _draft(self, data: bytes | memoryview, now: int) -> int:
        """Write what is staged into the draft; the task is as it was so far."""
        w = self.w
        stage = self.stage
        w[DRAFT + DR_RUN_AT] = stage[S_RUN_AT] or now
        # Whether its result is kept says who is charged for it, and does not change.
        w[DRAFT + DR_LIMITS] ^= (stage[S_LIMITS] ^ w[DRAFT + DR_LIMITS]) & ~(L_KEEP | L_GIVEN_ID)
        w[DRAFT + DR_TIMEOUT] = stage[S_TIMEOUT]
        if stage[U_SOURCE] == SOURCE_KEPT:
            return OK
        w[DRAFT + DR_PARTS] = stage[S_PARTS]
        if stage[U_SOURCE] == SOURCE_WRITTEN:
            return self._draft_written()
        length = stage[S_LENGTH]
        desc = D_INLINE | length << 32
        if length > INLINE_BYTES:
            desc = self.accept.payload_area(length)
            if desc == NEED_ARENA or desc == NO_BYTES:
                return desc
        self.core.copy_in(desc, data, 0, DRAFT + DR_INLINE)
        w[DRAFT + DR_PAYLOAD] = desc
        return OK

    def _draft_written(self) -> int:
        """Take the payload from the place in which it was written, which is left with none."""
        w = self.w
        stage = self.stage
        if not self.accept.is_writing(stage[U_HOME], stage[U_HOME_GEN], stage[U_OWNER]):
            return LOST
        at = self.core.meta_at + stage[U_HOME] * META_WORDS + M_PAYLOAD
        desc = w[at]
        if desc & 3 == D_BLOB:
            desc |= stage[U_VERSION] << BLOB_VERSION_SHIFT
        elif desc & 3 != D_ARENA:
            return LOST
        w[DRAFT + DR_PAYLOAD] = desc
        w[at] = 0  # two would have it, for whoever rebuilds
        return OK

    def _updated(self, word: int) -> int:
        """The state word of a task when the draft is true of it."""
        status = word & STATUS_MASK
        limits = self.w[DRAFT + DR_LIMITS]
        kept = word & (ATTEMPTS_MASK | GEN_MASK << GEN_SHIFT)
        if status == ST_KILLED:
            most = (limits >> L_DEATHS_SHIFT & MAX_DEATHS) + 1  # the one that it did not survive
            deaths = min((word & DEATHS_MASK) >> DEATHS_SHIFT, most)
            return kept | deaths << DEATHS_SHIFT | word & (NOTICED | FETCHED_FLAG) | ST_KILLED
        owed = status == ST_FAILED and (word & ATTEMPTS_MASK) >> ATTEMPTS_SHIFT < limits & MAX_ATTEMPTS
        return kept | self._deaths_left(word) | (ST_FAILED if owed else ST_PENDING)

    # --- the parts of it ------------------------------------------------------------------------

    def _look_again(self, slot: int, seen: int, epoch: int) -> int:
        """OK where the task is as it was seen and may be ended, else the reason why not."""
        word = self.w[self.core.state_at + slot]
        m = self.core.meta_at + slot * META_WORDS
        status = word & STATUS_MASK
        if (word ^ seen) & ~(NOTICED | FETCHED_FLAG) or self.w[m + M_EPOCH] != epoch or status <= ST_WRITING:
            return GONE
        if status == ST_RUNNING and self._is_being_stored(self.w[m + M_RESULT]):
            return BUSY
        return OK if status in (ST_PENDING, ST_QUEUED, ST_RUNNING, ST_FAILED) else REFUSED

    def _is_being_stored(self, desc: int) -> bool:
        """Whether a RUNNING task's owner copies its result without the lock: that memory cannot be taken.

        A small one is there if its owner died, or met damage, in the section that was to end the run.
        """
        return desc & 3 == D_BLOB or (desc & 3 == D_ARENA and desc >> 32 > COPY_LIMIT)

    def _change(self, slot: int, word: int, now: int) -> None:
        """Commit the draft with ``word`` as the state; then tell all who keep track of the task."""
        w = self.w
        m = self.core.meta_at + slot * META_WORDS
        before = w[self.core.state_at + slot]
        if word & STATUS_MASK != ST_KILLED and w[DRAFT + DR_RUN_AT] > now:
            word |= DELAYED
        stays = self._stays(slot, m, word)
        if not stays:
            self._take_out(slot, before)
        self.core.draft.commit(slot, word)
        if w[DRAFT + DR_PAYLOAD] != w[m + M_PAYLOAD]:
            self.core.drop_payload(slot)
        if word & STATUS_MASK != ST_KILLED:
            self.core.drop_result(slot)
        self.core.draft.adopt(slot)
        if not stays:
            self._put_in(slot, before, word)

    def _stays(self, slot: int, m: int, word: int) -> bool:
        """Whether a task keeps its place: it is KILLED, or ready, then as before and of the same priority."""
        if word & STATUS_MASK == ST_KILLED:
            return True
        level = (self.w[m + M_LIMITS] ^ self.w[DRAFT + DR_LIMITS]) >> L_LEVEL_SHIFT & LEVEL_COUNT - 1
        return not level and not word & DELAYED and self.core.is_ready(slot)

    def _put_in(self, slot: int, before: int, word: int) -> None:
        """Put a task that is owed a run where it waits, and its place on its pusher's account again."""
        if finished(before) and self.w[DRAFT + DR_LIMITS] & L_KEEP:
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
