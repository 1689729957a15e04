"""A worker's place in a queue, for coroutines that take tasks themselves."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from ..backend import TaskStream, WorkerLease, WorkerRequest
from ..backends.capabilities import Every
from ..result import ErrorInfo
from ..status import Status
from ..task import Progress, Task, TaskId
from .calls import Calls

__all__ = ["AsyncLease"]


class AsyncLease:
    """`WorkerLease` with coroutines; what `AsyncQueue.register_worker` returns."""

    def __init__(self, calls: Calls, backend: Every, lease: WorkerLease) -> None:
        self._calls = calls
        self._backend = backend
        self._lease = lease

    def __repr__(self) -> str:
        return f"<AsyncLease of {self._lease!r}>"

    async def __aenter__(self) -> AsyncLease:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def worker_id(self) -> str:
        """The id it was registered with."""
        return self._lease.worker_id

    @property
    def request(self) -> WorkerRequest:
        """What others asked this worker to do."""
        return self._lease.request

    def poll(self, *, prefetch: int = 1) -> TaskStream:
        """Tasks for this worker, for ``async for``, RUNNING when handed out; None where nothing was found.

        Close it when you are done. Each of its steps waits in one of the loop's own threads.
        """
        self._calls.check()
        return self._backend.poll(self._lease, prefetch=prefetch)

    async def heartbeat(self) -> list[TaskId]:
        """Tell people that the worker moves; twice a second is enough. See `WorkerLease.heartbeat`."""
        return await self._calls.run(self._lease.heartbeat)

    async def progress(self, task: Task[Any], progress: Progress) -> None:
        """Tell how far the run of a task is; nothing where the backend cannot show it."""
        await self._calls.run(self._lease.progress, task, progress)

    async def finish(self, task: Task[Any], value: Any) -> None:
        """RUNNING -> DONE with this value."""
        await self._calls.run(self._lease.finish, task, value)

    async def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        """RUNNING -> FAILED, due again in ``retry_in`` seconds; KILLED with no attempt left."""
        return await self._calls.run(self._lease.fail, task, error, retry_in=retry_in, final=final)

    async def give_back(self, task: Task[Any]) -> bool:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged."""
        return await self._calls.run(self._lease.give_back, task)

    async def postpone(self, task: Task[Any], seconds: float) -> bool:
        """QUEUED or RUNNING -> PENDING, due in ``seconds``, nothing charged; False if not ours now."""
        return await self._calls.run(self._lease.postpone, task, seconds)

    async def close(self) -> None:
        """Give everything back and leave the queue's list of workers."""
        await self._calls.run(self._lease.close)
