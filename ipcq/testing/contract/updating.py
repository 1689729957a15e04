"""Changing a task that is owed a run."""

from __future__ import annotations

import time
from typing import Any

from ...errors import Conflict, IllegalTransition, TaskNotFound
from ...status import Status
from ...task import Task, TaskId
from ..acts import ask, finish, seen, take, work
from ..check import proves
from ..expecting import expect, expect_equal, expect_raises, expect_some
from ..scene import Scene
from .statuses import LATER, bring

_CHANGES: dict[str, Any] = {
    "priority": 7,
    "max_attempts": 9,
    "max_deaths": 5,
    "timeout": 3.5,
    "metadata": {"new": "yes"},
}


def _fetched(scene: Scene, task_id: TaskId, **changes: Any) -> Task[Any]:
    """The task, these parts of it changed here only."""
    task = expect_some(scene.backend.fetch_by_id(task_id), f"task {task_id} is gone")
    for name, value in changes.items():
        setattr(task, name, value)
    return task


def every_part_that_may_change(scene: Scene) -> None:
    """Changed parts are stored, and travel with the task to its worker."""
    there = scene.elsewhere()
    task_id = there.do(ask, "push", "before", metadata={"old": "yes"})
    stored = scene.backend.update(_fetched(scene, task_id, args="after", **_CHANGES))
    expect_equal({name: getattr(stored, name) for name in _CHANGES}, _CHANGES, "what update returns")
    task = there.do(take)
    expect_equal({name: getattr(task, name) for name in _CHANGES}, _CHANGES, "what its worker sees")
    expect_equal((task.id, task.args), (task_id, "after"), "id and arguments")


def its_place_in_the_order(scene: Scene) -> None:
    """A changed priority counts at the next hand-out."""
    ids = scene.backend.push_bulk([1, 2, 3])
    scene.backend.update(_fetched(scene, ids[2], priority=5))
    expect_equal(scene.elsewhere().do(work, 3), [3, 1, 2], "order of hand-out")


def its_moment(scene: Scene) -> None:
    """A changed moment counts: a task that waited is due, and one that was due waits."""
    there = scene.elsewhere()
    late = scene.backend.push("late", run_at=time.time() + LATER)
    early = scene.backend.push("early")
    scene.backend.update(_fetched(scene, early, run_at=time.time() + LATER))
    scene.backend.update(_fetched(scene, late, run_at=0.0))
    expect_equal(there.do(work, 1), ["late"], "what is handed out")
    expect_equal(there.do(seen, early).status, Status.PENDING, "the one that was put off")


def arguments_of_another_size(scene: Scene) -> None:
    """Arguments may be changed for ones of any other size."""
    there = scene.elsewhere()
    for before, after in ((b"x", b"y" * (1 << 20)), (b"x" * (1 << 20), b"y"), (b"x" * 5000, b"")):
        task_id = scene.backend.push(before)
        scene.backend.update(_fetched(scene, task_id, args=after))
        expect(there.do(work, 1) == [after], f"{len(after)} bytes instead of {len(before)} came as others")


def what_was_expected(scene: Scene) -> None:
    """An update that expects another status than the task has is a Conflict, and changes nothing."""
    there = scene.elsewhere()
    task_id = scene.backend.push(1)
    task = _fetched(scene, task_id, priority=3)
    expect_raises(Conflict, scene.backend.update, task, expect=Status.FAILED)
    expect_equal(there.do(seen, task_id).priority, 0, "its priority after the conflict")
    expect_equal(scene.backend.update(task, expect=Status.PENDING).priority, 3, "its priority then")


def one_that_moved_on(scene: Scene) -> None:
    """An update of a task that another process took meanwhile is refused, and its run goes on."""
    there = scene.elsewhere()
    task_id = scene.backend.push("taken")
    task = _fetched(scene, task_id, priority=3)
    there.do(take)
    expect_raises((Conflict, IllegalTransition), scene.backend.update, task)
    there.do(finish, task_id, "done")
    expect_equal(there.do(seen, task_id).priority, 0, "its priority")


def one_that_runs(scene: Scene) -> None:
    """A task that runs under a live owner cannot be changed: IllegalTransition."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    before = there.do(seen, task_id)
    expect_raises(IllegalTransition, scene.backend.update, _fetched(scene, task_id, priority=1))
    expect_equal(there.do(seen, task_id), before, "the task afterwards")


def one_that_is_done(scene: Scene) -> None:
    """A DONE task cannot be changed: IllegalTransition."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.DONE)
    before = there.do(seen, task_id)
    expect_raises(IllegalTransition, scene.backend.update, _fetched(scene, task_id, priority=1))
    expect_equal(there.do(seen, task_id), before, "the task afterwards")


def one_that_failed(scene: Scene) -> None:
    """A FAILED task keeps its status and attempts when it is changed."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.FAILED)
    scene.backend.update(_fetched(scene, task_id, max_attempts=5))
    task = there.do(seen, task_id)
    told = task.status, task.attempts, task.max_attempts
    expect_equal(told, (Status.FAILED, 1, 5), "status, attempts, and how many it may have")


def an_unknown_one(scene: Scene) -> None:
    """A task that is not there is TaskNotFound, and is not made by an update."""
    task: Task[Any] = Task.of(1)
    expect_raises(TaskNotFound, scene.backend.update, task)
    expect_equal(scene.elsewhere().do(ask, "fetch_by_id", task.id), None, "what is there afterwards")


CHECKS = [
    *proves(
        "Update",
        every_part_that_may_change,
        its_place_in_the_order,
        its_moment,
        arguments_of_another_size,
        what_was_expected,
        one_that_moved_on,
        one_that_runs,
        one_that_is_done,
        one_that_failed,
        an_unknown_one,
        uses=["FetchById"],
    )
]
