"""Tasks for one worker, as they come."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import CodecError, QueueFull
from ...result import ErrorInfo
from ...status import Status
from ...task import Task, TaskId
from ..awaiting import ManyTasks
from ..parts import microseconds
from .desk import BATCH, Desk, Held
from .leasing import PATIENCE, StoreLease
from .moves import give_back, start, take
from .record import TaskRecord
from .recovery import TICK, Recovery
from .view import Change, Patience

__all__ = ["Ahead", "StoreStream"]

log = logging.getLogger("ipcq.store")

MOST_TAKEN = 64  # tasks in one hand-out
LONGEST = 1 << 62
_PAUSE = 0.1  # seconds before another try to take a task where the store has no room to note that
_HOARD = 50_000  # microseconds after which a QUEUED task is anybody's who has nothing to do


class Ahead(NamedTuple):
    """A task that is held for us, by its lease."""

    id: int
    epoch: int


class StoreStream(ManyTasks):
    """Fulfils `TaskStream`."""

    def __init__(self, lease: StoreLease, recovery: Recovery, prefetch: int, *, owned: bool) -> None:
        """
        Args:
            owned: whether the lease was made for this stream and ends with it.
        """
        super().__init__(lease, TICK)
        self._lease = lease
        self._desk: Desk = lease.desk
        self._recovery = recovery
        self._prefetch = min(prefetch, MOST_TAKEN)
        self._owned = owned
        self._ahead: deque[Ahead] = deque()
        self._woken = False
        lease.stream = self

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._ahead)} held"
        return f"<StoreStream of {self._lease.worker_id!r} [{state}]>"

    def _next(self, patience: float) -> Task[Any] | None:
        if self._kept:
            return self._kept.popleft()
        while True:
            try:
                ahead = self._ahead.popleft()
            except IndexError:  # none, or another thread that shares this stream has it
                return self._take(patience)
            task = self._start(ahead)
            if task is not None:
                return task

    def wake(self) -> None:
        """Make a `next` that waits return None; from another thread or a signal handler."""
        self._woken = True
        self._desk.view.wake()

    def close(self) -> None:
        """Give back what was handed out ahead and not started, and end the stream."""
        if self._closed:
            return
        self._closed = True
        if self._lease.stream is self:
            self._lease.stream = None
        if self._lease.is_ours:
            self._return_kept()
            while self._ahead:
                ahead = self._ahead.pop()
                self._lease.give_back_id(ahead.id, ahead.epoch)
        if self._owned:
            self._lease.close()

    # --- taking -----------------------------------------------------------------------------------

    def first_ahead(self) -> Ahead | None:
        """What is to be started next, which stays where it is."""
        try:
            return self._ahead[0]
        except IndexError:
            return None

    def _start(self, ahead: Ahead) -> Task[Any] | None:
        """QUEUED -> RUNNING; None where the task was taken away meanwhile."""
        lease, patience, until = self._lease, Patience(), time.monotonic() + PATIENCE
        held = lease.held(ahead.id)
        while held is not None and held.task.epoch == ahead.epoch:
            if held.task.status is Status.RUNNING:  # started by the write that ended the one before
                return self._read(held.task)
            after = start(held.task, microseconds())
            versions = self._desk.commit([self._desk.put(after, held.version)], until)
            if versions is not None:
                lease.hold(Held(versions[0], after))
                return self._read(after)
            patience.lost(f"task {after.id}")
            held = lease.look(ahead.id, ahead.epoch)
        return None

    def _take(self, wait: float) -> Task[Any] | None:
        """Take what is ready; else wait for it, so many seconds at the most."""
        until, fruitless, patience = time.monotonic() + wait, 0, Patience()
        while True:
            seen, ids = self._look()
            if ids:
                task = self._claim(ids)
                if task is not None:
                    return task
                patience.lost("the first of the queue")
            left = until - time.monotonic()
            if self._woken or (left <= 0 and (wait or not ids)):  # who only looks leaves nothing to be taken
                self._woken = False
                self._lease.returned.add(self._recovery.tick())
                return None
            if not ids:
                left = min(left, self._until_due())
                self._desk.view.sleep(seen, left, fruitless, lambda: self._woken)
                fruitless += 1

    def _look(self) -> tuple[int, list[int]]:
        """The version up to which all is known, and the ids of what is to be taken."""
        desk = self._desk
        desk.view.refresh()
        with desk.view.mutex:
            self._lease.check()
            desk.index.promote(microseconds(), desk.view.seen)
            ids = desk.index.ready.peek(self._prefetch)
            seen = desk.view.seen
        if not ids and self._unhoard():
            return self._look()
        return seen, ids

    def _claim(self, ids: Sequence[int]) -> Task[Any] | None:
        """The first RUNNING, the others QUEUED; None where somebody else was faster with one of them."""
        desk, now, changes = self._desk, microseconds(), list[Change]()
        for task_id in ids:
            held = desk.load(TaskId(task_id))
            if held is not None and _can_be_taken(held, now):
                seq = desk.place(held)
                record = take(held.task, self._lease.owner, seq, now, start=not changes)
                changes.append(desk.put(record, held.version))
        versions = self._commit(changes) if changes else None
        if versions is None:
            return None
        taken = [Held(v, c.task) for c, v in zip(changes, versions, strict=True) if c.task is not None]
        for each in taken:
            self._lease.hold(each)
        self._ahead.extend(Ahead(each.task.id, each.task.epoch) for each in taken[1:])
        return self._read(taken[0].task)

    def _commit(self, changes: list[Change]) -> list[int] | None:
        try:
            return self._desk.view.commit(changes)
        except QueueFull as error:
            log.warning("worker %r cannot take a task: %s", self._lease.worker_id, error)
            if not self._desk.give_way(BATCH):
                time.sleep(_PAUSE)
            return None

    def _until_due(self) -> float:
        """Seconds until a delayed task is due, or until what others hold is anybody's."""
        now, index = microseconds(), self._desk.index
        with self._desk.view.mutex:
            first = index.delayed.first()
            hoard = _HOARD if index.counts[Status.QUEUED] else LONGEST
        return max(0, min(hoard, first[0][0] - now if first is not None else LONGEST)) / 1e6

    def _unhoard(self) -> int:
        """Return what workers hold ahead and do not start: one may be busy for hours with what it runs."""
        desk, before = self._desk, microseconds() - _HOARD
        with desk.view.mutex:
            if not desk.index.counts[Status.QUEUED]:
                return 0
            tasks, owned = desk.index.tasks, [i for ids in desk.index.owned.values() for i in ids]
            late = [i for i in owned if tasks[i].status is Status.QUEUED and tasks[i].locked <= before]
        held = [found for i in late[:MOST_TAKEN] if (found := desk.load(TaskId(i))) is not None]
        changes = [
            desk.put(give_back(each.task), each.version)
            for each in held
            if each.task.status is Status.QUEUED and each.task.locked <= before
        ]
        return len(changes) if changes and self._commit(changes) else 0

    def _read(self, record: TaskRecord) -> Task[Any] | None:
        """The task that is ours; None where its payload is not there any more."""
        task = self._desk.task(record)
        if task.payload is None:
            error = CodecError(f"the payload of task {task.id} is not there any more; push it again")
            self._lease.fail(task, ErrorInfo.from_exception(error), final=True)
            return None
        return task


def _can_be_taken(held: Held, now: int) -> bool:
    task = held.task
    waits = task.status is Status.PENDING or task.status is Status.FAILED
    return waits and not (task.delayed and task.run_at > now)
