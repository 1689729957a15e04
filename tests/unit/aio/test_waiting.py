"""Waits of coroutines: many without threads, and nothing left of those that are over."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipcq import (
    JsonStorage,
    MemoryStorage,
    Pipe,
    QueueClosed,
    ResultExpired,
    Status,
    TaskId,
    TaskNotFound,
    TaskResult,
    WaitTimeout,
)
from ipcq.aio import AsyncQueue

from ..memory.acting import worker

PATIENCE = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Give way to others until it is so."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < PATIENCE
        await asyncio.sleep(0)


def asked(queue: AsyncQueue) -> int:
    """For how many tasks the backend was asked."""
    completions = queue._collector._completions
    return 0 if completions is None else len(completions)


def open_waits(queue: AsyncQueue, ids: list[TaskId]) -> list[asyncio.Task[TaskResult[Any]]]:
    """A task of the loop for each."""
    return [asyncio.ensure_future(queue.wait(task_id)) for task_id in ids]


def finish_all(queue: MemoryStorage, count: int) -> None:
    """Run so many tasks to DONE, many in one step."""
    with worker(queue) as hands:
        while count:
            tasks = hands.stream.take_many(min(count, 500))
            hands.lease.finish_many(tasks, [task.args for task in tasks])
            count -= len(tasks)


def test_ten_thousand_wait_without_a_thread_each(queue: MemoryStorage) -> None:
    """Each coroutine gets the result of its task, and they have one thread for all of them."""
    count = 10_000
    ids = queue.push_bulk(range(count))
    before = set(threading.enumerate())

    async def main() -> tuple[set[threading.Thread], list[Any]]:
        async with AsyncQueue(queue) as waiting:
            waits = open_waits(waiting, ids)
            await until(lambda: asked(waiting) == count)
            threads = set(threading.enumerate()) - before
            finish_all(queue, count)
            return threads, [result.value for result in await asyncio.gather(*waits)]

    threads, values = asyncio.run(main())

    assert [thread.name for thread in threads] == ["ipcq-aio-collector"]
    assert values == list(range(count))
    assert not any(thread.is_alive() for thread in threads)


class _Beginning:
    """A backend that lets somebody else in while it begins to wait, and notes for whom it waits."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.awaited: set[TaskId] = set()
        self.waited_for: list[set[TaskId]] = []
        self._meanwhile = meanwhile

    def wait_for(self, ids: list[TaskId]) -> _Beginning:
        self._meanwhile()
        return self

    def add(self, ids: list[TaskId]) -> None:
        self.awaited.update(ids)

    def wake(self) -> None:
        """Whoever waits here looks up by itself."""

    def ready(self, timeout: float) -> list[TaskResult[Any]]:
        self.waited_for.append(set(self.awaited))
        results = [TaskResult(each, Status.DONE, 1) for each in self.awaited]
        self.awaited.clear()
        return results


def test_who_comes_while_the_first_wait_begins_is_not_overlooked() -> None:
    """The thread waits for results only when it has asked for all."""

    async def main() -> list[set[TaskId]]:
        loop, ids = asyncio.get_running_loop(), [TaskId.new(), TaskId.new()]
        futures = [loop.create_future(), loop.create_future()]
        backend = _Beginning(lambda: waiting._collector.ask({ids[1]: futures[1]}))
        async with AsyncQueue(backend) as waiting:
            waiting._collector.ask({ids[0]: futures[0]})
            await asyncio.gather(*futures)
        return backend.waited_for

    first, *_ = asyncio.run(main())

    assert len(first) == 2


def test_all_who_wait_for_one_task_get_its_result(queue: MemoryStorage) -> None:
    """However many there are, and also who comes when it has ended."""

    async def main() -> list[Any]:
        task_id = queue.push(7)
        async with AsyncQueue(queue) as waiting:
            waits = open_waits(waiting, [task_id] * 3)
            await until(lambda: asked(waiting) == 1)
            finish_all(queue, 1)
            results = await asyncio.gather(*waits)
            return [*results, await waiting.wait(str(task_id)), await waiting.wait(task_id, 0)]

    assert [result.value for result in asyncio.run(main())] == [7] * 5


def test_a_cancelled_wait_leaves_nothing(queue: MemoryStorage) -> None:
    """No task is awaited any more, and another wait for one of them gets its result."""

    async def main() -> Any:
        ids = queue.push_bulk(range(100))
        async with AsyncQueue(queue) as waiting:
            waits = open_waits(waiting, ids)
            other = asyncio.ensure_future(waiting.wait(ids[0]))
            await until(lambda: asked(waiting) == 100)
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            assert len(waiting._collector) == 1
            await until(lambda: asked(waiting) == 1)
            assert len(queue._inbox._waiting) == 1
            finish_all(queue, 100)
            return (await other).value, (await waiting.wait(ids[1])).value

    assert asyncio.run(main()) == (0, 1)


def test_a_wait_that_is_cancelled_at_once_is_not_asked_for(queue: MemoryStorage) -> None:
    """Cancelled before the thread has seen it, it is as if it had not been."""

    async def main() -> None:
        async with AsyncQueue(queue) as waiting:
            for _ in range(20):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(waiting.wait(queue.push(1)), 0.0001)
            assert len(waiting._collector) == 0
            await until(lambda: asked(waiting) == 0)

    asyncio.run(main())


def test_an_unknown_task_is_told_at_once_to_the_one_who_asked(queue: MemoryStorage) -> None:
    """`TaskNotFound` for each unknown id among many, and results for the others."""

    async def main() -> list[Any]:
        ids = queue.push_bulk(range(5))
        ids[2:2] = [TaskId.new()]
        async with AsyncQueue(queue) as waiting:
            waits = [*open_waits(waiting, ids), *open_waits(waiting, [TaskId.new()])]
            await until(lambda: waits[2].done() and waits[6].done())
            finish_all(queue, 5)
            return list(await asyncio.gather(*waits, return_exceptions=True))

    found = asyncio.run(main())

    assert [type(each) for each in (found[2], found[6])] == [TaskNotFound] * 2
    assert [found[n].value for n in (0, 1, 3, 4, 5)] == [0, 1, 2, 3, 4]


def test_a_wait_has_an_end(queue: MemoryStorage) -> None:
    """`WaitTimeout` for who did not want to wait for longer, and for nobody else."""

    async def main() -> Any:
        task_id = queue.push(1)
        async with AsyncQueue(queue) as waiting:
            other = asyncio.ensure_future(waiting.wait(task_id, PATIENCE))
            with pytest.raises(WaitTimeout, match=f"waited 0.01 s; task {task_id} has not finished"):
                await waiting.wait(task_id, 0.01)
            with pytest.raises(WaitTimeout):
                await waiting.wait(queue.push(2), 0)
            finish_all(queue, 2)
            return (await other).value

    assert asyncio.run(main()) == 1


def test_a_result_that_was_removed_is_told(queue: MemoryStorage) -> None:
    """`ResultExpired` for whose result it was; the others wait on."""

    async def main() -> Any:
        ids = [*queue.push_bulk(range(3), keep_result=False), queue.push(3)]
        async with AsyncQueue(queue) as waiting:
            waits = open_waits(waiting, ids)
            await until(lambda: asked(waiting) == 4)
            finish_all(queue, 3)
            for task_id, wait in zip(ids[:3], waits, strict=False):
                with pytest.raises(ResultExpired, match=str(task_id)):
                    await wait
            finish_all(queue, 1)
            return (await waits[3]).value

    assert asyncio.run(main()) == 3


def test_an_error_of_the_backend_is_for_all_who_wait(queue: MemoryStorage) -> None:
    """A queue that is closed under them ends their waits, and the next one is told, too."""

    async def main() -> None:
        ids = queue.push_bulk(range(3))
        async with AsyncQueue(queue) as waiting:
            waits = open_waits(waiting, ids)
            await until(lambda: asked(waiting) == 3)
            queue.close()
            found = await asyncio.gather(*waits, return_exceptions=True)
            assert [type(each) for each in found] == [QueueClosed] * 3
            assert len({id(each) for each in found}) == 3
            with pytest.raises(QueueClosed):
                await waiting.wait(ids[0])

    asyncio.run(main())


def test_closing_ends_the_waits(queue: MemoryStorage) -> None:
    """Who still waits is told, and who comes later, too."""

    async def main() -> None:
        task_id = queue.push(1)
        waiting = AsyncQueue(queue)
        wait = asyncio.ensure_future(waiting.wait(task_id))
        await until(lambda: asked(waiting) == 1)
        await waiting.close()
        with pytest.raises(QueueClosed, match="was closed"):
            await wait
        with pytest.raises(QueueClosed, match="was closed"):
            await waiting.wait(task_id)
        assert "closed" in repr(waiting)
        await waiting.close()

    asyncio.run(main())


def test_a_loop_that_was_closed_first_is_no_error(
    queue: MemoryStorage, capfd: pytest.CaptureFixture[str]
) -> None:
    """What ends later has nobody to be told; another loop can wait by the same object."""
    waiting = AsyncQueue(queue)
    ids = queue.push_bulk(range(2))

    async def begin() -> None:
        loop = asyncio.get_running_loop()
        waiting._collector.ask({ids[0]: loop.create_future()})
        await until(lambda: asked(waiting) == 1)

    async def end() -> Any:
        result = await waiting.wait(ids[1])
        await waiting.close()
        return result.value

    asyncio.run(begin())
    finish_all(queue, 2)

    assert asyncio.run(end()) == 1
    assert capfd.readouterr().err == ""


def test_results_come_in_the_order_in_which_tasks_end(queue: MemoryStorage) -> None:
    """Each id once; more can be added while it runs."""

    async def main() -> list[Any]:
        first, second, third = queue.push_bulk(range(3))
        async with AsyncQueue(queue) as waiting:
            results = waiting.wait_for([third, first, first, second])
            assert len(results) == 3
            results.add([queue.push(3)])
            finish_all(queue, 4)
            return [result.value async for result in results]

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_iterating_tells_of_unknown_ids_and_of_time(queue: MemoryStorage) -> None:
    """`TaskNotFound` and `WaitTimeout` end it, and nothing is awaited any more."""

    async def main() -> None:
        async with AsyncQueue(queue) as waiting:
            with pytest.raises(TaskNotFound):
                await waiting.wait_for([queue.push(1), TaskId.new()]).__anext__()
            results = waiting.wait_for(queue.push_bulk(range(3)), 0.01)
            with pytest.raises(WaitTimeout, match=r"waited 0\.01 s; 3 of the tasks"):
                await results.__anext__()
            with pytest.raises(StopAsyncIteration):
                await results.__anext__()
            assert len(waiting._collector) == 0

    asyncio.run(main())


def test_a_loop_left_half_way_waits_for_nothing(queue: MemoryStorage) -> None:
    """Results that nobody holds any more are not awaited."""

    async def main() -> None:
        ids = queue.push_bulk(range(3))
        async with AsyncQueue(queue) as waiting:
            finish_all(queue, 1)
            async for _ in waiting.wait_for(ids):
                break
            gc.collect()
            assert len(waiting._collector) == 0

    asyncio.run(main())


def test_a_queue_that_was_dropped_ends_its_thread(queue: MemoryStorage) -> None:
    """Without `close`, the thread ends when nobody has the object any more."""

    async def main() -> threading.Thread | None:
        waiting = AsyncQueue(queue)
        with pytest.raises(WaitTimeout):
            await waiting.wait(queue.push(1), 0)
        return waiting._collector._thread

    thread = asyncio.run(main())

    assert thread is not None
    begin = time.monotonic()
    while thread.is_alive():
        assert time.monotonic() - begin < PATIENCE
        gc.collect()  # the error that was caught is in a cycle, which the thread may hold for a moment
        thread.join(0.001)


def test_a_queue_behind_a_pipe_is_waited_for_in_the_same_way(
    queue: MemoryStorage, private_directory: Path
) -> None:
    """A wait that begins while others wait is told, cancelled, late and served there, too."""
    endpoint = f"ipc://{private_directory}/socket"

    async def main(pipe: Pipe) -> list[Any]:
        ids = pipe.push_bulk(range(102))
        async with AsyncQueue(pipe) as waiting:
            waits = open_waits(waiting, ids[:100])
            await until(lambda: asked(waiting) == 100)
            waits += open_waits(waiting, [*ids[100:], TaskId.new()])
            await until(waits[102].done)
            waits[101].cancel()
            await until(lambda: asked(waiting) == 101)
            with pytest.raises(WaitTimeout):
                await waiting.wait(ids[101], 0.01)
            finish_all(queue, 102)
            results = await asyncio.gather(*waits[:101], waiting.wait(ids[101]))
            assert isinstance(waits[102].exception(), TaskNotFound)
            return [result.value for result in results]

    with Pipe.serve(queue, endpoint), Pipe(endpoint) as pipe:
        assert asyncio.run(main(pipe)) == list(range(102))


def test_a_json_queue_is_waited_for_in_the_same_way(tmp_path: Path) -> None:
    """Waits and cancellations go by the contract alone."""

    async def main(queue: JsonStorage) -> Any:
        ids = queue.push_bulk(range(2))
        async with AsyncQueue(queue) as waiting:
            waits = open_waits(waiting, ids)
            await until(lambda: asked(waiting) == 2)
            waits[0].cancel()
            await until(lambda: asked(waiting) == 1)
            queue.cancel(ids[1])
            return (await waits[1]).status.name

    with JsonStorage(tmp_path / "queue.jsonl", fsync="never") as queue:
        assert asyncio.run(main(queue)) == "KILLED"
