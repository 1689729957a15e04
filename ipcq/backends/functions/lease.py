"""A worker of a backend of functions: what it runs, and how it tells how that ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ...backend import WorkerRequest
from ...errors import LeaseLost, NotSupported
from ...result import ErrorInfo, TaskResult
from ...status import Status, check_transition
from ...task import Lease, Progress, Task, TaskId
from .source import Source

__all__ = ["FunctionLease"]


@dataclass
class FunctionLease:
    """A registered worker. Fulfils `WorkerLease`.

    Attributes:
        number: tells it from every other worker of its backend.
        leave: called once at the end.
    """

    worker_id: str
    number: int
    source: Source
    leave: Callable[[FunctionLease], object]

    def __post_init__(self) -> None:
        self._held: dict[int, Task[Any]] = {}
        self._epoch = 0
        self.closed = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._held)} held"
        return f"<FunctionLease of {self.worker_id!r} in {self.source.name!r} [{state}]>"

    @property
    def request(self) -> WorkerRequest:
        """Nobody can ask from another process."""
        return WorkerRequest.RUN

    def heartbeat(self) -> list[TaskId]:
        """There is nobody to tell, and nobody else's tasks to return."""
        return []

    def start(self, task: Task[Any]) -> Task[Any]:
        """PENDING or FAILED -> RUNNING."""
        check_transition(task.status, Status.RUNNING)
        self._epoch += 1
        task.status, task.queue = Status.RUNNING, self.source.name
        task.lock_by, task.lock_at = self.worker_id, time.time()
        task.lease = Lease(0, 0, self._epoch, self.number)
        self._held[task.id] = task
        return task

    def finish(self, task: Task[Any], value: Any) -> None:
        """RUNNING -> DONE with this value."""
        self._check(task)
        self._end(task, Status.DONE, TaskResult(task.id, Status.DONE, value))

    def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        """RUNNING -> FAILED, to be run again by this process; KILLED with no attempt left."""
        self._check(task)
        if final or task.attempts + 1 >= task.max_attempts:
            self._end(task, Status.KILLED, TaskResult(task.id, Status.KILLED, None, error))
            return Status.KILLED
        task.attempts += 1
        task.run_at = time.time() + max(0.0, retry_in)
        self._release(task, Status.FAILED)
        self.source.put_back(task, task.run_at)
        return Status.FAILED

    def give_back(self, task: Task[Any]) -> bool:
        """RUNNING -> PENDING, for another worker; nothing charged."""
        if not self._has(task):
            return False
        self._release(task, Status.PENDING)
        self.source.give_back(task)
        return True

    def postpone(self, task: Task[Any], seconds: float) -> bool:
        """There is nowhere to put it: `NotSupported`."""
        raise NotSupported("Reschedule", self.source)

    def progress(self, task: Task[Any], progress: Progress) -> None:
        """There is nobody to show it to."""

    def hurry(self) -> None:
        """Nothing here waits for room."""

    def close(self) -> None:
        """Give everything back and leave; all of it, though the function raises for one of them."""
        if self.closed:
            return
        self.closed = True
        with ExitStack() as last:
            last.callback(self.leave, self)
            for task in reversed(self._held.values()):
                last.callback(self.give_back, task)

    def __enter__(self) -> FunctionLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _has(self, task: Task[Any]) -> bool:
        held = self._held.get(task.id)
        return held is not None and held.lease == task.lease

    def _check(self, task: Task[Any]) -> None:
        if not self._has(task):
            raise LeaseLost(f"task {task.id} is not held by worker {self.worker_id!r}; nothing was changed")

    def _end(self, task: Task[Any], status: Status, result: TaskResult[Any]) -> None:
        check_transition(task.status, status)
        self.source.acknowledge(task, result)  # before it counts: raising, it leaves the task ours
        task.attempts += 1
        task.done_at = time.time()
        self._release(task, status)

    def _release(self, task: Task[Any], status: Status) -> None:
        check_transition(task.status, status)
        del self._held[task.id]
        task.status, task.lease, task.lock_by, task.lock_at = status, None, None, None
