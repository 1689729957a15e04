"""A backend in a list: what a worker asks of it, and what it was told, in order."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from ipcq.backend import WorkerRequest
from ipcq.errors import LeaseLost
from ipcq.layer import Layer, acknowledge
from ipcq.result import ErrorInfo
from ipcq.status import Status
from ipcq.task import Progress, Task, TaskId


class FakeLease:
    """Writes down what it is told: ``("finish", args, value)`` and the like."""

    def __init__(self, worker_id: str = "w", log: list[Any] | None = None) -> None:
        self.worker_id = worker_id
        self.log: list[Any] = [] if log is None else log
        self.request = WorkerRequest.RUN
        self.lost = False
        self.refuses: Exception | None = None
        self.returned: list[TaskId] = []
        self.on_heartbeat: Callable[[], None] = lambda: None

    def heartbeat(self) -> list[TaskId]:
        self.on_heartbeat()
        returned, self.returned = self.returned, []
        return returned

    def finish(self, task: Task[Any], value: Any) -> None:
        self._check()
        if self.refuses is not None:
            raise self.refuses
        self.log.append(("finish", task.args, value))

    def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        self._check()
        self.log.append(("kill" if final else "fail", error.type, error.message))
        return Status.KILLED if final else Status.FAILED

    def give_back(self, task: Task[Any]) -> bool:
        self.log.append(("give back", task.args))
        return True

    def postpone(self, task: Task[Any], seconds: float) -> bool:
        if self.refuses is not None:
            raise self.refuses
        self.log.append(("postpone", task.args, seconds))
        return True

    def progress(self, task: Task[Any], progress: Progress) -> None:
        """There is nobody to show it to."""

    def hurry(self) -> None:
        """Nothing here waits for room."""

    def close(self) -> None:
        self.log.append("leave")

    def __enter__(self) -> FakeLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self.lost:
            raise LeaseLost("taken over")


class FakeStream:
    """Gives what is in the queue; None when there was nothing for ``patience`` seconds."""

    def __init__(self, tasks: queue.SimpleQueue[Task[Any] | None], log: list[Any], patience: float) -> None:
        self._tasks, self._log, self._patience = tasks, log, patience

    def __iter__(self) -> Iterator[Task[Any] | None]:
        return self

    def __next__(self) -> Task[Any] | None:
        try:
            return self._tasks.get(timeout=self._patience)
        except queue.Empty:
            return None

    def __aiter__(self) -> AsyncIterator[Task[Any] | None]:
        raise NotImplementedError

    async def __anext__(self) -> Task[Any] | None:
        raise NotImplementedError

    def look(self) -> Task[Any] | None:
        return next(self, None)

    def wake(self) -> None:
        self._tasks.put(None)

    def close(self) -> None:
        self._log.append("close")


class FakeBackend:
    """Hands out ``items``, then waits up to ``patience`` seconds for more.

    Attributes:
        log: all that the worker did, in order.
        lease: of each worker.
        stream: what `poll` returns.
    """

    queue = "numbers"
    stream: type[FakeStream] = FakeStream

    def __init__(self, items: Iterable[Any] = (), *, patience: float = 0.01) -> None:
        self.tasks: queue.SimpleQueue[Task[Any] | None] = queue.SimpleQueue()
        for item in items:
            self.tasks.put(Task.of(item))
        self.log: list[Any] = []
        self.lease = FakeLease(log=self.log)
        self._patience = patience

    def register_worker(self, worker_id: str, *, layers: Iterable[str] = ()) -> FakeLease:
        self.log.append(("enter", worker_id, list(layers)))
        self.lease.worker_id = worker_id
        return self.lease

    def poll(self, worker: Any, *, prefetch: int = 1) -> FakeStream:
        self.log.append(("poll", prefetch))
        return self.stream(self.tasks, self.log, self._patience)

    def heartbeat(self, worker: Any) -> list[TaskId]:
        return list(worker.heartbeat())

    def middleware(self) -> Layer:
        return acknowledge

    def close(self) -> None: ...

    def capabilities(self) -> frozenset[str]:
        return frozenset({"Backend", "RegisterWorker"})


def outcomes(backend: FakeBackend) -> list[Any]:
    """How runs ended, in their order."""
    return [entry for entry in backend.log if entry[0] in ("finish", "fail", "kill", "give back")]


def send(number: int = signal.SIGTERM) -> None:
    """Send a signal to this process; its handler has run when this returns."""
    os.kill(os.getpid(), number)
    time.sleep(0)  # a call, after which Python looks for signals
