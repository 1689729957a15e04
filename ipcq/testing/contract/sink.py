"""How tasks go in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ...errors import CodecError, DuplicateTask, TaskSinkError
from ...status import Status
from ...task import Task, TaskId
from ..acts import ask, new_ids, seen, status_of, take, total, work
from ..check import proves
from ..expecting import expect, expect_equal, expect_raises
from ..scene import Scene

_PARTS: dict[str, Any] = {
    "priority": 5,
    "max_attempts": 7,
    "max_deaths": 3,
    "metadata": {"trace": "abc", "n": 1},
}


def stored_when_it_returns(scene: Scene) -> None:
    """A task whose push returned is there for every process, PENDING, with the arguments it was given."""
    task_id = scene.backend.push({"a": [1, 2.5, "x", b"y", None, True]})
    task = scene.elsewhere().do(seen, task_id)
    expect_equal(task.status, Status.PENDING, "its status")
    expect_equal(task.args, {"a": [1, 2.5, "x", b"y", None, True]}, "its arguments")


def with_all_its_parts(scene: Scene) -> None:
    """The parts that a push gives a task travel with it to its worker."""
    scene.backend.push(1, run_timeout=12.5, **_PARTS)
    task = scene.elsewhere().do(take)
    expect_equal({name: getattr(task, name) for name in _PARTS}, _PARTS, "parts")
    expect_equal(task.timeout, 12.5, "the limit of its run")


def defaults(scene: Scene) -> None:
    """A task without parts has one attempt, two deaths, priority 0 and no limit of its run."""
    scene.backend.push(1)
    task = scene.elsewhere().do(take)
    told = task.max_attempts, task.max_deaths, task.priority, task.timeout, dict(task.metadata)
    expect_equal(told, (1, 2, 0, None, {}), "attempts, deaths, priority, limit, metadata")


def a_task_with_its_own_parts(scene: Scene) -> None:
    """`push_task` and `push_all` store tasks with their own ids and parts, in their order."""
    tasks: list[Task[Any]] = [Task.of(n, timeout=2.0, **_PARTS) for n in range(3)]
    ids = [scene.backend.push_task(tasks[0]), *scene.backend.push_all(tasks[1:])]
    expect_equal(ids, [task.id for task in tasks], "ids")
    there = scene.elsewhere()
    taken = [there.do(take) for _ in tasks]
    expect_equal([task.id for task in taken], ids, "ids in the order of hand-out")
    expect_equal([task.args for task in taken], [0, 1, 2], "arguments")
    expect_equal((taken[0].metadata, taken[0].timeout), (_PARTS["metadata"], 2.0), "parts")


def a_status_is_refused(scene: Scene) -> None:
    """A task that says it is anything but PENDING, or was run already, is refused and not stored."""
    for status in (Status.QUEUED, Status.RUNNING, Status.DONE, Status.FAILED, Status.KILLED):
        expect_raises(TaskSinkError, scene.backend.push_task, Task.of(1, status=status))
    expect_raises(TaskSinkError, scene.backend.push_task, Task.of(1, attempts=1))
    expect_equal(scene.elsewhere().do(total), 0, "tasks in the queue")


def one_that_cannot_be_encoded(scene: Scene) -> None:
    """Of a bulk with something that cannot be encoded nothing is stored: CodecError."""
    error = expect_raises(CodecError, scene.backend.push_bulk, [1, object(), 3])
    expect_equal(list(error.accepted), [], "what was accepted")
    expect_raises(CodecError, scene.backend.push, object())
    expect_equal(scene.elsewhere().do(total), 0, "tasks in the queue")


def a_stream(scene: Scene) -> None:
    """`push_stream` stores what an iterable yields, in order and as it comes, and counts."""
    there = scene.elsewhere()
    seen_before: list[int] = []

    def source() -> Iterator[int]:
        for number in range(12):
            if number == 8:
                seen_before.append(there.do(total))
            yield number

    expect_equal(scene.backend.push_stream(source(), batch=4), 12, "how many were stored")
    expect(seen_before[0] >= 4, "nothing was stored before the source had ended")
    expect_equal(there.do(work, 12), list(range(12)), "order of hand-out")


def an_async_stream(scene: Scene) -> None:
    """`push_stream` stores what an async iterable yields, and can be awaited."""
    import asyncio

    async def source() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    async def push() -> int:
        return await scene.backend.push_stream(source(), batch=2)  # type: ignore[no-any-return]

    expect_equal(asyncio.run(push()), 5, "how many were stored")
    expect_equal(scene.elsewhere().do(work, 5), list(range(5)), "order of hand-out")


def the_same_id_twice(scene: Scene) -> None:
    """An id that is in the queue is refused from any process, whatever its status: DuplicateTask."""
    task_id = TaskId.new()
    expect_equal(scene.backend.push("first", id=task_id), task_id, "the id of the push")
    there = scene.elsewhere()
    expect_raises(DuplicateTask, scene.backend.push, "again", id=task_id)
    expect_raises(DuplicateTask, there.do, ask, "push", "again", id=task_id)
    expect_equal(there.do(work, 1), ["first"], "what was stored")
    expect_raises(DuplicateTask, there.do, ask, "push", "after it was done", id=task_id)
    expect_equal(there.do(total), 1, "tasks in the queue")


def a_duplicate_among_others(scene: Scene) -> None:
    """Of many tasks those before a duplicate are stored, and the error lists them."""
    tasks: list[Task[Any]] = [Task.of(n) for n in range(3)]
    scene.elsewhere().do(ask, "push", "there already", id=tasks[2].id)
    error = expect_raises(DuplicateTask, scene.backend.push_all, tasks)
    expect_equal(list(error.accepted), [task.id for task in tasks[:2]], "what was accepted")
    expect_equal(scene.elsewhere().do(work, 3), ["there already", 0, 1], "what is in the queue")


def ids_are_unique(scene: Scene) -> None:
    """Ids made at the same time in several processes and their forks are all different, and grow."""
    actors = [scene.elsewhere(), scene.elsewhere()]
    for actor in actors:
        actor.begin(new_ids, 500)
    ids = [task_id for actor in actors for task_id in actor.answer()]
    expect_equal(len(set(ids)), 2000, "different ids of 2 x 2 x 500")
    pushed = scene.backend.push_bulk(range(20))
    expect_equal(pushed, sorted(pushed), "ids in the order of a push")


def parts_out_of_bounds(scene: Scene) -> None:
    """Parts that no task can have are refused with ValueError or TypeError, and nothing is stored."""
    there = scene.elsewhere()
    for parts in ({"max_attempts": 0}, {"max_deaths": -1}, {"run_at": float("nan")}, {"run_timeout": -1.0}):
        expect_raises(ValueError, scene.backend.push, 1, **parts)
    expect_raises(TypeError, scene.backend.push, 1, no_such_part=1)
    expect_equal(there.do(total), 0, "tasks in the queue")
    scene.backend.push(1, run_timeout=1e-9)
    expect_equal(bool(scene.backend.list_tasks().items[0].timeout), True, "a timeout, however short")


def a_moment_in_the_past(scene: Scene) -> None:
    """A task with a moment that has passed is due at once."""
    task_id = scene.backend.push("late", run_at=time.time() - 3600)
    expect_equal(scene.elsewhere().do(work, 1), ["late"], "what is handed out")
    expect_equal(scene.here.do(status_of, task_id), Status.DONE, "its status")


CHECKS = [
    *proves("TaskSink", stored_when_it_returns, a_moment_in_the_past, uses=["FetchById"]),
    *proves(
        "TaskSink",
        with_all_its_parts,
        defaults,
        a_task_with_its_own_parts,
        a_duplicate_among_others,
        an_async_stream,
        ids_are_unique,
    ),
    *proves(
        "TaskSink",
        a_status_is_refused,
        one_that_cannot_be_encoded,
        a_stream,
        the_same_id_twice,
        parts_out_of_bounds,
        uses=["ListTasks"],
    ),
]
