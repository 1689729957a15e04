"""Tasks into the queue: encode, stage, accept; and wait for room where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

from ...errors import DuplicateTask, PushError, QueueFull, TaskSinkError
from ...task import Queue, Task, TaskId
from ..parts import Parts, Terms, microseconds, parts_of, refuse
from .connection import Connection
from .exchange import Staged
from .layout import (
    ARENA_LIMIT,
    COPY_LIMIT,
    COUNTS,
    DUPLICATE,
    FULL,
    LOST,
    NEED_ARENA,
    NEED_SLOTS,
    NO_BYTES,
    OK,
    ST_FREE,
)
from .participant import TICK, Participant, housekeep
from .parts import Codecs, limits_of

__all__ = ["Pusher", "Staged"]

BATCH = 32  # tasks accepted in one hold of the lock
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class Pusher:
    """Stores tasks in one queue, as one participant."""

    def __init__(
        self,
        connection: Connection,
        queue: Queue,
        codecs: Codecs,
        me: Callable[[], Participant],
    ) -> None:
        """
        Args:
            me: the participant who pushes; asked for when the first task is pushed.
        """
        self.connection = connection
        self.queue = queue
        self.codecs = codecs
        self._me = me

    def close(self) -> None:
        """Push nothing any more."""
        self._me = self.connection.nobody

    # --- encoding -------------------------------------------------------------------------------

    def stage(self, args: Iterable[Any], parts: Parts, ids: Sequence[int]) -> list[Staged]:
        """Encode tasks that are to be run in the same way."""
        payloads: Iterable[bytes | memoryview] = map(self.codecs.own.encode, args)
        if parts.encoded:
            payloads = [b"".join((payload, parts.encoded)) for payload in payloads]
        words = (parts.run_at, limits_of(parts), parts.timeout, self.codecs.mark | len(parts.encoded))
        return list(zip(ids, payloads, repeat(words)))

    def stage_task(self, task: Task[Any]) -> Staged:
        """Encode one task that says itself how it is to be run."""
        refuse(task.status, task.attempts + task.deaths)
        return self.stage((task.args,), parts_of(task), (task.id,))[0]

    # --- storing --------------------------------------------------------------------------------

    def push(self, tasks: list[Staged], terms: Terms) -> None:
        """Store tasks in their order; those before an error are stored."""
        done = 0
        while done < len(tasks):
            if len(tasks[done][1]) > COPY_LIMIT:
                try:
                    self._push_large(tasks[done], terms)
                except TaskSinkError as error:
                    error.accepted = _ids(tasks[:done])
                    raise
                done += 1
            else:
                done += self._push_small(tasks, done, terms)

    def _push_small(self, tasks: list[Staged], start: int, terms: Terms) -> int:
        batch = tasks[start : start + BATCH]
        for n, task in enumerate(batch):
            if len(task[1]) > COPY_LIMIT:
                batch = batch[:n]
                break
        done = 0
        me = self._me()
        exchange = self.connection.exchange
        room: Room | None = None
        while done < len(batch):
            accepted, code = exchange.push(batch[done:] if done else batch, me.index, microseconds())
            done += accepted
            if code != OK:
                room = room or self.room(terms)
                try:
                    room.make(code, batch[done])
                except TaskSinkError as error:
                    error.accepted = _ids(tasks[: start + done])
                    raise
        return done

    def _push_large(self, task: Staged, terms: Terms) -> None:
        """Reserve a place, copy the payload without the lock, publish it."""
        connection = self.connection
        place = self.write(task, terms)
        code = LOST
        try:
            code = connection.call(connection.accept.publish, *place, microseconds())
        finally:
            if code != OK:
                connection.call(connection.accept.abandon, *place)
        if code != OK:
            raise self._refused(code, task)

    def write(self, task: Staged, terms: Terms) -> tuple[int, int, int]:
        """Reserve a place and write the payload there; slot, generation, and the row of who has it."""
        connection = self.connection
        me = self._me()
        room = self.room(terms)
        payload = task[1]
        blob = len(payload) > ARENA_LIMIT
        while (code := self._reserve(task, blob, me.index)) != OK:
            room.make(code, task)
        slot, generation, block = self._reserved
        try:
            if blob:
                connection.blobs.write(slot, generation, 0, payload)
            else:
                connection.arena_view(block, len(payload))[:] = payload
        except BaseException:
            connection.call(connection.accept.abandon, slot, generation, me.index)
            raise
        return slot, generation, me.index

    def room(self, terms: Terms) -> Room:
        """What gets room for a task of ours."""
        return Room(self, self._me, terms)

    def _reserve(self, task: Staged, blob: bool, index: int) -> int:
        connection = self.connection
        number, payload, words = task
        with connection.turn:
            stage = connection.stage
            for at, word in enumerate((number >> 64, number & _MASK, 0, len(payload), *words)):
                stage[at] = word
            code: int = connection.run(connection.accept.reserve, blob, index, microseconds())
            out = connection.out
            self._reserved = out[0], out[1], out[2]
            return code

    def _refused(self, code: int, task: Staged) -> Exception:
        if code == DUPLICATE:
            return DuplicateTask(
                f"queue {self.queue!r} has a task {TaskId(task[0])} already; it was stored before, or choose"
                " another id"
            )
        if code == LOST:
            return PushError(
                f"queue {self.queue!r}: this process was taken for dead while it pushed task"
                f" {TaskId(task[0])}; push it again"
            )
        return PushError(f"queue {self.queue!r} refused task {TaskId(task[0])} (code {code})")

    def check_size(self, task: Staged) -> None:
        """Raise `PushError` for a payload that this queue can never hold."""
        size, settings = len(task[1]), self.connection.settings
        accept = self.connection.accept
        if size > ARENA_LIMIT:
            limit, name = accept.payload_blob_bytes, "blob_bytes"
        else:
            limit, name = accept.payload_blocks * 256, "arena_bytes"
        if size > limit:
            raise PushError(
                f"queue {self.queue!r}: a payload of {size} bytes is over the limit of {limit} bytes"
                f" ({name}={getattr(settings, name)}, less what is kept for results); pass a path instead, or"
                f" make the queue with a larger {name}="
            )


class Room:
    """What one push does to get room, and for how long it waits for it."""

    def __init__(self, pusher: Pusher, me: Callable[[], Participant], terms: Terms) -> None:
        self._pusher, self._me, self._terms = pusher, me, terms
        self._connection = pusher.connection
        self._started = time.monotonic()
        self._seen: int | None = None

    def make(self, code: int, task: Staged) -> None:
        """Make room, or wait for it, after the queue answered ``code``; return to try again."""
        connection = self._connection
        if code == NEED_SLOTS:
            connection.grow_slots()
        elif code == NEED_ARENA:
            if not connection.grow_arena():
                self._give_way(code, task)
        elif code in (FULL, NO_BYTES):
            self._pusher.check_size(task)
            self._give_way(code, task)
        else:
            raise self._pusher._refused(code, task)

    def _give_way(self, code: int, task: Staged) -> None:
        """Have fetched results give way, else wait: first say so, look again, then sleep."""
        connection = self._connection
        if connection.call(connection.accept.make_room, BATCH):
            return
        if self._seen is None:
            self._seen = connection.call(connection.accept.wait_for_space, self._me().index)
            return
        if connection.call(connection.collect.waits_for_itself, self._me().index):
            full = QueueFull(
                f"queue {self._pusher.queue!r} is full of results that this process has not fetched, or of"
                f" its KILLED tasks ({self._used()}); fetch while pushing, vacuum(), raise capacity=, or push"
                " with keep_result=False"
            )
            full.waiting_helps = False
            raise full
        left = TICK
        if self._terms.until is not None:
            left = self._terms.until - time.monotonic()
            if left <= 0:
                raise self._full(code, task)
        self._me().sleep(self._seen, left)
        self._seen = None
        housekeep(connection)

    def _used(self) -> str:
        connection = self._connection
        used = connection.core.capacity - connection.words[COUNTS + ST_FREE]
        return f"{used} tasks of capacity {connection.core.capacity}"

    def _full(self, code: int, task: Staged) -> QueueFull:
        waited = time.monotonic() - self._started
        how = f"waited {waited:.1f} s" if self._terms.until else "was not to wait"
        if code == FULL:
            lacking, setting = "places", "capacity"
        else:
            setting = "blob_bytes" if len(task[1]) > ARENA_LIMIT else "arena_bytes"
            lacking = f"bytes of {setting}={getattr(self._connection.settings, setting)}"
        return QueueFull(
            f"queue {self._pusher.queue!r} has no {lacking} left ({self._used()}); {how};"
            f" raise {setting}= or add workers"
        )


def _ids(tasks: list[Staged]) -> list[TaskId]:
    return [TaskId(task[0]) for task in tasks]
