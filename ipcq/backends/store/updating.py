"""New versions of tasks: what of them may change, all of it or nothing."""

from __future__ import annotations

from typing import Any

from ...errors import Conflict, IllegalTransition
from ...status import Status
from ...task import Task, TaskId
from ..parts import Parts, microseconds, parts_of
from .desk import Desk, Held
from .keys import payload_key
from .moves import update
from .record import Body, TaskRecord
from .recovery import Recovery
from .steering import Steering
from .view import Change, Patience

__all__ = ["Updater"]


class Updater:
    """Changes tasks of one queue that do not run."""

    def __init__(self, desk: Desk, recovery: Recovery, steering: Steering) -> None:
        self._desk = desk
        self._recovery = recovery
        self._steering = steering

    def __repr__(self) -> str:
        return f"<Updater at {self._desk!r}>"

    def update(self, task: Task[Any], expect: Status | None) -> TaskRecord:
        """See `Update.update`."""
        patience, task_id, parts = Patience(), TaskId(task.id), parts_of(task)
        while True:
            held = self._desk.lookup(task_id)
            _check(held.task, task, expect)
            if held.task.owner is not None and self._recovery.take_back(held.task.owner.number):
                held = self._steering.find(task_id)
            if held.task.status in (Status.RUNNING, Status.DONE):
                raise IllegalTransition(held.task.status, held.task.status)
            changes = self._changes(held, task, parts)
            if self._desk.view.commit(changes):
                return changes[0].task or held.task
            patience.lost(f"task {task_id}")

    def _changes(self, held: Held, task: Task[Any], parts: Parts) -> list[Change]:
        before, now = held.task, microseconds()
        run_at = before.run_at if task.run_at == before.run_at / 1e6 else parts.run_at or now
        data, codec = self._encoded(task, before)
        kept = codec == before.codec and data == self._desk.payload(before)
        body = before.payload if kept else Body.of(data)
        after = update(
            before, parts._replace(run_at=run_at), body, codec, self._desk.place(held), held.version, now
        )
        return [self._desk.put(after, held.version), *([] if kept else self._bodies(before, after, data))]

    def _encoded(self, task: Task[Any], before: TaskRecord) -> tuple[bytes, str]:
        """The arguments as bytes, with their codec; as they were fetched if nobody looked at them."""
        if task._decode is not None and task.payload is not None and task.codec == before.codec:
            return bytes(task.payload), before.codec
        codec = self._desk.codecs.own
        return bytes(codec.encode(task.args)), codec.name

    def _bodies(self, before: TaskRecord, after: TaskRecord, data: bytes) -> list[Change]:
        """What a large payload needs besides."""
        key = payload_key(self._desk.queue, after.id)
        if after.payload is not None and after.payload.data is None:
            return [self._desk.put_bytes(key, data)]
        was_large = before.payload is not None and before.payload.data is None
        return self._desk.drop_bytes(key) if was_large else []


def _check(stored: TaskRecord, task: Task[Any], expect: Status | None) -> None:
    if expect is not None and stored.status is not expect:
        raise Conflict(f"task {stored.id} is {stored.status.name}, not {expect.name}; nothing was changed")
    lease, owner = task.lease, stored.owner
    if lease is not None and (owner is None or (owner.number, stored.epoch) != (lease.owner, lease.epoch)):
        raise Conflict(f"task {stored.id} was handed out or given back since; nothing was changed")
