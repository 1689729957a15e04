"""Tasks into the queue: encode, accept; and wait for room where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...errors import DuplicateTask, QueueFull, TaskSinkError
from ...task import Task, TaskId
from ..parts import Parts, Terms, microseconds, parts_of, refuse
from .contract import Write
from .desk import BATCH, Desk
from .keys import payload_key
from .record import Body, TaskRecord
from .recovery import TICK, Recovery
from .view import Change, Patience

__all__ = ["Pusher", "Staged"]


class Staged(NamedTuple):
    """A task ready to be stored."""

    id: TaskId
    payload: bytes
    codec: str
    parts: Parts


class Pusher:
    """Stores tasks in one queue."""

    def __init__(self, desk: Desk, recovery: Recovery) -> None:
        self._desk = desk
        self._recovery = recovery

    def __repr__(self) -> str:
        return f"<Pusher at {self._desk!r}>"

    # --- encoding ---------------------------------------------------------------------------------

    def stage(self, args: Any, parts: Parts, task_id: TaskId) -> Staged:
        """Encode one task; it gets ``task_id`` unless ``parts`` have one."""
        codec = self._desk.codecs.own
        return Staged(parts.id or task_id, bytes(codec.encode(args)), codec.name, parts)

    def stage_task(self, task: Task[Any]) -> Staged:
        """Encode one task that says itself how it is to be run."""
        refuse(task.status, task.attempts + task.deaths)
        return self.stage(task.args, parts_of(task), task.id)

    # --- storing ----------------------------------------------------------------------------------

    def push(self, tasks: Sequence[Staged], terms: Terms) -> None:
        """Store tasks in their order; those before an error are stored."""
        done, room, patience = 0, _Room(self._desk, self._recovery, terms), Patience()
        try:
            while done < len(tasks):
                part = tasks[done : done + BATCH]
                part = part[: room.make(len(part))]
                stored = self._store(part, room)
                if stored is None:
                    patience.lost(f"task {part[0].id}, which is new,")
                else:
                    done += stored
        except TaskSinkError as error:
            error.accepted = [task.id for task in tasks[:done]]
            raise

    def _store(self, part: Sequence[Staged], room: _Room) -> int | None:
        """Store these, or those before the first that cannot be; how many. None: to be tried again."""
        known = {task.id for task in part}
        if len(known) < len(part):  # no two writes of one key at one moment
            part = part[: _first_double(part)]
        try:
            if self._desk.view.commit(self._changes(part)):
                return len(part)
        except QueueFull as error:
            room.refused(error)
            return 0
        there = next((n for n, task in enumerate(part) if self._desk.load(task.id) is not None), None)
        if there is None:
            return None  # it was removed meanwhile
        if there:
            return self._store(part[:there], room)
        raise DuplicateTask(
            f"queue {self._desk.queue!r} has a task {part[0].id} already; it was stored before, or choose"
            " another id"
        )

    def _changes(self, part: Iterable[Staged]) -> list[Change]:
        changes, now = list[Change](), microseconds()
        for staged in part:
            record = self._record(staged, now)
            changes.append(self._desk.put(record, 0))
            if record.payload is not None and record.payload.data is None:
                key = payload_key(self._desk.queue, record.id)
                changes.append(Change(Write(key, 0, staged.payload)))
        return changes

    def _record(self, staged: Staged, now: int) -> TaskRecord:
        parts = staged.parts
        return TaskRecord(
            staged.id,
            now,
            parts.run_at or now,
            staged.codec,
            Body.of(staged.payload),
            self._desk.number,
            delayed=parts.run_at > now,
            priority=parts.priority,
            max_attempts=parts.max_attempts,
            max_deaths=parts.max_deaths,
            timeout=parts.timeout,
            keep=parts.keep,
            metadata=parts.metadata,
        )


def _first_double(part: Sequence[Staged]) -> int:
    seen: set[int] = set()
    for n, task in enumerate(part):
        if task.id in seen:
            return n
        seen.add(task.id)
    return len(part)


class _Room:
    """What one push does to get room, and for how long it waits for it.

    The capacity is compared with what this process has seen: of several that push at the same moment each may
    store one batch more than there is room for.
    """

    def __init__(self, desk: Desk, recovery: Recovery, terms: Terms) -> None:
        self._desk, self._recovery, self._terms = desk, recovery, terms
        self._started = time.monotonic()
        self._fruitless = 0

    def make(self, wanted: int) -> int:
        """Make room for so many tasks, or wait until there is some; how many places there are."""
        desk = self._desk
        while True:
            desk.view.refresh()
            with desk.view.mutex:
                free, seen = desk.settings.capacity - len(desk.index.tasks), desk.view.seen
            if free < wanted:
                free += desk.give_way(wanted - max(0, free))
            if free > 0:
                return free
            self._wait(seen, None)

    def refused(self, error: QueueFull) -> None:
        """The store itself had no room: make some, or wait; return to try again."""
        if not self._desk.give_way(BATCH):
            self._wait(self._desk.view.seen, error)

    def _wait(self, seen: int, error: QueueFull | None) -> None:
        desk = self._desk
        if error is None and self._waits_for_itself():
            full = QueueFull(
                f"queue {desk.queue!r} is full of results that this process has not fetched, or of its KILLED"
                f" tasks ({self._used()}); fetch while pushing, vacuum(), raise capacity=, or push with"
                " keep_result=False"
            )
            full.waiting_helps = False
            raise full
        left = TICK if self._terms.until is None else self._terms.until - time.monotonic()
        if left <= 0:
            raise error or self._full()
        desk.view.sleep(seen, min(left, TICK), self._fruitless, lambda: False)
        self._fruitless += 1
        self._recovery.tick()

    def _waits_for_itself(self) -> bool:
        """Whether only results that this handle has not fetched can make place."""
        index, number = self._desk.index, self._desk.number
        with self._desk.view.mutex:
            return bool(index.done_of[number]) and index.open_of[number] >= len(index.tasks)

    def _used(self) -> str:
        with self._desk.view.mutex:
            return f"{len(self._desk.index.tasks)} tasks of capacity {self._desk.settings.capacity}"

    def _full(self) -> QueueFull:
        waited = time.monotonic() - self._started
        how = f"waited {waited:.1f} s" if self._terms.until else "was not to wait"
        return QueueFull(
            f"queue {self._desk.queue!r} has no places left ({self._used()}); {how}; raise capacity= or add"
            " workers"
        )
