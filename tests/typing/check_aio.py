"""What `ipcq.aio` is to a type checker. Never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from ipcq import MemoryStorage, Page, Progress, Status, Task, TaskId, TaskResult, aio

if TYPE_CHECKING:
    from typing_extensions import assert_type


async def calls_have_the_types_of_the_methods(numbers: AsyncIterator[int]) -> None:
    async with aio.connect("memory://numbers") as queue:
        assert_type(queue, aio.AsyncQueue)
        assert_type(await queue.push(1, priority=1), TaskId)
        assert_type(await queue.push_bulk([1]), list[TaskId])
        assert_type(await queue.push_stream(numbers), int)
        assert_type(await queue.fetch_by_id("id"), Task[Any] | None)
        assert_type(await queue.check_status([]), dict[TaskId, Status])
        assert_type(await queue.list_tasks(), Page[Task[Any]])
        assert_type(await queue.wait("id", 1.0, on_progress=print), TaskResult[Any])
        assert_type(await queue.running_progress(), tuple[int, Mapping[TaskId, Progress]])
        async for result in queue.wait_for([]):
            assert_type(result, TaskResult[Any])
    assert_type(await aio.connect(), aio.AsyncQueue)


def any_backend_will_do(storage: MemoryStorage) -> aio.AsyncQueue:
    return aio.AsyncQueue(storage)


async def what_is_not_there_is_an_error(queue: aio.AsyncQueue) -> None:
    await queue.poll("w")  # type: ignore[attr-defined]
    await queue.wait(1)  # type: ignore[arg-type]
    await queue.wait("id", on_progress=1)  # type: ignore[arg-type]
