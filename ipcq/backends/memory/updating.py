"""New versions of tasks: what of them may change, all of it or nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...errors import Conflict, IllegalTransition
from ...status import Status
from ...task import Lease, Queue, Task, TaskId
from ..parts import Terms, microseconds, parts_of
from .connection import Connection
from .layout import (
    ARENA_LIMIT,
    COPY_LIMIT,
    LOST,
    M_PARTS,
    M_RUN_AT,
    NEED_ARENA,
    NO_BYTES,
    OK,
    SOURCE_GIVEN,
    SOURCE_KEPT,
    SOURCE_WRITTEN,
    U_SOURCE,
    U_VERSION,
    VERSIONED,
)
from .parts import Slot, limits_of
from .pushing import Pusher, Staged
from .reading import Reader, not_found
from .sight import Seen, Sight
from .slots import generation

__all__ = ["Updater"]

_HIGH = 0xFFFF_FFFF << 32
_AT_ONCE = Terms(0.0)


class _Home(NamedTuple):
    """Where a large payload was written: a place that was reserved as for a task to be pushed."""

    slot: int
    generation: int
    owner: int
    is_file: bool


class Updater:
    """Changes tasks of one queue that do not run."""

    def __init__(self, connection: Connection, queue: Queue, reader: Reader, pusher: Pusher) -> None:
        self._connection = connection
        self._queue = queue
        self._reader = reader
        self._pusher = pusher
        self._sight = Sight(connection, queue)

    def __repr__(self) -> str:
        return f"<Updater of {self._queue!r}>"

    def update(self, task: Task[Any], expect: Status | None) -> Task[Any]:
        """See `Update.update`."""
        task_id = TaskId(task.id)
        while not self._is_updated(task_id, task, expect):
            pass  # it changed since it was looked at
        stored = self._reader.task_by_id(task_id)
        if stored is None:
            raise not_found(self._queue, task_id)
        return stored

    def _is_updated(self, task_id: TaskId, task: Task[Any], expect: Status | None) -> bool:
        """Look once, and change the task if it is still the same; else False."""
        seen = self._sight.look(task_id)
        self._check(seen, task, expect)
        if self._sight.take_from_dead(seen):
            seen = self._sight.find(task_id)[0]
        if seen.status in (Status.RUNNING, Status.DONE):
            raise IllegalTransition(seen.status, seen.status)
        stored = self._reader.slot(seen.slot)
        if stored.id != task_id or not self._reader.unchanged(stored):
            return False
        staged = self._stage(task, stored)
        if staged is None:
            return False
        return self._store(seen, *staged)

    def _check(self, seen: Seen, task: Task[Any], expect: Status | None) -> None:
        if expect is not None and seen.status is not expect:
            raise Conflict(f"task {task.id} is {seen.status.name}, not {expect.name}; nothing was changed")
        has = Lease(seen.slot, generation(seen.word), seen.epoch, seen.owner)
        if task.lease is not None and task.lease != has:
            raise Conflict(f"task {task.id} was handed out or given back since; nothing was changed")

    # --- encoding -------------------------------------------------------------------------------

    def _stage(self, task: Task[Any], stored: Slot) -> tuple[Staged, int] | None:
        """The new version, and where its payload comes from; None where the stored one changed meanwhile."""
        before, whole = self._reader.task(stored), self._reader.payload(stored)
        if not self._reader.unchanged(stored):
            return None
        parts = parts_of(task)._replace(id=None, keep=True)  # of these the stored ones stay
        run_at = stored.meta[M_RUN_AT] if task.run_at == before.run_at else parts.run_at
        payload, mark = self._encoded(task, before, stored)
        if parts.encoded:
            payload = b"".join((payload, parts.encoded))
        described = mark | len(parts.encoded)
        source = SOURCE_WRITTEN if len(payload) > COPY_LIMIT else SOURCE_GIVEN
        if described == stored.meta[M_PARTS] and payload == whole:
            source = SOURCE_KEPT
        return (stored.id, payload, (run_at, limits_of(parts), parts.timeout, described)), source

    def _encoded(self, task: Task[Any], before: Task[Any], stored: Slot) -> tuple[bytes | memoryview, int]:
        """The arguments as bytes, with their codec's mark; as they were fetched if nobody looked at them."""
        if task._decode is not None and task.payload is not None and task.codec == before.codec:
            return task.payload, stored.meta[M_PARTS] & _HIGH
        return self._pusher.codecs.own.encode(task.args), self._pusher.codecs.mark

    # --- storing --------------------------------------------------------------------------------

    def _store(self, seen: Seen, staged: Staged, source: int) -> bool:
        if source == SOURCE_WRITTEN:
            return self._store_written(seen, staged)
        room = self._pusher.room(_AT_ONCE)
        while (code := self._commit(seen, staged, source, None)) in (NEED_ARENA, NO_BYTES):
            room.make(code, staged)
        return code == OK

    def _store_written(self, seen: Seen, staged: Staged) -> bool:
        """Write a large payload without the lock, into a place of its own, and let the task take it over."""
        home = _Home(*self._pusher.write(staged, _AT_ONCE), len(staged[1]) > ARENA_LIMIT)
        code = LOST
        try:
            code = self._commit(seen, staged, SOURCE_WRITTEN, home)
        finally:
            if code != OK:
                self._connection.call(self._connection.accept.abandon, *home[:3])
        return code == OK

    def _commit(self, seen: Seen, staged: Staged, source: int, home: _Home | None) -> int:
        connection = self._connection
        _, payload, words = staged
        with connection.turn:
            stage = connection.stage
            for at, word in enumerate((0, 0, 0, len(payload), *words)):
                stage[at] = word
            for at, word in enumerate((source, *(home[:3] if home else (0, 0, 0)), 0), U_SOURCE):
                stage[at] = word
            data = payload if source == SOURCE_GIVEN else b""
            code: int = connection.run(_update, connection, seen, home, memoryview(data))
        return code


def _update(connection: Connection, seen: Seen, home: _Home | None, data: memoryview) -> int:
    """With the lock: the file of a payload gets its name before the task does, else nobody would find it."""
    if home is not None and home.is_file:
        code: int = connection.amend.check(*seen)
        if code != OK:
            return code
        version = connection.amend.next_version(seen.slot)
        to = seen.slot, generation(seen.word), VERSIONED | version
        if not connection.blobs.rename(*to, of=(home.slot, home.generation, 0)):
            return LOST
        connection.stage[U_VERSION] = version
    answer: int = connection.amend.update(*seen, data, microseconds())
    return answer
