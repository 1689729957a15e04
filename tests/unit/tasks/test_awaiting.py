"""Handles in coroutines: ``await`` gives what the function returned, and a thousand share one thread."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from typing import Any

import pytest

from ipcq import MemoryStorage, QueueClosed, TaskFailed, TaskHandle, TaskQueue

from ..aio.test_waiting import finish_all, until
from ..working import work
from .thumbs import make, spoil, thumbs


def numbers(queue: MemoryStorage) -> tuple[TaskQueue, list[TaskHandle[int]]]:
    """A queue of functions, and a thousand calls that nobody has run yet."""
    tasks = TaskQueue(queue)
    double = tasks.task(name="double")(_double)
    return tasks, [double.push(number) for number in range(1000)]


def _double(number: int) -> int:
    return 2 * number


def asked(queue: MemoryStorage) -> int:
    """For how many tasks the queue's inbox was asked."""
    return len(queue._inbox._waiting)


def test_await_gives_what_wait_gives(private_directory: object) -> None:
    """The value, or `TaskFailed`; of a coroutine function what its coroutine returns; in any loop."""
    with thumbs:
        first, second, wrong = make.push("a", width=1), make.push("b"), spoil.push("x")
        work(thumbs.backend, thumbs, 3)

        async def main() -> list[Any]:
            with pytest.raises(TaskFailed, match="TypeError: bad x"):
                await wrong
            return [await first, await asyncio.wait_for(first, 10)]

        async def another() -> str:
            return await second

        assert asyncio.run(main()) == ["a at 1"] * 2
        assert asyncio.run(another()) == "b at 128"


def test_a_coroutine_function_gives_its_value(queue: MemoryStorage) -> None:
    """`wait` and ``await`` have the type of what it returns."""
    tasks = TaskQueue(queue)

    @tasks.task
    async def half(number: int) -> float:
        return number / 2

    waited, awaited = half.push(3), half.options(priority=1).push(5)
    work(queue, tasks, 2)

    async def main() -> float:
        return await awaited + await half(1)

    assert waited.wait(10) + asyncio.run(main()) == 4.5


def test_a_thousand_are_awaited_by_one_thread(queue: MemoryStorage) -> None:
    """Each gets its own value, and the thread ends with the queue of functions."""
    tasks, handles = numbers(queue)
    before = set(threading.enumerate())

    async def main() -> tuple[set[str], list[int]]:
        waits = [asyncio.ensure_future(handle) for handle in handles]
        await until(lambda: asked(queue) == 1000)
        names = {thread.name for thread in set(threading.enumerate()) - before}
        work(queue, tasks, 1000)
        return names, await asyncio.gather(*waits)

    assert asyncio.run(main()) == ({"ipcq-aio-collector"}, [2 * number for number in range(1000)])


def test_a_cancelled_await_leaves_nothing(queue: MemoryStorage) -> None:
    """The task goes on; nobody asks for it any more; another who awaits it gets its value."""
    _, handles = numbers(queue)

    async def main() -> int:
        waits = [asyncio.ensure_future(handle) for handle in handles]
        other = asyncio.ensure_future(handles[7])
        await until(lambda: asked(queue) == 1000)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await until(lambda: asked(queue) == 1)
        finish_all(queue, 1000)
        return await other

    values: list[Any] = [asyncio.run(main())]
    assert values == [[[7], {}]]  # what was pushed, as `finish_all` gives it back


def test_a_handle_from_elsewhere_connects(private_directory: object) -> None:
    """Awaited where nothing is connected yet, it connects; closed under it, it is `QueueClosed`."""
    with thumbs:
        done, waits = make.push("a"), make.push("b")
        work(thumbs.backend, thumbs, 1)
        thumbs.close()

        async def main() -> None:
            far: TaskHandle[str] = pickle.loads(pickle.dumps(done))
            assert await far == "a at 128"
            far._place.close()
            wait = asyncio.ensure_future(waits)
            await until(lambda: thumbs._place._opened != {})
            backend: Any = thumbs.backend
            await until(lambda: asked(backend) == 1)
            thumbs.close()
            with pytest.raises(QueueClosed):
                await wait

        asyncio.run(main())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_awaits_by_its_own_thread(queue: MemoryStorage) -> None:
    """The thread is its parent's; the child starts one of its own."""
    tasks = TaskQueue(queue)
    handle = tasks.task(name="double")(_double).push(4)

    async def parent() -> int:
        waiting = asyncio.ensure_future(handle)
        await until(lambda: asked(queue) == 1)
        work(queue, tasks)
        await waiting
        return await asyncio.get_running_loop().run_in_executor(None, _fork, handle)

    assert os.waitstatus_to_exitcode(os.waitpid(asyncio.run(parent()), 0)[1]) == 8


def _fork(handle: TaskHandle[int]) -> int:
    """A child whose status is what the task gave."""
    child = os.fork()
    if child:
        return child
    try:
        os._exit(asyncio.run(asyncio.wait_for(_value(handle), 20)))
    finally:
        os._exit(1)


async def _value(handle: TaskHandle[int]) -> int:
    return await handle
