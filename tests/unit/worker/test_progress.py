"""What handlers and layers tell of how far they are, and of which task."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from ipcq.errors import StorageError
from ipcq.layer import CallNext
from ipcq.task import Progress, Task
from ipcq.worker import Worker, WorkerContext

from .fakes import FakeBackend, FakeLease


class Telling(FakeLease):
    """Writes down what is told of which task."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__(log=log)
        self.told: list[tuple[Any, Progress]] = []

    def progress(self, task: Task[Any], progress: Progress) -> None:
        """Note it."""
        if self.refuses is not None:
            raise self.refuses
        self.told.append((task.args, progress))


def _telling(*items: Any) -> tuple[FakeBackend, Telling]:
    backend = FakeBackend(items)
    lease = backend.lease = Telling(backend.log)
    return backend, lease


def test_a_handler_tells_of_its_own_task() -> None:
    """By its context; listeners of events do not stand in the way."""
    backend, lease = _telling(1, 2)

    def handler(number: int, context: WorkerContext) -> None:
        assert context.task is not None
        assert context.task.args == number
        context.progress(number, 10)
        context.progress(number)

    Worker("w", backend, handler, on_event=lambda _: None).run(until_empty=True)
    assert lease.told == [(n, told) for n in (1, 2) for told in (Progress(n, 10), Progress(n))]


def test_a_layer_tells_of_the_task_that_it_runs() -> None:
    """By the worker's own context, which has no task in between."""
    backend, lease = _telling(1, 2)
    seen: list[WorkerContext] = []

    def layer(task: Task[Any], context: WorkerContext, call_next: CallNext) -> Any:
        seen.append(context)
        assert context.task is task
        context.progress(task.args)
        return call_next(task, context)

    Worker("w", backend, lambda number: number, layers=[layer]).run(until_empty=True)
    assert lease.told == [(1, Progress(1)), (2, Progress(2))]
    assert seen[0] is seen[1]
    assert seen[0].task is None
    seen[0].progress(3)
    assert len(lease.told) == 2


def test_several_at_a_time_tell_each_of_their_own() -> None:
    """Coroutines that have their turns between each other, and threads that they start."""
    backend, lease = _telling(1, 2, 3)
    there: list[int] = []

    async def layer(task: Task[Any], context: WorkerContext, call_next: CallNext) -> Any:
        context.progress(0, task.args)
        return await call_next(task, context)

    async def handler(number: int, context: WorkerContext) -> None:
        there.append(number)
        while len(there) < 3:
            await asyncio.sleep(0)
        context.progress(number, number)
        await asyncio.to_thread(context.progress, 2 * number)

    Worker("w", backend, handler, layers=[layer], concurrency=3).run(until_empty=True)
    for number in (1, 2, 3):
        told = [progress for args, progress in lease.told if args == number]
        assert told == [Progress(0, number), Progress(number, number), Progress(2 * number)]


def test_what_a_thread_tells_too_late_is_told_of_its_own_task() -> None:
    """A handler's context stays its run's, whatever the worker runs by then."""
    backend, lease = _telling(1, 2)
    go = threading.Event()
    threads: list[threading.Thread] = []

    def handler(number: int, context: WorkerContext) -> None:
        def later() -> None:
            go.wait(20)
            context.progress(number)

        if number == 1:
            threads.append(threading.Thread(target=later))
            threads[0].start()
        else:
            go.set()
            threads[0].join()

    Worker("w", backend, handler).run(until_empty=True)
    assert lease.told == [(1, Progress(1))]


@pytest.mark.parametrize("refuses", [None, StorageError("no room")])
def test_it_is_only_shown(refuses: Exception | None) -> None:
    """A backend that cannot show it, or cannot now, fails no run; numbers that are none are the handler's."""
    backend = FakeBackend(["good", "bad"])
    if refuses is not None:
        backend.lease = Telling(backend.log)
        backend.lease.refuses = refuses

    def handler(what: str, context: WorkerContext) -> str:
        context.progress(1 if what == "good" else -1)
        if refuses is not None:
            backend.lease.refuses = None
        return what

    Worker("w", backend, handler).run(until_empty=True)
    outcomes = [entry for entry in backend.log if entry[0] in ("finish", "fail")]
    assert outcomes[0] == ("finish", "good", "good")
    assert outcomes[1][:2] == ("fail", "ValueError")
