"""New versions of tasks in a store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ipcq import (
    Conflict,
    CustomBackend,
    ErrorInfo,
    IllegalTransition,
    Status,
    Task,
    TaskId,
    TaskNotFound,
    Worker,
)
from ipcq.backends.custom import CustomStore
from ipcq.backends.store.keys import payload_key
from ipcq.backends.store.record import LARGE

from .stores import DictStore

BOOM = ErrorInfo("ValueError", "boom")


@pytest.fixture
def queue() -> Iterator[CustomStore]:
    """An empty queue."""
    with CustomBackend(store=DictStore()) as queue:
        yield queue


def _changed(queue: CustomStore, task_id: TaskId, **changes: Any) -> Task[Any]:
    task = queue.fetch_by_id(task_id)
    assert task is not None
    for name, value in changes.items():
        setattr(task, name, value)
    return task


def _take(queue: CustomStore, lease: Any) -> Task[Any]:
    task = next(queue.poll(lease))
    assert task is not None
    return task


@pytest.mark.slow
@pytest.mark.parametrize("before", [b"", b"x" * LARGE])
@pytest.mark.parametrize("after", [b"y" * (3 * LARGE), b"y"])
def test_arguments_of_every_size(queue: CustomStore, before: bytes, after: bytes) -> None:
    """Small or large, the new ones are run, and of the old ones nothing is left in the store."""
    task_id = queue.push(before)
    assert queue.update(_changed(queue, task_id, args=after)).args == after
    stored = queue._store.get(payload_key("default", task_id))
    assert (stored is not None) is (len(after) >= LARGE)
    Worker("w", queue, len).run(until_empty=True)
    assert queue.wait(task_id, 1).value == len(after)
    assert queue._store.get(payload_key("default", task_id)) is None


def test_what_nobody_changed_stays(queue: CustomStore) -> None:
    """Its moment, its place in the order and its bytes are as they were."""
    first, second = queue.push("1st"), queue.push("2nd")
    before = queue.fetch_by_id(first)
    after = queue.update(_changed(queue, first, metadata={"n": 1}))
    assert before is not None
    assert (after.run_at, after.payload, after.metadata) == (before.run_at, before.payload, {"n": 1})
    with queue.register_worker("w") as lease:
        assert [_take(queue, lease).id, _take(queue, lease).id] == [first, second]


def test_who_held_it_ahead_has_it_no_more(queue: CustomStore) -> None:
    """A QUEUED task is PENDING again, with its new version; its worker starts the next one."""
    ids = queue.push_bulk(range(3))
    with queue.register_worker("w") as lease:
        stream = queue.poll(lease, prefetch=3)
        assert next(stream)
        task = _changed(queue, ids[1], args="new", priority=-1)
        assert queue.update(task, expect=Status.QUEUED).status is Status.PENDING
        with pytest.raises(Conflict, match="handed out or given back"):
            queue.update(task)
        following = next(stream)
        assert following is not None
        assert following.args == 2
        stream.close()


def test_failed_and_killed_tasks_stay_so(queue: CustomStore) -> None:
    """FAILED while an attempt is left, KILLED in any case, with its error and its place among the ends."""
    task_id = queue.push(1, max_attempts=2)
    with queue.register_worker("w") as lease:
        lease.fail(_take(queue, lease), BOOM, retry_in=60)
        assert queue.update(_changed(queue, task_id, args=2)).status is Status.FAILED
        assert queue.update(_changed(queue, task_id, max_attempts=1, run_at=0.0)).status is Status.PENDING
        assert lease.fail(_take(queue, lease), BOOM) is Status.KILLED
    assert queue.update(_changed(queue, task_id, args=3)).status is Status.KILLED
    assert queue.wait(task_id, 1).error == BOOM


def test_what_cannot_be_changed(queue: CustomStore) -> None:
    """Another status than expected, RUNNING, DONE and unknown ones are refused, and nothing is changed."""
    task_id = queue.push(1)
    with pytest.raises(Conflict, match="is PENDING, not FAILED"):
        queue.update(_changed(queue, task_id, args=2), expect=Status.FAILED)
    with queue.register_worker("w") as lease:
        task = _take(queue, lease)
        with pytest.raises(IllegalTransition, match="RUNNING"):
            queue.update(_changed(queue, task_id, args=2))
        lease.finish(task, task.args)
    with pytest.raises(IllegalTransition, match="DONE"):
        queue.update(_changed(queue, task_id, args=2))
    assert queue.wait(task_id, 1).value == 1
    with pytest.raises(TaskNotFound):
        queue.update(Task.of(1))
