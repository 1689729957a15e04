"""One queue's memory without an operating system: every store seen, every participant in one process.

Liveness is what the test says, time stands still unless it moves it, and the whole memory can be
saved and loaded as two byte strings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.accept import Accept
from ipcq.backends.memory.amend import Amend
from ipcq.backends.memory.collect import Collect
from ipcq.backends.memory.core import Core
from ipcq.backends.memory.deliver import Deliver
from ipcq.backends.memory.finish import Finish
from ipcq.backends.memory.layout import (
    ATTEMPTS_MASK,
    ATTEMPTS_SHIFT,
    BLOCK_BYTES,
    COUNTS,
    D_ARENA,
    D_BLOB,
    D_INLINE,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DELAYED,
    FETCHED_FLAG,
    FRESH,
    INLINE_BYTES,
    L_DEATHS_SHIFT,
    L_GIVEN_ID,
    L_KEEP,
    L_LEVEL_SHIFT,
    LEVEL_COUNT,
    M_EPOCH,
    M_ID_LO,
    M_INLINE,
    M_KIND,
    M_LIMITS,
    M_NEXT,
    M_PAYLOAD,
    M_RESULT,
    M_RESULT_INLINE,
    M_RUN_AT,
    META_WORDS,
    NOTICED,
    OK,
    OP,
    OUT_WORDS,
    P_STATE,
    PART_ACTIVE,
    READY,
    S_WORDS,
    SEQ,
    SLOTS_COMMITTED,
    SOURCE_GIVEN,
    ST_WRITING,
    STAGE_WORDS,
    STATUS_MASK,
    U_SOURCE,
    Geometry,
)
from ipcq.backends.memory.rebuild import Rebuild
from ipcq.backends.memory.recover import Recover
from ipcq.backends.memory.slots import file_length, finished, generation, owner
from ipcq.backends.memory.words import Words

SECOND = 1_000_000
TTL = 3600 * SECOND
BLOB = 5000  # payloads from here on go to a file in these tests
LARGE = 1000  # and from here on they are copied outside of the lock

Image = tuple[bytes, bytes]


def plain_words(count: int) -> memoryview:
    """So many words of 0, as both modes take them."""
    return memoryview(bytearray(count * 8)).cast("Q")


class Killed(BaseException):
    """The process died right after a store."""


class WatchedWords:
    """Words that call ``stored`` after each store."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self.stored: Callable[[], None] | None = None

    def __getitem__(self, at: int, /) -> int:
        return self._words[at]

    def __setitem__(self, at: int, value: int, /) -> None:
        self._words[at] = value
        if self.stored is not None:
            self.stored()


class New(NamedTuple):
    """A task to be pushed; its number is its id, and what its payload is made of."""

    number: int
    size: int = 10
    level: int = 7
    run_at: int = 0
    keep: bool = True
    max_attempts: int = 1
    max_deaths: int = 2
    given_id: bool = False

    @property
    def payload(self) -> bytes:
        """Bytes that no other task has."""
        return bytes((self.number * 31 + at) & 0xFF for at in range(self.size))

    @property
    def limits(self) -> int:
        """The limits word."""
        flags = (L_KEEP if self.keep else 0) | (L_GIVEN_ID if self.given_id else 0)
        return self.max_attempts | self.max_deaths << L_DEATHS_SHIFT | self.level << L_LEVEL_SHIFT | flags


class Lease(NamedTuple):
    """What a worker knows of a task that it was handed."""

    slot: int
    gen: int
    epoch: int


class Truth(NamedTuple):
    """What anybody can observe of a task."""

    status: int
    owner: int
    attempts: int
    deaths: int
    due: int
    limits: int
    payload: bytes | int | None
    result: tuple[int, bytes | int | None] | None
    fetched: bool
    noticed: bool


class Simulation:
    """The critical sections of one queue over plain memory."""

    def __init__(
        self, capacity: int = 12, participants: int = 4, blocks: int = 64, payload_blocks: int = 48
    ) -> None:
        geometry = Geometry(capacity, participants, blocks * BLOCK_BYTES)
        self.control = bytearray(geometry.total * 8)
        self.area = bytearray(blocks * BLOCK_BYTES)
        self.plain: memoryview = memoryview(self.control).cast("Q")
        self.words = WatchedWords(self.plain)
        self.out = plain_words(OUT_WORDS)
        self.stage = plain_words(STAGE_WORDS)
        # Compiled, nothing can watch: kills inside operations are what the uncompiled mode is for.
        self.core = self._core(self.plain if COMPILED else self.words, geometry)
        self.unwatched = self._core(self.plain, geometry)
        self.accept = Accept(self.core, payload_blocks, 1 << 20)
        self.deliver = Deliver(self.core)
        self.finish = Finish(self.core, 1 << 20)
        self.amend = Amend(self.core, self.accept, self.finish)
        self.collect = Collect(self.core, TTL)
        self.recover = Recover(self.core, self.deliver, self.finish)
        self.now = 1000 * SECOND
        self.plain[SEQ] = 1
        self.plain[COUNTS] = capacity
        self.plain[SLOTS_COMMITTED] = capacity
        self.core.arena.extend(blocks)

    def _core(self, words: Words, geometry: Geometry) -> Core:
        return Core(words, memoryview(self.control), memoryview(self.area), geometry, self.out, self.stage)

    # --- images ---------------------------------------------------------------------------------

    def image(self) -> Image:
        """The memory as it is."""
        return bytes(self.control), bytes(self.area)

    def load(self, image: Image) -> None:
        """Make the memory what it was."""
        self.control[:], self.area[:] = image

    def images(self, operation: Callable[[], object], every: int = 1) -> list[Image]:
        """The memory before ``operation`` and after its stores: each, or one of ``every``."""
        found = [self.image()]
        stores = 0

        def stored() -> None:
            nonlocal stores
            stores += 1
            if stores % every == 1 % every:
                found.append(self.image())

        self.words.stored = stored
        try:
            operation()
        finally:
            self.words.stored = None
        return found

    def kill_after(self, stores: int, operation: Callable[[], object]) -> bool:
        """Run ``operation``, dying after so many stores; whether it came to that."""
        left = stores

        def stored() -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed

        self.words.stored = stored
        try:
            operation()
        except Killed:
            return True
        finally:
            self.words.stored = None
        return False

    # --- participants ---------------------------------------------------------------------------

    def is_active(self, index: int) -> bool:
        """Whether the row is in use."""
        return self.plain[self.core.row(index) + P_STATE] == PART_ACTIVE

    def rebuild(self) -> int:
        """What the next holder of the lock does when op is set."""
        return Rebuild(self.core).rebuild(self.now)

    def reclaim(self, index: int, died: bool = True) -> int:
        """Return what a participant had."""
        return self.recover.reclaim(index, died, 0, 0, 0, self.now)

    def mend(self, *dead: int) -> None:
        """What others do after a death: rebuild if need be, then reclaim."""
        if self.plain[OP]:
            self.rebuild()
        for index in dead:
            self.reclaim(index)

    # --- operations -----------------------------------------------------------------------------

    def push(self, index: int, *tasks: New) -> int:
        """Push small payloads; how many were accepted."""
        self.push_code(index, *tasks)
        return self.out[0]

    def push_code(self, index: int, *tasks: New) -> int:
        """Push small payloads; the answer of the critical section."""
        data = b"".join(task.payload for task in tasks)
        offset = 0
        for n, task in enumerate(tasks):
            self._describe(n, task, offset)
            offset += task.size
        return self.accept.push(memoryview(data), len(tasks), index, self.now)

    def _describe(self, n: int, task: New, offset: int) -> None:
        words = (1, task.number, offset, task.size, task.run_at, task.limits, 0, 0)
        for at, word in enumerate(words):
            self.stage[n * S_WORDS + at] = word

    def reserve(self, index: int, task: New) -> Lease | int:
        """Reserve a place for a large payload and copy it; the reason where there is none."""
        self._describe(0, task, 0)
        code = self.accept.reserve(task.size >= BLOB, index, self.now)
        if code != OK:
            return code
        slot, gen, block = self.out[0], self.out[1], self.out[2]
        if task.size < BLOB:
            self.area[block * BLOCK_BYTES : block * BLOCK_BYTES + task.size] = task.payload
        return Lease(slot, gen, 0)

    def publish(self, lease: Lease, index: int) -> int:
        """Publish what was reserved."""
        return self.accept.publish(lease.slot, lease.gen, index, self.now)

    def take(self, index: int, most: int = 1) -> list[Lease]:
        """Take tasks: the first RUNNING, the others QUEUED."""
        count = self.deliver.take(index, most, 1, self.now)
        return [
            Lease(self.out[2 * n], generation(self.word(self.out[2 * n])), self.out[2 * n + 1])
            for n in range(count)
        ]

    def end(
        self, lease: Lease, index: int, status: int, kind: int = 1, result: bytes = b"", wait: int = 0
    ) -> int:
        """End a run."""
        view, run_at = memoryview(result), self.now + wait
        return self.finish.end(*lease, index, status, kind, view, len(result), run_at, self.now)

    def settle(self, *found: tuple[int, bool]) -> list[int]:
        """Mark slots as fetched (True) or noticed, as they are now."""
        for n, (slot, fetched) in enumerate(found):
            self.stage[3 * n], self.stage[3 * n + 1], self.stage[3 * n + 2] = slot, self.word(slot), fetched
        self.collect.settle(len(found))
        return [self.out[n] for n in range(len(found))]

    def cancel(self, slot: int) -> int:
        """Cancel what is in a slot, as it is now."""
        return self.amend.cancel(slot, self.word(slot), self.meta(slot, M_EPOCH), self.now)

    def resume(self, slot: int, wait: int = 0, *, reset: bool = False) -> int:
        """Have what is in a slot, as it is now, run again in so many microseconds."""
        seen = self.word(slot), self.meta(slot, M_EPOCH)
        return self.amend.resume(slot, *seen, self.now + wait, reset, self.now)

    def postpone(self, lease: Lease, index: int, wait: int = 0) -> int:
        """Put a task off by so many microseconds."""
        return self.amend.postpone(*lease, index, self.now + wait, self.now)

    def update(
        self, slot: int, task: New, index: int = 0, source: int = SOURCE_GIVEN, home: Lease | None = None
    ) -> int:
        """Give what is in a slot, as it is now, the terms of ``task``, and its payload unless it is kept."""
        self._describe(0, task, 0)
        blob = home is not None and task.size >= BLOB
        version = self.amend.next_version(slot) if blob else 0
        place = (home.slot, home.gen) if home is not None else (0, 0)
        for at, word in enumerate((source, *place, index, version)):
            self.stage[U_SOURCE + at] = word
        seen = self.word(slot), self.meta(slot, M_EPOCH)
        return self.amend.update(slot, *seen, memoryview(task.payload), self.now)

    # --- looking --------------------------------------------------------------------------------

    def word(self, slot: int) -> int:
        """The state word of a slot."""
        return self.plain[self.core.state_at + slot]

    def meta(self, slot: int, at: int) -> int:
        """A metadata word of a slot."""
        return self.plain[self.core.meta_at + slot * META_WORDS + at]

    def number(self, slot: int) -> int:
        """The task in a slot."""
        return self.meta(slot, M_ID_LO)

    def lease(self, slot: int) -> Lease:
        """The lease that the owner of a slot has."""
        return Lease(slot, generation(self.word(slot)), self.meta(slot, M_EPOCH))

    def used(self) -> range:
        """The slots that were ever used."""
        return range(self.plain[FRESH])

    def with_status(self, status: int, index: int | None = None) -> list[int]:
        """The slots in a status, of one owner or of any."""
        return [
            slot
            for slot in self.used()
            if self.word(slot) & STATUS_MASK == status and index in (None, owner(self.word(slot)) - 1)
        ]

    def order(self) -> list[int]:
        """The ready tasks in the order in which they will be handed out."""
        numbers = []
        for level in reversed(range(LEVEL_COUNT)):
            at = self.plain[READY + 2 * level]
            while at:
                numbers.append(self.number(at - 1))
                at = self.meta(at - 1, M_NEXT)
        return numbers

    def truth(self) -> dict[int, Truth]:
        """What can be observed of each task."""
        return {
            self.number(slot): self._truth(slot)
            for slot in self.used()
            if self.word(slot) & STATUS_MASK > ST_WRITING
        }

    def _truth(self, slot: int) -> Truth:
        word = self.word(slot)
        over = finished(word)
        run_at = self.meta(slot, M_RUN_AT)
        payload = self.payload(slot)
        result = self._bytes(slot, self.meta(slot, M_RESULT), M_RESULT_INLINE)
        return Truth(
            status=word & STATUS_MASK,
            owner=owner(word) - 1,
            attempts=(word & ATTEMPTS_MASK) >> ATTEMPTS_SHIFT,
            deaths=(word & DEATHS_MASK) >> DEATHS_SHIFT,
            due=run_at if word & DELAYED and run_at > self.now else 0,
            limits=self.meta(slot, M_LIMITS),
            payload=None if over else payload,
            result=(self.meta(slot, M_KIND), result) if over else None,
            fetched=bool(word & FETCHED_FLAG),
            noticed=bool(word & NOTICED),
        )

    def payload(self, slot: int) -> bytes | int | None:
        """The payload in a slot; of a file only its length."""
        return self._bytes(slot, self.meta(slot, M_PAYLOAD), M_INLINE)

    def _bytes(self, slot: int, desc: int, inline: int) -> bytes | int | None:
        """What a descriptor leads to; of a file only its length."""
        kind, length = desc & 3, desc >> 32
        if kind == D_BLOB:
            return file_length(desc)
        if kind == D_ARENA:
            start = (desc >> 8 & 0xFFFFFF) * BLOCK_BYTES
            return bytes(self.area[start : start + length])
        if kind == D_INLINE and length <= INLINE_BYTES:
            start = (self.core.meta_at + slot * META_WORDS + inline) * 8
            return bytes(self.control[start : start + length])
        return None
