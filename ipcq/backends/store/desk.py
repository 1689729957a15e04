"""One queue as one handle works on it: records read, changed and removed, each by a compare-and-set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from secrets import randbits
from typing import Any, NamedTuple

from ...errors import QueueFull, TaskNotFound
from ...status import TERMINAL
from ...task import Lease, Queue, Task, TaskId
from ..parts import microseconds
from .codecs import Codecs
from .contract import TaskStore, Write
from .index import Entry, Index
from .keys import payload_key, result_key, stats_key, task_key
from .plain import as_json
from .record import Body, TaskRecord, dump_task, load_task
from .settings import Settings
from .sums import Sums
from .view import Change, Patience, View

__all__ = ["BATCH", "Desk", "Held", "not_found", "sums_of"]

BATCH = 32  # tasks changed by one compare-and-set
_PAUSE = 0.1  # seconds before another try where the store has no room
_SHARDS = 16  # records of figures, so that processes do not wait for each other's


class Held(NamedTuple):
    """A record as it was read or written: whoever has changed it since has given it another version."""

    version: int
    task: TaskRecord


class Desk:
    """Reads and changes the records of one queue.

    Attributes:
        number: what tells this handle from every other.
    """

    def __init__(self, view: View, queue: Queue, settings: Settings, codecs: Codecs) -> None:
        self.view = view
        self.queue = queue
        self.settings = settings
        self.codecs = codecs
        self.number = randbits(62) + 1
        self._shard = str(self.number % _SHARDS)

    def __repr__(self) -> str:
        return f"<Desk {self.number} at {self.queue!r}>"

    @property
    def store(self) -> TaskStore:
        """Where the records are."""
        return self.view.store

    @property
    def index(self) -> Index:
        """What is known of the queue; to be looked at with the view's mutex."""
        return self.view.index(self.queue)

    # --- reading ----------------------------------------------------------------------------------

    def load(self, task_id: TaskId) -> Held | None:
        """The record of a task as it is now."""
        record = self.store.get(task_key(self.queue, task_id))
        if record is None or record.value is None:
            return None
        return Held(record.version, load_task(record.value))

    def lookup(self, task_id: TaskId) -> Held:
        """The same; `TaskNotFound` where there is none."""
        held = self.load(task_id)
        if held is None:
            raise not_found(self.queue, task_id)
        return held

    def place(self, held: Held) -> int:
        """Its place in the order: what the record says, or, of one that was delayed, when it joined."""
        entry = self.entry(held.task.id)
        if entry is not None and entry.version == held.version:
            return entry.seq
        return held.task.seq or 2 * held.version

    def entry(self, task_id: int) -> Entry | None:
        """What is known of a task."""
        with self.view.mutex:
            return self.index.tasks.get(task_id)

    def payload(self, task: TaskRecord) -> bytes | None:
        """The payload's bytes; None where it is not there any more."""
        return self._bytes(task.payload, payload_key(self.queue, task.id))

    def result(self, task: TaskRecord) -> bytes | None:
        """The result's bytes; None where there is none."""
        return self._bytes(task.result, result_key(self.queue, task.id))

    def _bytes(self, body: Body | None, key: str) -> bytes | None:
        if body is None or body.data is not None:
            return body.data if body else None
        record = self.store.get(key)
        return record.value if record is not None else None

    def task(self, task: TaskRecord, *, decode: bool = True) -> Task[Any]:
        """A task as users see it; its args are decoded when they are read, or stay bytes."""
        payload, owner = self.payload(task), task.owner
        codec = self.codecs.find(task.codec)
        return Task(
            task.id,
            self.queue,
            task.status,
            task.attempts,
            task.deaths,
            task.max_attempts,
            task.max_deaths,
            task.priority,
            task.run_at / 1e6,
            task.timeout / 1e6 if task.timeout else None,
            task.metadata,
            task.keep,
            owner.worker if owner else None,
            task.locked / 1e6 if owner else None,
            task.created / 1e6,
            task.done / 1e6 if task.status in TERMINAL else None,
            codec.name,
            payload,
            Lease(0, task.created, task.epoch, owner.number) if owner else None,
            codec.decode if decode else None,
            None if decode else payload,
            task.progress,
        )

    # --- writing ----------------------------------------------------------------------------------

    def put(self, task: TaskRecord, version: int) -> Change:
        """Store a task in the place of the record with this version."""
        return Change(Write(task_key(self.queue, task.id), version, dump_task(task)), task)

    def put_bytes(self, key: str, data: bytes) -> Change:
        """Store a large payload or result beside its task, in the place of whatever is there."""
        record = self.store.get(key)
        return Change(Write(key, record.version if record is not None else 0, data))

    def drop_bytes(self, key: str) -> list[Change]:
        """Remove a large payload or result."""
        record = self.store.get(key)
        return [Change(Write(key, record.version, None))] if record is not None else []

    def drop_bodies(self, task: TaskRecord) -> list[Change]:
        """Remove what a task has in records of their own."""
        bodies = (
            (task.payload, payload_key(self.queue, task.id)),
            (task.result, result_key(self.queue, task.id)),
        )
        return [
            change
            for body, key in bodies
            if body is not None and body.data is None
            for change in self.drop_bytes(key)
        ]

    def drop(self, task: TaskRecord, version: int) -> list[Change]:
        """Remove a task with all it has."""
        return [Change(Write(task_key(self.queue, task.id), version, None)), *self.drop_bodies(task)]

    def count(self, sums: Sums) -> Change:
        """Add to the sums that are stored; with the mutex."""
        version, before = self.index.stored.get(self._shard, (0, Sums()))
        sums.add(before)
        sums.forget(microseconds())
        return Change(Write(stats_key(self.queue, int(self._shard)), version, as_json(sums.as_fields())))

    def remove(self, ids: Iterable[int], may_go: Callable[[TaskRecord], bool]) -> int:
        """Remove those finished tasks of which ``may_go`` is true when it comes to it; how many."""
        removed, source = 0, iter(ids)
        while part := list(islice(source, BATCH)):
            removed += self._remove_part(part, may_go)
        return removed

    def give_way(self, most: int) -> int:
        """Remove up to so many results that were fetched, those first that were fetched first; how many.

        It is 0, too, where the store has no room to note even that.
        """
        with self.view.mutex:
            ids = list(islice(self.index.fetched, most))
        try:
            return self.remove(ids, lambda task: task.fetched)
        except QueueFull:
            return 0

    def commit(
        self, changes: Sequence[Change], until: float, waits: Callable[[], object] = lambda: None
    ) -> list[int] | None:
        """`View.commit`, waiting until then (by the monotonic clock) for room where there is none.

        Args:
            waits: called before each look while it waits; may raise.
        """
        while True:
            try:
                return self.view.commit(changes)
            except QueueFull:
                if time.monotonic() >= until:
                    raise
                waits()
                if not self.give_way(BATCH):
                    time.sleep(_PAUSE)

    def _remove_part(self, ids: Sequence[int], may_go: Callable[[TaskRecord], bool]) -> int:
        patience = Patience()
        while True:
            held = [found for task_id in ids if (found := self.load(TaskId(task_id))) is not None]
            going = [each for each in held if each.task.status in TERMINAL and may_go(each.task)]
            if not going or self._removed(going):
                return len(going)
            patience.lost(f"one of {len(going)} finished tasks")
            self.view.refresh()

    def _removed(self, going: Sequence[Held]) -> bool:
        changes = [change for held in going for change in self.drop(held.task, held.version)]
        with self.view.mutex:
            changes.append(self.count(sums_of([held.task for held in going])))
        return self.view.commit(changes) is not None


def sums_of(tasks: Iterable[TaskRecord]) -> Sums:
    """Sums over finished tasks that are about to be removed, or to be run again."""
    sums = Sums()
    for task in tasks:
        ended = Entry.of(task, 0).ended
        if ended is not None:
            sums.finished(ended)
            sums.newest = max(sums.newest, task.created)
    return sums


def not_found(queue: str, task_id: int) -> TaskNotFound:
    """The error for an id that is not in the queue."""
    return TaskNotFound(
        f"queue {queue!r} has no task {TaskId(task_id)}: another queue's, or removed (by keep_result=False,"
        " vacuum or result_ttl)"
    )
