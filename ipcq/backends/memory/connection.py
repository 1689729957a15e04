"""One handle's hold on a queue: files mapped, lock file open, critical sections ready to be called.

`out` and `stage` belong to one thread at a time: whoever calls a critical section that uses them
holds `turn` from staging to the last look at `out`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from ...errors import QueueClosed
from ...task import Queue, TaskId
from ..parts import microseconds
from .accept import Accept
from .amend import Amend
from .blobs import Blobs
from .collect import Collect
from .core import Core
from .deliver import Deliver
from .exchange import Exchange, Ways
from .finish import Finish
from .futex import wake
from .layout import (
    ARENA_COMMITTED,
    BLOCK_BYTES,
    CLOSED,
    M_ID_HI,
    M_ID_LO,
    META_WORDS,
    OP,
    OUT_WORDS,
    P_WAKE,
    SLOTS_COMMITTED,
    STAGE_WORDS,
    UNLINKS,
    WAKES,
)
from .lock import Guard
from .mode import COMPILED
from .opening import open_queue, remove_queue
from .rebuild import Rebuild
from .recover import Recover
from .sections import Sections
from .settings import Wishes
from .wordguard import WordGuard
from .words import Words

__all__ = ["Connection"]

log = logging.getLogger("ipcq.memory")

OP_GROW = 17

_RESULT_SHARE = 10  # one part in so many of arena and blob bytes is kept for results
_POOL_SHARE = 8  # likewise, at the most, for retired files
_POOL_FILES = 4


class Connection:
    """The critical sections of one queue, and what must follow each of them."""

    def __init__(self, queue: Queue, wishes: Wishes, *, create: bool, base: str | None = None) -> None:
        """Attach; errors as `opening.open_queue`."""
        self.queue = queue
        self.segment, self.lock = open_queue(queue, wishes, create=create, base=base)
        self.closed = False
        try:
            self._equip()
        except BaseException:
            self.lock.unshare()
            self.lock.release()
            self.segment.close()
            raise

    def _equip(self) -> None:
        segment = self.segment
        settings = self.settings = segment.settings
        self.words = segment.words
        self.turn = threading.RLock()
        sections = self._make_sections()
        self.core = sections.core
        self.out, self.stage = sections.core.out, sections.core.stage
        self.accept, self.deliver = sections.accept, sections.deliver
        self.finish, self.collect = sections.finish, sections.collect
        self.amend = Amend(self.core, self.accept, self.finish)
        self.recover = Recover(self.core, self.deliver, self.finish)
        self.blobs = Blobs(segment.directory, settings.blob_bytes // _POOL_SHARE, _POOL_FILES)
        self._rebuild = Rebuild(self.core)
        self._guard = self._make_guard()
        self.exchange = Exchange(
            self._make_sections() if COMPILED else sections,
            sections,
            Ways(self.run, self.turn, self.lock, self._retire_blobs, self._guard.word, self._guard.tries),
        )

    def _make_sections(self) -> Sections:
        """The critical sections, with words of their own to stage and to answer in."""
        segment, settings = self.segment, self.segment.settings
        out = memoryview(bytearray(OUT_WORDS * 8)).cast("Q")
        stage = memoryview(bytearray(STAGE_WORDS * 8)).cast("Q")
        core = Core(segment.words, segment.control, segment.arena, segment.geometry, out, stage)
        blocks = segment.geometry.arena_blocks
        reserve = settings.blob_bytes // _RESULT_SHARE
        accept = Accept(core, blocks - max(1, blocks // _RESULT_SHARE), settings.blob_bytes - reserve)
        finish = Finish(core, settings.blob_bytes)
        collect = Collect(core, round(settings.result_ttl * 1e6))
        return Sections(core, accept, Deliver(core), finish, collect)

    def _make_guard(self) -> Guard:
        what = (self.queue, self.lock, self.segment.words, self._make_whole)
        return WordGuard(*what, self.segment.geometry.seats_at) if COMPILED else Guard(*what)

    def __repr__(self) -> str:
        return f"<Connection to {self.segment.directory}{' (closed)' if self.closed else ''}>"

    def run(self, section: Callable[..., Any], *args: Any) -> Any:
        """Call a critical section with the queue's lock held, then do what it asked for.

        The caller has `turn` if the section uses `out` or `stage`.
        """
        answer = self._guard.run(section, *args)
        out = self.out
        if out[WAKES]:
            self._wake_sleepers()
        if out[UNLINKS]:
            self._retire_blobs(out)
        return answer

    def call(self, section: Callable[..., Any], *args: Any) -> Any:
        """`run` for one that needs no look at `out`."""
        with self.turn:
            return self.run(section, *args)

    def ensure_outside(self) -> None:
        """As `Guard.ensure_outside`: what cannot be done in mid-section is not to be half done."""
        self._guard.ensure_outside()

    def _wake_sleepers(self) -> None:
        out = self.out
        count, out[WAKES] = out[WAKES], 0
        for n in range(count):
            wake(self.wake_address(out[WAKES + 1 + n]))

    def _retire_blobs(self, out: Words) -> None:
        """Give up the files that a section listed in its `out`."""
        count, out[UNLINKS] = out[UNLINKS], 0
        for at in range(UNLINKS + 1, UNLINKS + 1 + 3 * count, 3):
            self.blobs.retire(out[at], out[at + 1], out[at + 2])

    def _make_whole(self) -> None:
        corrupt = self._rebuild.rebuild(microseconds())
        self._wake_sleepers()  # at once: the section that follows has wakes of its own
        log.info("queue %r: somebody died in the middle of an operation; put in order again", self.queue)
        if corrupt:
            log.error("queue %r: %d damaged tasks were set aside as KILLED", self.queue, corrupt)

    def wake_address(self, index: int) -> int:
        """Where the wake word of participant ``index`` is in this process."""
        return self.segment.address + (self.core.row(index) + P_WAKE) * 8

    # --- room -----------------------------------------------------------------------------------

    def grow_slots(self) -> None:
        """Commit memory for more slots; QueueFull where there is none."""
        self.call(self._grow_slots)

    def _grow_slots(self) -> None:
        start = self.words[SLOTS_COMMITTED]
        if start < self.core.capacity:
            if not self.words[ARENA_COMMITTED]:
                self._grow_arena()  # the results' first; tasks alone could fill the file system
            self.words[SLOTS_COMMITTED] = start + self.segment.commit_slots(start)

    def grow_arena(self) -> bool:
        """Commit memory for more of the arena; False when all of it is committed."""
        return bool(self.call(self._grow_arena))

    def _grow_arena(self) -> bool:
        blocks = self.segment.commit_arena(self.words[ARENA_COMMITTED])
        if blocks:
            self.words[OP] = OP_GROW
            self.core.arena.extend(blocks)
            self.words[OP] = 0
        return blocks > 0

    def arena_view(self, block: int, length: int) -> memoryview:
        """The bytes of an area in the arena, writable."""
        return self.segment.arena[block * BLOCK_BYTES : block * BLOCK_BYTES + length]

    def task_id(self, slot: int) -> TaskId:
        """The id in a slot."""
        m = self.core.meta_at + slot * META_WORDS
        return TaskId(self.words[m + M_ID_HI] << 64 | self.words[m + M_ID_LO])

    # --- the end --------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise `QueueClosed` once this handle was closed, or the queue destroyed."""
        if self.closed:
            raise QueueClosed(f"queue {self.queue!r}: this handle was closed")
        if self.words[CLOSED]:
            raise QueueClosed(f"queue {self.queue!r} was destroyed; open it again to make a new one")

    def nobody(self) -> NoReturn:
        """In the place of who took part through this handle, after it was closed."""
        raise QueueClosed(f"queue {self.queue!r}: this handle was closed")

    def destroy(self) -> None:
        """Tell everybody that the queue is gone, and remove its files."""
        self.call(self._mark_closed)
        remove_queue(self.segment.directory, self.lock)

    def _mark_closed(self) -> None:
        self.words[CLOSED] = 1
        self.core.clear_out()
        for index in range(self.core.participants):
            self.core.wake(index)

    def close(self) -> None:
        """Detach. What is mapped goes when nobody refers to it any more."""
        if self.closed:
            return
        self.closed = True
        self.exchange.close()
        self._guard.close()
        self.blobs.close()
        self.lock.unshare()
        self.lock.release()
        self.segment.close()
