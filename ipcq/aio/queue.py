"""One queue for coroutines: the calls of its backend, without holding up the loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any

from ..backend import OnProgress, Permit, Turn, WorkerExit, WorkerRequest
from ..errors import WaitTimeout
from ..expose import Filter, Histogram, Page, QueueInfo, RunningWorker, Statistic
from ..layers.patience import Question, release
from ..result import ErrorInfo, TaskResult
from ..status import TERMINAL, Status
from ..task import Progress, Queue, Task, TaskId
from .calls import Calls
from .collector import Collector
from .lease import AsyncLease
from .pushing import batches, push_many, push_one
from .results import AsyncResults
from .waiters import Future
from .weak import AsyncWeakSink
from .whole import whole

__all__ = ["AsyncQueue"]


class AsyncQueue:
    """Every capability of a backend as a coroutine, with the arguments, results and errors of its method.

    What the backend cannot do is `NotSupported`. Calls are made in a few threads; all waits share one.

    Args:
        backend: any backend; it may be used by others, too, in other threads.
        close_backend: whether `close` closes it.
    """

    def __init__(self, backend: object, *, close_backend: bool = False) -> None:
        self.backend = backend
        self._close_backend = close_backend
        self._whole = whole(backend)
        name = _name(backend)
        self._calls = Calls(name)
        self._collector = Collector(self._whole, name)
        # Results and sinks have `_calls`, too: the thread ends when nobody can wait any more.
        weakref.finalize(self._calls, self._collector.stop)

    def __repr__(self) -> str:
        state = "closed" if self._calls.is_closed else f"{len(self._collector)} awaited"
        return f"<AsyncQueue of {self.backend!r} [{state}]>"

    async def __aenter__(self) -> AsyncQueue:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the threads; who still waits gets `QueueClosed`. Calls that run are waited for."""
        if self._calls.is_inherited:
            return  # they are the parent's
        self._calls.refuse()
        self._collector.stop()
        closer = ThreadPoolExecutor(1, "ipcq-aio-closer")
        try:
            await asyncio.get_running_loop().run_in_executor(closer, self._end)
        finally:
            closer.shutdown(wait=False)

    def _end(self) -> None:
        self._collector.join()
        self._calls.close()
        close = getattr(self.backend, "close", None) if self._close_backend else None
        if close is not None:
            close()

    # --- ConfigExt --------------------------------------------------------------------------------

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        return self._whole.queue

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings in force."""
        return self._whole.config

    def capabilities(self) -> frozenset[str]:
        """Names of the Protocols that the backend fulfils."""
        return self._whole.capabilities()

    # --- TaskSink, WeakTaskSink -------------------------------------------------------------------

    async def push(
        self, args: Any, *, timeout: float | None = None, block: bool = True, **parts: Any
    ) -> TaskId:
        """Store one task and return its id. Who is cancelled half-way may have stored it."""
        return await push_one(self._calls, self._whole.push, args, timeout=timeout, block=block, **parts)

    async def push_bulk(
        self, iterable: Iterable[Any], *, timeout: float | None = None, block: bool = True, **parts: Any
    ) -> list[TaskId]:
        """Encode all first, then store them in order."""
        push, items = self._whole.push_bulk, await self._calls.run(list, iterable)
        return await push_many(self._calls, push, items, timeout=timeout, block=block, **parts)

    async def push_stream(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        batch: int = 64,
        timeout: float | None = None,
        block: bool = True,
        **parts: Any,
    ) -> int:
        """Store what ``source`` yields, ``batch`` tasks at a time; how many."""
        count, push = 0, self._whole.push_bulk
        async for items in batches(self._calls, source, batch):
            count += len(await push_many(self._calls, push, items, timeout=timeout, block=block, **parts))
        return count

    async def push_task(self, task: Task[Any], *, timeout: float | None = None, block: bool = True) -> TaskId:
        """Store one task with its own parts."""
        return await push_one(self._calls, self._whole.push_task, task, timeout=timeout, block=block)

    async def push_all(
        self, tasks: Iterable[Task[Any]], *, timeout: float | None = None, block: bool = True
    ) -> list[TaskId]:
        """Store many tasks with their own parts, in order."""
        push, items = self._whole.push_all, await self._calls.run(list, tasks)
        return await push_many(self._calls, push, items, timeout=timeout, block=block)

    def weak(self) -> AsyncWeakSink:
        """A sink for any type."""
        return AsyncWeakSink(self._calls, self._whole)

    # --- WaitForCompletion ------------------------------------------------------------------------

    async def wait(
        self, task_id: TaskId | str, timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> TaskResult[Any]:
        """The result of one task; any number may wait at once. Who is cancelled leaves nothing behind.

        Args:
            on_progress: called in this loop, four times a second at the most, when the run of the task has
                told something new; what it raises is the loop's affair.

        Raises:
            TaskNotFound, WaitTimeout, ResultExpired: as the backend's.
            QueueClosed: this, or the backend, was closed meanwhile.
        """
        self._check_wait(on_progress)
        loop, wanted = asyncio.get_running_loop(), TaskId.parse(task_id)
        future: Future = loop.create_future()
        self._collector.ask({wanted: future}, on_progress)
        timer = None
        if timeout is not None:
            error = WaitTimeout(f"waited {timeout:g} s; task {wanted} has not finished; it goes on")
            timer = loop.call_later(timeout, self._collector.late, wanted, future, error)
        try:
            return await future
        finally:
            self._collector.drop(wanted, future)
            if timer is not None:
                timer.cancel()

    def wait_for(
        self,
        ids: Iterable[TaskId | str],
        timeout: float | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> AsyncResults:
        """Results in completion order, each id once, for ``async for``; arguments and errors as `wait`."""
        self._check_wait(on_progress)
        return AsyncResults(self._calls, self._collector, ids, timeout, on_progress)

    def _check_wait(self, on_progress: OnProgress | None) -> None:
        """`NotSupported` where the backend cannot do that."""
        self._calls.check()
        _ = self._whole.wait_for
        if on_progress is not None:
            _ = self._whole.running_progress

    async def running_progress(self, since: int = 0) -> tuple[int, Mapping[TaskId, Progress]]:
        """How far each run is that has told it, if any told something since an earlier answer."""
        return await self._calls.run(self._whole.running_progress, since)

    async def check_status(self, ids: Iterable[TaskId]) -> dict[TaskId, Status]:
        """The status of each id; unknown ones are left out."""
        return await self._calls.run(self._whole.check_status, ids)

    # --- one task ---------------------------------------------------------------------------------

    async def fetch_by_id(self, task_id: TaskId | str) -> Task[Any] | None:
        """The task in whatever status, or None."""
        return await self._calls.run(self._whole.fetch_by_id, task_id)

    async def update(self, task: Task[Any], *, expect: Status | None = None) -> Task[Any]:
        """Store the parts of a task that may change, all of them or none."""
        return await self._calls.run(self._whole.update, task, expect=expect)

    async def reschedule(
        self, task: TaskId | str | Task[Any], wait: float | timedelta | datetime, *, force: bool = False
    ) -> None:
        """Make a task PENDING, due ``wait`` from now or at a datetime."""
        await self._calls.run(self._whole.reschedule, task, wait, force=force)

    async def resume_by_id(self, task_id: TaskId | str, *, reset: bool = False) -> bool:
        """Make a task PENDING and due now."""
        return await self._calls.run(self._whole.resume_by_id, task_id, reset=reset)

    async def cancel(self, task_id: TaskId | str, *, running: bool = False) -> bool:
        """Make a task KILLED, with the error ``Cancelled``."""
        return await self._calls.run(self._whole.cancel, task_id, running=running)

    async def end_run(
        self, task_id: TaskId | str, error: ErrorInfo, *, pid: int, retry_in: float = 0.0
    ) -> bool:
        """End the run of a task in the place of its worker."""
        return await self._calls.run(self._whole.end_run, task_id, error, pid=pid, retry_in=retry_in)

    # --- workers ----------------------------------------------------------------------------------

    async def register_worker(self, worker_id: str, *, layers: Iterable[str] = ()) -> AsyncLease:
        """Enter a worker, whose lease takes and ends tasks; `Worker` does all that by itself."""
        lease = await self._calls.run(self._whole.register_worker, worker_id, layers=layers)
        return AsyncLease(self._calls, self._whole, lease)

    # --- limits -----------------------------------------------------------------------------------

    async def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """Ask for a moment to begin at, of which there are only so many; does not wait for it."""
        return await self._calls.run(self._whole.take_turn, name, per_second, burst)

    async def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> Permit | None:
        """One of ``limit`` permits, for a plain ``with``, or None. Who is cancelled half-way has none."""
        question = Question(partial(self._whole.take_permit, name, limit, waited=waited), release)
        return await question.asked(self._calls.run)

    # --- the queue --------------------------------------------------------------------------------

    async def resume_abandoned(self, *, exits: Iterable[WorkerExit] = ()) -> list[TaskId]:
        """Return the tasks of dead owners to the queue, and tell which."""
        return await self._calls.run(self._whole.resume_abandoned, exits=exits)

    async def ask_worker(self, worker_id: str, request: WorkerRequest) -> bool:
        """Have a worker pause, go on, or stop."""
        return await self._calls.run(self._whole.ask_worker, worker_id, request)

    async def vacuum(self, *, older_than: float = 0, statuses: Iterable[Status] = tuple(TERMINAL)) -> int:
        """Remove finished tasks; how many."""
        return await self._calls.run(self._whole.vacuum, older_than=older_than, statuses=statuses)

    async def list_queues(self) -> list[QueueInfo]:
        """All queues of the namespace, by name."""
        return await self._calls.run(self._whole.list_queues)

    async def list_workers(self, queue: str | None = None) -> list[RunningWorker]:
        """The workers of ``queue`` (None: of this one), by start."""
        return await self._calls.run(self._whole.list_workers, queue)

    async def list_all_workers(self) -> list[RunningWorker]:
        """The workers of every queue of the namespace."""
        return await self._calls.run(self._whole.list_all_workers)

    async def list_tasks(self, queue: str | None = None, filter: Filter | None = None) -> Page[Task[Any]]:
        """One page of tasks, newest first."""
        return await self._calls.run(self._whole.list_tasks, queue, filter)

    async def list_all_tasks(self, filter: Filter | None = None) -> Page[Task[bytes]]:
        """One page of the tasks of every queue of the namespace, newest first; payloads are not decoded."""
        return await self._calls.run(self._whole.list_all_tasks, filter)

    async def global_stats(self) -> list[Statistic]:
        """Figures of all queues together."""
        return await self._calls.run(self._whole.global_stats)

    async def queue_stats(self, queue: str | None = None) -> list[Statistic]:
        """Figures of one queue (None: of this one)."""
        return await self._calls.run(self._whole.queue_stats, queue)

    async def queue_histograms(self, queue: str | None = None) -> dict[str, Histogram]:
        """Durations by classes, of one queue (None: of this one)."""
        return await self._calls.run(self._whole.queue_histograms, queue)


def _name(backend: object) -> str:
    queue = getattr(backend, "queue", None)
    return type(backend).__name__ if queue is None else f"queue {str(queue)!r}"
