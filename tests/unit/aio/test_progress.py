"""Coroutines that are told how far the tasks are that they await."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ipcq import CustomBackend, MemoryStorage, NotSupported, Progress, TaskId, WaitTimeout
from ipcq.aio import AsyncQueue

from ..memory.acting import worker

Told = list[tuple[TaskId, Progress]]


def test_who_waits_is_told_in_its_loop(queue: MemoryStorage) -> None:
    """Each who asked hears of its task, also one who came later; then the result comes."""
    ids = queue.push_bulk([1, 2])

    async def main() -> None:
        async with AsyncQueue(queue) as waiting:
            with worker(queue) as hands:
                tasks = [hands.take(), hands.take()]
                hands.lease.progress(tasks[0], Progress(1, 2))
                loop_thread, told, late = threading.get_ident(), Told(), Told()
                heard, late_heard, second = asyncio.Event(), asyncio.Event(), asyncio.Event()

                def hear(task_id: TaskId, progress: Progress) -> None:
                    assert threading.get_ident() == loop_thread
                    told.append((task_id, progress))
                    (heard if progress.done == 1 else second).set()

                def hear_late(task_id: TaskId, progress: Progress) -> None:
                    late.append((task_id, progress))
                    late_heard.set()

                first = asyncio.ensure_future(waiting.wait(ids[0], on_progress=hear))
                plain = asyncio.ensure_future(waiting.wait(ids[1]))
                await heard.wait()
                other = asyncio.ensure_future(waiting.wait(ids[0], on_progress=hear_late))
                await late_heard.wait()
                assert told == late == [(ids[0], Progress(1, 2))]
                hands.lease.progress(tasks[1], Progress(5))
                hands.lease.progress(tasks[0], Progress(2, 2))
                await second.wait()
                assert told[1:] == [(ids[0], Progress(2, 2))]
                for task in tasks:
                    hands.lease.finish(task, "done")
                assert [(await each).value for each in (first, plain, other)] == ["done"] * 3
                assert len(waiting._collector._listening) == 0
                assert (await waiting.running_progress())[1] == {}

    asyncio.run(main())


def test_many_are_awaited_and_told(queue: MemoryStorage) -> None:
    """`wait_for` takes it, too; what is over, one way or the other, is heard of no more."""
    ids = queue.push_bulk(range(3))

    async def main() -> None:
        async with AsyncQueue(queue) as waiting:
            with worker(queue) as hands:
                told, heard = Told(), asyncio.Event()

                def hear(task_id: TaskId, progress: Progress) -> None:
                    told.append((task_id, progress))
                    heard.set()

                results = waiting.wait_for(ids[:2], 30, on_progress=hear)
                tasks = [hands.take() for _ in ids]
                for task in tasks:
                    hands.lease.progress(task, Progress(task.args))
                ending = asyncio.ensure_future(anext(results))
                await heard.wait()
                hands.lease.finish(tasks[0], "done")
                assert (await ending).value == "done"
                results.close()
                assert {task_id for task_id, _ in told} <= set(ids[:2])
                with pytest.raises(WaitTimeout):
                    await waiting.wait(ids[2], 0.01, on_progress=hear)
                assert len(waiting._collector._listening) == 0
                for task in tasks[1:]:
                    hands.lease.finish(task, None)

    asyncio.run(main())


def test_a_lease_tells_it(queue: MemoryStorage) -> None:
    """Of a coroutine that takes tasks itself; where nobody can be shown it, nothing happens."""
    queue.push(1)

    async def main() -> None:
        async with AsyncQueue(queue) as tasks, await tasks.register_worker("w") as lease:
            async for task in lease.poll():
                assert task is not None
                await lease.progress(task, Progress(1, 2))
                assert (await tasks.running_progress())[1] == {task.id: Progress(1, 2)}
                await lease.finish(task, None)
                break
        rows = AsyncQueue(CustomBackend(fetch=[1]))
        async with await rows.register_worker("w") as lease:
            async for task in lease.poll():
                assert task is not None
                await lease.progress(task, Progress(1, 2))
                await lease.finish(task, None)
                break
        await rows.close()

    asyncio.run(main())


def test_a_backend_that_cannot_show_it_says_so() -> None:
    """At once, and only when it is asked for."""

    async def main() -> None:
        queue = AsyncQueue(CustomBackend(fetch=lambda: None))
        with pytest.raises(NotSupported, match="WaitForCompletion"):
            await queue.wait(TaskId.new(), on_progress=print)
        with pytest.raises(NotSupported, match="ShowProgress"):
            await queue.running_progress()
        await queue.close()

    asyncio.run(main())
