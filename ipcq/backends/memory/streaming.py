"""Tasks for one worker, as they come."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from ...errors import CodecError, QueueClosed
from ...result import ErrorInfo
from ...task import Task
from ..awaiting import ManyTasks
from ..parts import microseconds
from .exchange import Held
from .layout import (
    MOST_TAKEN,
    NOBODY,
    OK,
)
from .leasing import MemoryLease
from .participant import TICK, housekeep
from .parts import HeldTask

__all__ = ["MemoryStream"]


class MemoryStream(ManyTasks):
    """Tasks for one worker. Fulfils `TaskStream`.

    Attributes:
        held: slot, generation and epoch of tasks that are QUEUED for us.
        ahead: one at the most, RUNNING already: started in the step that ended the one before, and read.
    """

    def __init__(self, lease: MemoryLease, prefetch: int, *, owned: bool) -> None:
        """
        Args:
            owned: whether the lease was made for this stream and ends with it.
        """
        super().__init__(lease, TICK)
        self._lease = lease
        self._connection = lease.connection
        self._reader = lease.reader
        self._holder = lease.holder
        self._prefetch = min(prefetch, MOST_TAKEN)
        self._owned = owned
        self.held: deque[tuple[int, int, int]] = deque()
        self.ahead: deque[Held] = deque()
        lease.stream = self
        self._woken = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.held)} held"
        return f"<MemoryStream of {self._lease.worker_id!r} [{state}]>"

    def _next(self, patience: float) -> Task[Any] | None:
        if self._kept:
            return self._kept.popleft()
        while True:
            started = bool(self.ahead)
            try:
                if started:
                    held = self.ahead.popleft()
                    payload = held[7]
                    task = HeldTask(held, payload, self._holder) if payload is not None else self._read(held)
                else:
                    task = self._start(*self.held.popleft())
            except IndexError:  # none, or another thread that shares this stream has it
                if not started:
                    taken = self._take(self._prefetch, 1, patience)
                    return taken[0] if taken else None
                continue
            if task is not None:
                return task

    def _take_many(self, most: int) -> list[Task[Any]]:
        if self._kept or self.ahead or self.held or self._closed:
            task = next(self, None)
            return [] if task is None else [task]
        most = min(most, MOST_TAKEN)
        return self._take(most, most, TICK)

    def wake(self) -> None:
        """Make a `next` that waits return None; from another thread or a signal handler."""
        self._woken = True
        self._lease.me.rouse()

    def close(self) -> None:
        """Give back what was handed out ahead and not started, and end the stream."""
        if self._closed:
            return
        self._connection.ensure_outside()
        self._closed = True
        if self._lease.stream is self:
            self._lease.stream = None
        try:
            self._return_kept()
            while self.ahead:
                self._lease.give_back_slot(*self.ahead.pop()[:3])
            while self.held:
                self._lease.give_back_slot(*self.held.pop())
        except QueueClosed:
            self.held.clear()  # they went with the queue, or are another process's
            self.ahead.clear()
        if self._owned:
            self._lease.close()

    # --- taking ---------------------------------------------------------------------------------

    def next_held(self) -> tuple[int, int, int] | None:
        """The one to start next, taken out; None where there is none, or one was started already."""
        try:
            return None if self.ahead else self.held.popleft()
        except IndexError:
            return None

    def _start(self, slot: int, gen: int, epoch: int) -> Task[Any] | None:
        """QUEUED -> RUNNING; None where the task was taken away meanwhile."""
        connection = self._connection
        index = self._lease.me.index
        code = connection.call(connection.deliver.start, slot, gen, epoch, index, microseconds())
        return self._read(connection.exchange.read(slot, gen, epoch)) if code == OK else None

    def _take(self, most: int, running: int, patience: float) -> list[Task[Any]]:
        """Take what is ready; else wait for it, so many seconds at the most."""
        until = time.monotonic() + patience
        while True:
            tasks, seen, due = self._take_once(most, running)
            if tasks:
                return tasks
            left = until - time.monotonic()
            if left <= 0 or self._woken:
                self._woken = False
                self._lease.returned.add(housekeep(self._connection))
                return [] if patience else self._take_once(most, running)[0]  # what it brought back
            if due:
                left = min(left, max(0.0, (due - microseconds()) / 1e6))
            if seen >= 0:
                self._lease.me.sleep(seen, left)

    def _take_once(self, most: int, running: int) -> tuple[list[Task[Any]], int, int]:
        """Tasks; or none, the wake word to sleep on (-1: look again at once), and when to look again."""
        exchange, me = self._connection.exchange, self._lease.me
        count, places = exchange.take(me.index, me.generation, most, running, microseconds())
        if not count:
            return [], places[0], places[1]
        if count == NOBODY:
            raise me.gone()
        for at in range(3 * running, 3 * count, 3):
            self.held.append((places[at], places[at + 1], places[at + 2]))
        tasks = [self._read(held) for held in exchange.read_many(places, min(running, count))]
        return [task for task in tasks if task is not None], -1, 0

    def _read(self, held: Held | None) -> Task[Any] | None:
        """The task that was handed to us; None if it was taken away before it was read."""
        if held is None or held[7] is not None:
            return HeldTask(held, held[7], self._holder) if held is not None else None
        task = self._reader.held(held, self._holder)
        if task is not None and task.payload is None:
            self._lease.fail(task, ErrorInfo.from_exception(_unreadable(task)), final=True)
            return None
        return task


def _unreadable(task: Task[Any]) -> CodecError:
    return CodecError(f"the payload of task {task.id} is not there any more; push it again")
