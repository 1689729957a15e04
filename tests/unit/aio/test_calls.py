"""The calls of a queue as coroutines."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import ipcq
from ipcq import (
    CustomBackend,
    ErrorInfo,
    Filter,
    MemoryStorage,
    NotSupported,
    QueueClosed,
    QueueFull,
    Status,
    Task,
    TaskId,
    WorkerRequest,
    aio,
)
from ipcq.aio import AsyncQueue
from ipcq.aio.calls import THREADS
from ipcq.backends.refusing import _CAPABILITY

OF_LEASES = {"poll", "heartbeat", "middleware"}
"""What is a method of leases here, or for `Worker` alone."""


def test_every_call_of_the_contracts_is_there() -> None:
    """What a backend has for others than workers is in `AsyncQueue`, with the same arguments."""
    calls = set(_CAPABILITY) - OF_LEASES - {"wake", "ready", "add", "discard"}
    assert [name for name in sorted(calls) if not hasattr(AsyncQueue, name)] == []
    for name in calls - {"queue", "config"}:
        theirs = inspect.signature(getattr(getattr(ipcq, _CAPABILITY[name]), name))
        assert [*inspect.signature(getattr(AsyncQueue, name)).parameters] == [*theirs.parameters], name


def test_a_task_is_pushed_looked_at_and_cancelled(queue: MemoryStorage) -> None:
    """Calls give what the backend's methods give."""

    async def main() -> None:
        async with AsyncQueue(queue) as tasks:
            first = await tasks.push("a", priority=3)
            task = await tasks.fetch_by_id(first)
            assert task is not None
            assert (task.args, task.priority) == ("a", 3)
            task.args = "b"
            assert (await tasks.update(task)).args == "b"
            await tasks.reschedule(first, 60)
            assert await tasks.resume_by_id(first)
            assert await tasks.check_status([first]) == {first: Status.PENDING}
            assert await tasks.push_task(Task.of("c")) != first
            assert len(await tasks.push_all([Task.of("d"), Task.of("e")])) == 2
            assert isinstance(await tasks.weak().push({"x": 1}, "point"), TaskId)
            assert (await tasks.list_tasks(filter=Filter(page_size=2))).total == 5
            assert (await tasks.list_all_tasks()).total == 5
            assert [info.name for info in await tasks.list_queues()] == [tasks.queue]
            assert await tasks.list_workers() == await tasks.list_all_workers() == []
            assert await tasks.global_stats()
            assert await tasks.queue_stats()
            assert await tasks.queue_histograms() == queue.queue_histograms()
            assert await tasks.resume_abandoned() == []
            assert not await tasks.ask_worker("nobody", WorkerRequest.STOP)
            assert await tasks.cancel(first)
            assert (await tasks.wait(first)).status is Status.KILLED
            assert await tasks.vacuum() == 1
            assert tasks.capabilities() == queue.capabilities()
            assert tasks.config == queue.config

    asyncio.run(main())


def test_limits_are_shared_with_the_backend(queue: MemoryStorage) -> None:
    """A turn or a permit of one is none of the other's; one that a cancelled call got goes back."""

    async def main() -> None:
        async with AsyncQueue(queue) as tasks:
            assert (await tasks.take_turn("a", 0.001)).taken
            assert not queue.take_turn("a", 0.001).taken
            permit = await tasks.take_permit("a", 1)
            assert permit is not None
            with permit:
                assert queue.take_permit("a", 1) is None
            asking = asyncio.ensure_future(tasks.take_permit("a", 1))
            await asyncio.sleep(0)  # it is asked for in a thread by now
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(main())
    with queue.take_permit("a", 1) or pytest.fail("it was lost"):
        pass


def test_streams_of_both_kinds_are_pushed(queue: MemoryStorage) -> None:
    """From an iterable and from an async one, some at a time."""

    async def numbers() -> AsyncIterator[int]:
        for number in range(10):
            yield number

    async def main() -> list[Any]:
        async with AsyncQueue(queue) as tasks:
            assert await tasks.push_stream(numbers(), batch=4) == 10
            assert await tasks.push_stream(iter(range(10, 15)), batch=2) == 5
            assert len(await tasks.push_bulk(iter(range(15, 18)))) == 3
            with pytest.raises(ValueError, match="batch must be 1 or more"):
                await tasks.push_stream([1], batch=0)
            page = await tasks.list_tasks(filter=Filter(page_size=100))
            return sorted(task.args for task in page.items)

    assert asyncio.run(main()) == list(range(18))


def test_what_a_backend_lacks_is_said_when_it_is_called() -> None:
    """`NotSupported` names the capability, also of a class that knows nothing of ipcq."""

    class Stranger:
        def push(self, args: Any, *, timeout: float | None, block: bool) -> TaskId:
            return TaskId.new()

    async def main(backend: object) -> None:
        async with AsyncQueue(backend) as tasks:
            assert isinstance(await tasks.push(1), TaskId)
            with pytest.raises(NotSupported, match="does not support Vacuum"):
                await tasks.vacuum()
            with pytest.raises(NotSupported, match="does not support WaitForCompletion"):
                await tasks.wait(TaskId.new())
            with pytest.raises(NotSupported, match="does not support WaitForCompletion"):
                tasks.wait_for([])

    asyncio.run(main(CustomBackend(push=lambda task: None)))
    asyncio.run(main(Stranger()))


def test_a_push_into_a_full_queue_waits_and_can_be_cancelled(
    make_queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`QueueFull` where it may not wait; else the loop goes on, and who is cancelled leaves."""
    monkeypatch.setattr("ipcq.aio.pushing._STEP", 0.05)
    queue = make_queue(capacity=64)

    async def main() -> None:
        async with AsyncQueue(queue) as tasks:
            with pytest.raises(QueueFull) as full:
                await tasks.push_bulk(range(100), block=False)
            stored = full.value.accepted
            assert 0 < len(stored) < 100
            with pytest.raises(QueueFull):
                await tasks.push(1, timeout=0.01)
            pushing = asyncio.ensure_future(tasks.push(1))
            await asyncio.sleep(0)
            pushing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pushing

    asyncio.run(main())


def test_pushes_that_wait_hold_up_no_other_call() -> None:
    """Not the one that makes room either; each goes on when there is some, or leaves when its time is up."""

    class Full:
        """A queue that is full until `vacuum`, and whose push waits for longer than it should."""

        def __init__(self) -> None:
            self.room, self.attempts = threading.Event(), 0

        def push(self, args: Any, *, timeout: float | None = None, block: bool = True) -> TaskId:
            self.attempts += 1
            if self.room.is_set() or (block and self.room.wait(30)):
                return TaskId.new()
            raise QueueFull("full")

        def vacuum(self, **options: Any) -> int:
            self.room.set()
            return 0

    async def main() -> None:
        backend = Full()
        async with AsyncQueue(backend) as tasks:
            pushing = [asyncio.ensure_future(tasks.push(n)) for n in range(3 * THREADS)]
            while backend.attempts <= len(pushing):  # each once without waiting, and the first once more
                await asyncio.sleep(0.001)
            with pytest.raises(QueueFull):
                await tasks.push(1, timeout=0.01)  # its turn does not come
            leaving = asyncio.ensure_future(tasks.push(2))
            await asyncio.sleep(0.01)
            leaving.cancel()
            await tasks.vacuum()
            assert len(set(await asyncio.gather(*pushing))) == len(pushing)
            with pytest.raises(asyncio.CancelledError):
                await leaving

    asyncio.run(main())


def test_a_bulk_goes_on_where_it_had_to_wait(make_queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task is stored once, in its order, however often there was no room."""
    monkeypatch.setattr("ipcq.aio.pushing._STEP", 0.01)
    queue: MemoryStorage = make_queue(capacity=64)

    async def main() -> tuple[list[TaskId], list[Any]]:
        async with AsyncQueue(queue) as tasks:
            pushing = asyncio.ensure_future(tasks.push_bulk(range(200), keep_result=False))
            seen: list[Any] = []
            await asyncio.get_running_loop().run_in_executor(None, take_all, queue, 200, seen)
            return await pushing, seen

    ids, seen = asyncio.run(main())

    assert len(set(ids)) == 200
    assert seen == list(range(200))


def take_all(queue: MemoryStorage, count: int, seen: list[Any]) -> None:
    """Run so many tasks."""
    with queue.register_worker("w") as lease:
        stream = queue.poll(lease)
        while len(seen) < count:
            task = next(stream)
            if task is not None:
                seen.append(task.args)
                lease.finish(task, None)
        stream.close()


def test_a_coroutine_takes_tasks_by_a_lease(queue: MemoryStorage) -> None:
    """It is a worker like others: what it ends has ended, what it leaves is given back."""

    async def main() -> None:
        async with AsyncQueue(queue) as tasks:
            ids = await tasks.push_bulk(range(4))
            async with await tasks.register_worker("coroutine", layers=["mine"]) as lease:
                assert (lease.worker_id, lease.request) == ("coroutine", WorkerRequest.RUN)
                assert [each.id for each in await tasks.list_workers()] == ["coroutine"]
                stream = lease.poll(prefetch=2)
                await lease.finish(expect(await stream.__anext__()), "done")
                error = ErrorInfo("Boom", "no")
                assert await lease.fail(expect(await stream.__anext__()), error) is Status.KILLED
                assert await lease.give_back(expect(await stream.__anext__()))
                put_off = expect(await stream.__anext__())
                assert await lease.postpone(put_off, 60)
                assert not await lease.give_back(put_off)
                async for task in stream:
                    assert task is not None
                    break
                await lease.heartbeat()
                stream.close()
            statuses = await tasks.check_status(ids)
            assert list(statuses.values()) == [Status.DONE, Status.KILLED, Status.PENDING, Status.PENDING]
            assert (await tasks.wait(ids[0])).value == "done"

    asyncio.run(main())


def expect(task: Task[Any] | None) -> Task[Any]:
    """The task that is there."""
    assert task is not None
    return task


def test_a_queue_is_opened_by_its_url() -> None:
    """With `async with`, which closes it, or with `await`."""

    async def main() -> None:
        async with aio.connect("memory://mine") as queue:
            task_id = await queue.push(1)
            other = await aio.connect("memory://mine")
            assert await other.check_status([task_id]) == {task_id: Status.PENDING}
            await other.close()
        with pytest.raises(QueueClosed):
            await queue.push(1)
        with pytest.raises(ValueError, match="is no URL of a queue"):
            await aio.connect("nothing://mine")

    asyncio.run(main())


def test_closing_tells_calls_that_have_not_begun(queue: MemoryStorage) -> None:
    """What runs is waited for; what waits for a thread is `QueueClosed`, not cancelled."""
    go_on = threading.Event()

    async def main() -> None:
        tasks = AsyncQueue(queue)
        running = [asyncio.ensure_future(tasks._calls.run(go_on.wait)) for _ in range(THREADS)]
        waiting = asyncio.ensure_future(tasks.push(1))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(tasks.close())
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(*running) == [True] * THREADS
        with pytest.raises(QueueClosed, match="was closed"):
            await waiting
        await closing
        assert queue.list_tasks().total == 0

    asyncio.run(main())


def test_a_connection_that_is_cancelled_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the thread opens then, nobody has: it closes it."""
    go_on, closed = threading.Event(), threading.Event()

    class Opened:
        def close(self) -> None:
            closed.set()

    def connect_slowly(url: str) -> Opened:
        go_on.wait(30)
        return Opened()

    monkeypatch.setattr("ipcq.aio.connecting.connect_sync", connect_slowly)

    async def main() -> None:
        connecting = asyncio.ensure_future(aio.connect("memory://slow")._open())
        await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    asyncio.run(main())
    go_on.set()
    assert closed.wait(30)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own(queue: MemoryStorage) -> None:
    """The threads are its parent's: every call says so, and closing does nothing."""

    async def parent() -> None:
        async with AsyncQueue(queue) as tasks:
            await tasks.push(1)
            waiting = asyncio.ensure_future(tasks.wait(await tasks.push(2), 0))
            await asyncio.wait([waiting])
            child = await asyncio.get_running_loop().run_in_executor(None, fork, tasks)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert waiting.exception() is not None
            await tasks.push(3)

    asyncio.run(parent())


def fork(tasks: AsyncQueue) -> int:
    """A child that tries to use it; its status tells whether it was refused."""
    child = os.fork()
    if child:
        return child
    try:
        asyncio.run(in_child(tasks))
        os._exit(0)
    finally:
        os._exit(1)


async def in_child(tasks: AsyncQueue) -> None:
    """Every call is refused."""
    for call in (tasks.push(1), tasks.wait(TaskId.new()), tasks.vacuum()):
        with pytest.raises(QueueClosed, match="make another one here"):
            await call
    await tasks.close()
