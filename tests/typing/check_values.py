"""The types that users see. Never run: mypy and pyright check that each expression has the type it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ipcq import (
    Abort,
    Backend,
    Codec,
    Completions,
    ErrorInfo,  # noqa: F401 - in the strings below
    Filter,
    JsonCodec,
    ListTasks,
    MsgpackCodec,
    Page,
    Queue,
    RawCodec,
    RegisterWorker,
    Status,
    Task,
    TaskId,
    TaskResult,
    TaskSink,
    Vacuum,
    WaitForCompletion,
    WorkerLease,
    WorkerRequest,
    get_codec,
)

if TYPE_CHECKING:
    from typing_extensions import assert_type


def tasks_are_generic_in_their_arguments(task: Task[int]) -> None:
    assert_type(task.args, int)
    assert_type(Task.of("text"), Task[str])
    assert_type(task.id, TaskId)
    assert_type(task.status, Status)
    assert_type(task.timeout, "float | None")


def results_are_generic_in_their_value(result: TaskResult[str]) -> None:
    assert_type(result.unwrap(), str)
    assert_type(result.value, "str | None")
    assert_type(result.error, "ErrorInfo | None")


def ids_and_names_are_plain_types() -> None:
    number: int = TaskId.new()
    text: str = Queue("q")
    assert_type(TaskId.parse(text), TaskId)
    assert_type(TaskId(number).timestamp, float)


def every_codec_fulfils_the_contract() -> list[Codec]:
    assert_type(get_codec("json"), Codec)
    return [MsgpackCodec(), JsonCodec(), RawCodec()]


def a_sink_gives_ids(sink: TaskSink) -> None:
    assert_type(sink.push({"any": "thing"}, priority=3), TaskId)
    assert_type(sink.push_bulk(range(3), timeout=1), list[TaskId])
    assert_type(sink.push_task(Task.of(1)), TaskId)
    assert_type(sink.push_all([Task.of(1)], block=False), list[TaskId])


def waiting_gives_results(backend: WaitForCompletion, task_id: TaskId) -> None:
    assert_type(backend.wait(task_id), TaskResult[Any])
    assert_type(backend.wait_for([task_id]), Completions)
    assert_type(list(backend.wait_for([task_id])), list[TaskResult[Any]])
    assert_type(backend.check_status([task_id]), dict[TaskId, Status])


async def waiting_works_in_asyncio(backend: WaitForCompletion, task_id: TaskId) -> None:
    async for result in backend.wait_for([task_id]):
        assert_type(result, TaskResult[Any])


def polling_gives_tasks_or_none(backend: Backend) -> Iterator[Task[Any]]:
    for task in backend.poll("worker"):
        assert_type(task, "Task[Any] | None")
        if task is not None:
            yield task


def a_lease_is_a_context_manager(backend: RegisterWorker) -> None:
    with backend.register_worker("worker") as lease:
        assert_type(lease, WorkerLease)
        assert_type(lease.request, WorkerRequest)


def listings_are_pages(backend: ListTasks) -> None:
    assert_type(backend.list_tasks(filter=Filter(status=Status.KILLED)), Page[Task[Any]])


def vacuum_counts(backend: Vacuum) -> None:
    assert_type(backend.vacuum(older_than=3.5), int)


def a_handler_may_abort() -> None:
    raise Abort("no such file")
