"""Ends calls that run for longer than they may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from ..backends.memory import MemoryStorage
from ..errors import IpcqError
from ..expose import LARGEST_PAGE, Filter
from ..status import Status
from ..task import Task, TaskId

__all__ = ["Deadlines"]


class Deadlines:
    """A thread that looks at what runs when something may be late, and not otherwise.

    What begins after a look has the shortest timeout of all from then on, at least: so that, or the moment
    when a call that runs is late, is when to look again.

    Args:
        storage: of the tasks.
        on_late: told the id of a task before its process is killed.
    """

    def __init__(self, storage: MemoryStorage, on_late: Callable[[TaskId], None]) -> None:
        self._storage, self._on_late = storage, on_late
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)  # its own `with` is not safe from Ctrl-C
        self._timeouts: dict[TaskId, float] = {}
        self._ended = False
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Deadlines of {len(self._timeouts)} calls>"

    def watch(self, task_id: TaskId, timeout: float) -> None:
        """See that this task runs for ``timeout`` seconds at the most."""
        with self._mutex:
            shorter = timeout < min(self._timeouts.values(), default=float("inf"))
            self._timeouts[task_id] = timeout
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._run, name="ipcq-deadlines", daemon=True)
                self._thread.start()
            if shorter:
                self._changed.notify_all()

    def forget(self, task_id: TaskId) -> None:
        """The task has ended."""
        self._timeouts.pop(task_id, None)

    def close(self) -> None:
        """End the thread."""
        with self._mutex:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._mutex:
            while not self._ended:
                if self._timeouts:
                    self._changed.wait(max(0.0, self._next() - time.time()))
                else:
                    self._changed.wait()

    def _next(self) -> float:
        """End what is late; the moment when something may be."""
        now = time.time()
        ends = [now + min(self._timeouts.values())]
        for task in self._running():
            timeout = self._timeouts.get(task.id)
            if timeout is None or task.lock_at is None:
                continue
            if task.lock_at + timeout > now:
                ends.append(task.lock_at + timeout)
            else:
                self._end(task.id)
        return min(ends)

    def _end(self, task_id: TaskId) -> None:
        self._on_late(task_id)
        try:
            self._storage.cancel(task_id, running=True)
        except IpcqError:  # it ended in this moment, or the queue did
            pass

    def _running(self) -> Iterator[Task[bytes]]:
        try:
            yield from self._storage.list_tasks(
                filter=Filter(status=Status.RUNNING, page_size=LARGEST_PAGE)
            ).items
        except IpcqError:
            pass
