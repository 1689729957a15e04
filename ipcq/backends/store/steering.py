"""Tasks changed from outside: update, reschedule, resume, cancel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ...errors import Conflict, IllegalTransition
from ...status import Status
from ...task import Task, TaskId
from ..liveness import kill_process
from ..parts import microseconds, moment, read_parts
from .desk import Desk, Held, not_found
from .keys import payload_key
from .members import is_here
from .moves import cancel, reschedule, resume
from .record import Body, TaskRecord
from .recovery import Recovery
from .view import Change, Patience

__all__ = ["Steering", "moment_of"]

_HELD = (Status.QUEUED, Status.RUNNING)


class Steering:
    """Changes tasks of one queue, whoever has them."""

    def __init__(self, desk: Desk, recovery: Recovery) -> None:
        self._desk = desk
        self._recovery = recovery

    def __repr__(self) -> str:
        return f"<Steering at {self._desk!r}>"

    def update(self, task: Task[Any], expect: Status | None) -> TaskRecord:
        """Store what may change of a task; see `Update`."""
        parts = read_parts(
            priority=task.priority,
            run_at=task.run_at,
            max_attempts=task.max_attempts,
            max_deaths=task.max_deaths,
            metadata=task.metadata,
            run_timeout=task.timeout,
        )
        codec = self._desk.codecs.own
        data = bytes(codec.encode(task.args))

        def changed(held: Held) -> list[Change]:
            self._check_update(held.task, task, expect)
            now, run_at = microseconds(), parts.run_at
            after = replace(
                held.task,
                run_at=run_at or now,
                delayed=run_at > now,
                priority=parts.priority,
                max_attempts=parts.max_attempts,
                max_deaths=parts.max_deaths,
                metadata=parts.metadata,
                timeout=parts.timeout,
                payload=Body.of(data),
                codec=codec.name,
                seq=held.task.seq or 2 * held.version,
            )
            return [self._desk.put(after, held.version), *self._payload(held.task, after, data)]

        return self._change(TaskId(task.id), changed)

    def _payload(self, before: TaskRecord, after: TaskRecord, data: bytes) -> list[Change]:
        key = payload_key(self._desk.queue, after.id)
        if after.payload is not None and after.payload.data is None:
            return [self._desk.put_bytes(key, data)]
        return (
            self._desk.drop_bytes(key) if before.payload is not None and before.payload.data is None else []
        )

    def _check_update(self, stored: TaskRecord, task: Task[Any], expect: Status | None) -> None:
        if expect is not None and stored.status is not expect:
            raise Conflict(
                f"task {stored.id} is {stored.status.name}, not {expect.name}; nothing was changed"
            )
        if task.lease is not None and (stored.owner is None or stored.epoch != task.lease.epoch):
            raise Conflict(f"task {stored.id} was handed out or given back since; nothing was changed")
        if stored.status is Status.DONE or (stored.status is Status.RUNNING and self._is_held(stored)):
            raise IllegalTransition(stored.status, stored.status)

    def reschedule(self, task_id: TaskId, run_at: int, *, force: bool) -> None:
        """-> PENDING, due at ``run_at``; see `Reschedule`."""

        def moved(held: Held) -> list[Change]:
            if held.task.status is Status.RUNNING and not force and self._is_held(held.task):
                raise IllegalTransition(held.task.status, Status.PENDING)
            return [self._desk.put(reschedule(held.task, run_at, microseconds()), held.version)]

        self._change(task_id, moved)

    def resume(self, task_id: TaskId, *, reset: bool) -> bool:
        """-> PENDING and due; see `ResumeById`."""
        back = True

        def moved(held: Held) -> list[Change]:
            nonlocal back
            back = self._can_be_resumed(held.task)
            after = resume(held.task, microseconds(), reset=reset) if back else held.task
            return [self._desk.put(after, held.version)] if back else []

        self._change(task_id, moved)
        return back

    def _can_be_resumed(self, task: TaskRecord) -> bool:
        if task.status is Status.PENDING:
            return task.delayed and task.run_at > microseconds()
        if task.status in _HELD:
            return not self._is_held(task)
        return task.status is not Status.DONE

    def cancel(self, task_id: TaskId, *, running: bool) -> bool:
        """-> KILLED; see `Cancel`."""
        victim: TaskRecord | None = None

        def ended(held: Held) -> list[Change]:
            nonlocal victim
            status = held.task.status
            victim = held.task if status is Status.RUNNING and running else None
            if status in (Status.DONE, Status.KILLED) or (status is Status.RUNNING and not running):
                return []
            return [self._desk.put(cancel(held.task, microseconds()), held.version)]

        killed = self._change(task_id, ended).status is Status.KILLED
        if victim is not None:
            self._kill(victim)
        return killed

    def _kill(self, task: TaskRecord) -> None:
        """Kill the process that runs it, if it is what the worker's record says, and not this one."""
        with self._desk.view.mutex:
            found = self._desk.index.workers.get(task.owner.number if task.owner else 0)
        if found is not None and is_here(found[1]) and found[1].identity.pid != os.getpid():
            kill_process(found[1].identity)

    def _is_held(self, task: TaskRecord) -> bool:
        """Whether its owner lives, as far as can be told."""
        if task.owner is None:
            return False
        self._desk.view.refresh()
        return not self._recovery.is_dead(task.owner.number)

    def _change(self, task_id: TaskId, changed: Callable[[Held], list[Change]]) -> TaskRecord:
        """Make the changes that ``changed`` tells of the record as it is; none is none.

        Returns:
            The record as it is then.
        """
        patience = Patience()
        while True:
            held = self._desk.load(task_id)
            if held is None:
                raise not_found(self._desk.queue, task_id)
            changes = changed(held)
            if not changes or self._desk.view.commit(changes):
                return changes[0].task or held.task if changes else held.task
            patience.lost(f"task {task_id}")


def moment_of(wait: float | timedelta | datetime) -> int:
    """In microseconds since 1970: so long from now, or that moment."""
    if isinstance(wait, datetime):
        return moment(wait.timestamp())
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
    return moment(time.time() + max(0.0, seconds))
