"""The ways of small tasks, from Python's objects to shared memory and back: one call for each step.

Compiled, a step takes the queue's lock itself where that is free, runs its critical section, and frees the
lock, all without a look at what else Python has to do: no other thread, signal handler or fork comes in
between, so it needs neither the mutex of the threads nor anybody's turn. It has words of its own to stage and
to answer in, and makes nothing that the garbage collector counts until it has read them: a collection runs
other people's code. Where the lock is taken, the queue not whole, or nothing is compiled, the step goes the
general way, by `Connection.run`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from ...errors import QueueClosed
from .layout import (
    BLOCK_BYTES,
    D_ARENA,
    D_INLINE,
    INLINE_BYTES,
    M_EPOCH,
    M_ID_HI,
    M_ID_LO,
    M_INLINE,
    M_KIND,
    M_PARTS,
    M_PAYLOAD,
    M_RESULT,
    M_RESULT_INLINE,
    META_WORDS,
    NOBODY,
    OWNER_MASK,
    P_WAKE,
    RESULT_INLINE_BYTES,
    S_WORDS,
    SAME,
    STARTED,
    UNLINKS,
    WAKES,
)
from .lockword import LockWord
from .machine import bytes_at, fence, wake_all
from .sections import Sections
from .slots import generation

__all__ = ["Exchange", "Found", "Held", "Staged", "Ways"]

UNKNOWN = 1 << 33  # in place of an answer: the step was not made, or met damage
MASK = 0xFFFF_FFFF_FFFF_FFFF


# Plain tuples: a NamedTuple takes longer to make than all the rest of its step.
Held = tuple[int, int, int, int, bytes, int, int, "bytes | None"]
"""A task as it was handed out: slot, its generation, epoch, state word, all metadata as bytes, M_PARTS,
descriptor and bytes of the payload; None where these lie in a file, or are not there any more."""

Found = tuple[int, int, int, int, int, int, "bytes | None"]
"""A finished task, void unless `Exchange.settle` agrees afterwards: id as a number, slot, state word, epoch,
M_KIND, descriptor and bytes of the result; None where these lie in a file."""


Staged = tuple[int, "bytes | memoryview", tuple[int, int, int, int]]
"""A task ready to be stored: id as a number, payload, and (run_at, limits, timeout, parts)."""


class Ways(NamedTuple):
    """How to get at a queue.

    Attributes:
        run: calls a critical section of the general sections with the lock held; see `Connection.run`.
        turn: whose turn it is to use their words.
        lock: the lock file, whose seat is ours.
        unlink: gives up the files that a section of the own sections lists.
        word: the lock word; None where it is not used.
        tries: how often to look whether the lock is free before going the general way.
    """

    run: Callable[..., Any]
    turn: Any
    lock: Any
    unlink: Callable[[Any], None]
    word: LockWord | None
    tries: int


def _refuse(*_: object) -> NoReturn:
    raise QueueClosed("this handle was closed")


class Exchange:
    """The steps of small tasks over one queue."""

    def __init__(self, own: Sections, general: Sections, ways: Ways) -> None:
        """
        Args:
            own: sections whose private words nobody else uses.
            general: those that `Ways.run` is for.
        """
        self.own = own
        self.general = general
        self.core = own.core
        self.own_out, self.own_stage = own.core.out, own.core.stage
        self.general_out, self.general_stage = general.core.out, general.core.stage
        self.run = ways.run
        self.turn = ways.turn
        self.lock = ways.lock
        self.unlink = ways.unlink
        self.word = ways.word
        self.tries = ways.tries

    def close(self) -> None:
        """Refuse from now on; who has us is not kept."""
        self.word = None
        self.run = self.unlink = _refuse

    # --- the lock -------------------------------------------------------------------------------

    def _enter(self) -> int:
        """Take the lock at once, if that can be; our seat + 1, or 0."""
        word = self.word
        if word is None:
            return 0
        lock = self.lock
        if lock.inside or lock.fd < 0:
            return 0
        me: int = lock.seat
        return me if me and word.enter(me, self.tries) else 0

    def _leave(self, me: int) -> None:
        word = self.word
        if word is not None:
            word.release(me)

    def _follow(self) -> None:
        """Do what the own sections asked for."""
        out = self.own_out
        count = out[WAKES]
        out[WAKES] = 0
        for n in range(count):
            wake_all(self.core.w, self.core.row(out[WAKES + 1 + n]) + P_WAKE)
        if out[UNLINKS]:
            self.unlink(out)

    # --- in -------------------------------------------------------------------------------------

    def push(self, tasks: list[Staged], index: int, now: int) -> tuple[int, int]:
        """`Accept.push` of tasks.

        Returns:
            How many were accepted, and OK or why not the others.
        """
        count = len(tasks)
        data: Any = tasks[0][1] if count == 1 else b"".join([task[1] for task in tasks])
        done = 0
        code = UNKNOWN
        if self.word is not None:
            self._stage(self.own_stage, tasks)
            view = data  # as the bytes that C sees; got before the lock is taken, since it may allocate
            me = self._enter()
            if me:
                try:
                    code = self.own.accept.push(view, count, index, now)
                except Exception:  # the op word stays: whoever comes next puts the queue in order
                    code = UNKNOWN
                self._leave(me)
                done = self.own_out[0]
                self._follow()
        if code == UNKNOWN:
            with self.turn:
                self._stage(self.general_stage, tasks)
                code = self.run(self.general.accept.push, data, count, index, now)
                done = self.general_out[0]
        return done, code

    def _stage(self, stage: Any, tasks: list[Any]) -> None:
        at = 0
        offset = 0
        for n in range(len(tasks)):
            task = tasks[n]
            number = task[0]
            words = task[2]
            length = len(task[1])
            stage[at] = number >> 64
            stage[at + 1] = number & MASK
            stage[at + 2] = offset
            stage[at + 3] = length
            stage[at + 4] = words[0]
            stage[at + 5] = words[1]
            stage[at + 6] = words[2]
            stage[at + 7] = words[3]
            at += S_WORDS
            offset += length

    # --- out to workers -------------------------------------------------------------------------

    def take(self, index: int, gen: int, most: int, running: int, now: int) -> tuple[int, list[int]]:
        """`Sections.take`.

        Returns:
            How many tasks, or NOBODY; and of each its slot, generation and epoch, one behind the other.
            With 0, the wake word to sleep on and the moment to look again at.
        """
        room = 3 * most
        places = [0] * room
        count = UNKNOWN
        me = self._enter()
        if me:
            try:
                count = self.own.take(index, gen, most, running, now)
            except Exception:
                count = UNKNOWN
            self._leave(me)
            if count != UNKNOWN:
                self._read_places(self.own_out, places, count)
            self._follow()
        if count == UNKNOWN:
            with self.turn:
                count = self.run(self.general.take, index, gen, most, running, now)
                self._read_places(self.general_out, places, count)
        return count, places

    def _read_places(self, out: Any, places: list[int], count: int) -> None:
        if count == NOBODY:
            return
        if not count:
            places[0] = out[0]
            places[1] = out[1]
            return
        w = self.core.w
        for n in range(count):
            slot = out[2 * n]
            places[3 * n] = slot
            places[3 * n + 1] = generation(w[self.core.state_at + slot])
            places[3 * n + 2] = out[2 * n + 1]

    def read(self, slot: int, gen: int, epoch: int) -> Held | None:
        """A task that was handed out in ``slot`` with this epoch; None if it was taken away since."""
        w = self.core.w
        m = self.core.meta_at + slot * META_WORDS
        word = w[self.core.state_at + slot]
        raw = bytes_at(self.core.b, m * 8, META_WORDS * 8)
        parts = w[m + M_PARTS]
        desc = w[m + M_PAYLOAD]
        payload = self._payload(desc, m + M_INLINE, INLINE_BYTES)
        fence()
        same = not (w[self.core.state_at + slot] ^ word) & SAME and w[m + M_EPOCH] == epoch
        if not same or not word & OWNER_MASK or generation(word) != gen:
            return None
        return (slot, gen, epoch, word, raw, parts, desc, payload)

    def read_many(self, places: list[int], count: int) -> list[Held | None]:
        """`read` for the first ``count`` tasks of a `take`."""
        room = 3 * count
        return [self.read(places[at], places[at + 1], places[at + 2]) for at in range(0, room, 3)]

    def _payload(self, desc: int, inline: int, most: int) -> Any:
        kind = desc & 3
        if kind == D_INLINE:
            return bytes_at(self.core.b, inline * 8, min(desc >> 32, most))
        if kind == D_ARENA:
            return bytes_at(self.core.a, (desc >> 8 & 0xFFFFFF) * BLOCK_BYTES, desc >> 32)
        return None

    # --- while workers run them -----------------------------------------------------------------

    def tell(self, place: tuple[Any, ...], index: int, progress: int) -> int:
        """`Deliver.tell` of the task at a place, as `finish` has it; what that answers."""
        slot = place[0]
        gen = place[1]
        epoch = place[2]
        code = UNKNOWN
        me = self._enter()
        if me:
            try:
                code = self.own.deliver.tell(slot, gen, epoch, index, progress)
            except Exception:
                code = UNKNOWN
            self._leave(me)
        if code == UNKNOWN:
            with self.turn:
                code = self.run(self.general.deliver.tell, slot, gen, epoch, index, progress)
        return code

    # --- back from workers ----------------------------------------------------------------------

    def finish(
        self,
        place: tuple[Any, ...],
        index: int,
        kind: int,
        data: bytes,
        following: tuple[Any, ...] | None,
        now: int,
    ) -> tuple[int, Held | None]:
        """RUNNING -> DONE for the task at a place; then start the one that follows.

        A place begins with slot, generation and epoch, as a `Held` and a `Lease` do.

        Returns:
            What `Sections.end_and_begin` does, and the task that was started.
        """
        slot = place[0]
        gen = place[1]
        epoch = place[2]
        length = len(data)
        view = data
        slot2 = gen2 = epoch2 = 0
        if following is not None:
            slot2 = following[0]
            gen2 = following[1]
            epoch2 = following[2]
        code = UNKNOWN
        me = self._enter()
        if me:
            try:
                code = self.own.end_and_begin(
                    index, slot, gen, epoch, kind, view, length, slot2, gen2, epoch2, now
                )
            except Exception:
                code = UNKNOWN
            self._leave(me)
            self._follow()
        if code == UNKNOWN:
            section = self.general.end_and_begin
            with self.turn:
                code = self.run(
                    section, index, slot, gen, epoch, kind, data, length, slot2, gen2, epoch2, now
                )
        return code, self.read(slot2, gen2, epoch2) if code == STARTED else None

    def finish_many(
        self, places: list[tuple[Any, ...]], index: int, kind: int, data: list[bytes], now: int
    ) -> list[int]:
        """`Finish.end_many` of tasks at these places, each with its bytes; what it answers for each."""
        count = len(places)
        codes = [0] * count
        joined = b"".join(data)
        view = joined
        done = False
        if self.word is not None:
            self._stage_ends(self.own_stage, places, data)
            me = self._enter()
            if me:
                try:
                    self.own.finish.end_many(count, index, kind, view, now)
                    done = True
                except Exception:
                    done = False
                self._leave(me)
                self._read_codes(self.own_out, 1, codes)
                self._follow()
        if not done:
            with self.turn:
                self._stage_ends(self.general_stage, places, data)
                self.run(self.general.finish.end_many, count, index, kind, joined, now)
                self._read_codes(self.general_out, 1, codes)
        return codes

    def _stage_ends(self, stage: Any, places: list[Any], data: list[bytes]) -> None:
        at = 0
        offset = 0
        for n in range(len(places)):
            place = places[n]
            length = len(data[n])
            stage[at] = place[0]
            stage[at + 1] = place[1]
            stage[at + 2] = place[2]
            stage[at + 3] = offset
            stage[at + 4] = length
            at += 5
            offset += length

    def _read_codes(self, out: Any, start: int, codes: list[int]) -> None:
        for n in range(len(codes)):
            codes[n] = out[start + n]

    # --- out to who waits -----------------------------------------------------------------------

    def inbox(self, index: int, most: int) -> tuple[int, list[int]]:
        """`Collect.inbox`: how many; and of each its slot and state word, or the wake word to sleep on."""
        room = 2 * most
        places = [0] * room
        count = UNKNOWN
        me = self._enter()
        if me:
            try:
                count = self.own.collect.inbox(index, most)
            except Exception:
                count = UNKNOWN
            self._leave(me)
            if count != UNKNOWN:
                self._read_found(self.own_out, places, count)
        if count == UNKNOWN:
            with self.turn:
                count = self.run(self.general.collect.inbox, index, most)
                self._read_found(self.general_out, places, count)
        return count, places

    def _read_found(self, out: Any, places: list[int], count: int) -> None:
        if not count:
            places[0] = out[0]
        for n in range(2 * count):
            places[n] = out[n]

    def look(self, slot: int, word: int) -> Found:
        """The finished task in a slot that had this state word."""
        w = self.core.w
        m = self.core.meta_at + slot * META_WORDS
        number: Any = w[m + M_ID_HI]
        number = number << 64 | w[m + M_ID_LO]
        desc = w[m + M_RESULT]
        data = self._payload(desc, m + M_RESULT_INLINE, RESULT_INLINE_BYTES) if desc else b""
        return (number, slot, word, w[m + M_EPOCH], w[m + M_KIND], desc, data)

    def settle(self, found: list[Found], asked: list[Any]) -> list[int]:
        """`Collect.settle`: those that were ``asked`` for (not None) are fetched, the others noticed."""
        count = len(found)
        codes = [0] * count
        done = False
        if self.word is not None:
            self._stage_found(self.own_stage, found, asked)
            me = self._enter()
            if me:
                try:
                    self.own.collect.settle(count)
                    done = True
                except Exception:
                    done = False
                self._leave(me)
                self._read_codes(self.own_out, 0, codes)
                self._follow()
        if not done:
            with self.turn:
                self._stage_found(self.general_stage, found, asked)
                self.run(self.general.collect.settle, count)
                self._read_codes(self.general_out, 0, codes)
        return codes

    def _stage_found(self, stage: Any, found: list[Any], asked: list[Any]) -> None:
        at = 0
        for n in range(len(found)):
            each = found[n]
            stage[at] = each[1]
            stage[at + 1] = each[2]
            stage[at + 2] = asked[n] is not None
            at += 3
