"""Stopping a task from being run."""

from __future__ import annotations

from ...errors import TaskFailed, TaskNotFound
from ...status import Status
from ...task import TaskId
from ..acts import ask, finish, seen, status_of, take, work
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises
from ..scene import Scene
from .statuses import bring


def one_that_waits(scene: Scene) -> None:
    """A PENDING task that is cancelled is not run, and its result is the error Cancelled."""
    there = scene.elsewhere()
    cancelled, _ = there.do(ask, "push_bulk", ["cancelled", "other"])
    expect_equal(scene.backend.cancel(cancelled), True, "what cancel says")
    expect_equal(there.do(work, 1), ["other"], "what is handed out")
    result = scene.backend.wait(cancelled, PATIENCE)
    expect_equal(result.status, Status.KILLED, "its status")
    expect("ancelled" in str(result.error), f"its error is {result.error}")
    expect_raises(TaskFailed, result.unwrap)


def who_waits_for_it_is_told(scene: Scene) -> None:
    """Who waits for a task in another process is woken when it is cancelled."""
    there = scene.elsewhere()
    task_id = scene.backend.push(1)
    there.begin(ask, "wait", task_id, PATIENCE)
    expect(there.busy_for(0.1), "a wait for a task that nobody ran has ended")
    scene.backend.cancel(task_id)
    expect(not there.busy_for(2), "it was not woken within two seconds")
    expect_equal(there.answer().status, Status.KILLED, "its status")


def one_that_failed(scene: Scene) -> None:
    """A FAILED task that is cancelled has no other run; its attempts stay."""
    task_id = bring(scene, scene.elsewhere(), Status.FAILED)
    expect_equal(scene.backend.cancel(task_id), True, "what cancel says")
    task = scene.here.do(seen, task_id)
    expect_equal((task.status, task.attempts), (Status.KILLED, 1), "status and attempts")


def one_that_is_held(scene: Scene) -> None:
    """A QUEUED task that is cancelled is not started by the worker that holds it."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.QUEUED)
    expect_equal(scene.backend.cancel(task_id), True, "what cancel says")
    expect_equal(scene.here.do(status_of, task_id), Status.KILLED, "its status")
    after = scene.backend.push("after")
    expect_equal(there.do(take, Status.QUEUED.name).id, after, "what its worker starts next")


def not_one_that_runs(scene: Scene) -> None:
    """A RUNNING task is left alone unless that was asked for."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    expect_equal(scene.backend.cancel(task_id), False, "what cancel says")
    there.do(finish, task_id, "done")
    expect_equal(scene.here.do(status_of, task_id), Status.DONE, "its status")


def one_that_runs(scene: Scene) -> None:
    """With ``running`` the process that runs a task is killed, and the task is not run again."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    expect_equal(scene.backend.cancel(task_id, running=True), True, "what cancel says")
    there.join()
    expect_equal(scene.backend.wait(task_id, PATIENCE).status, Status.KILLED, "its status")
    scene.backend.push("after")
    expect_equal(scene.elsewhere().do(work, 1, "other"), ["after"], "what is handed out afterwards")


def what_else_it_held(scene: Scene) -> None:
    """What the killed process held ahead of it is PENDING again, nothing charged."""
    there = scene.elsewhere()
    running, held = scene.backend.push_bulk([1, 2])
    there.do(take, prefetch=2)
    expect_equal(scene.backend.cancel(running, running=True), True, "what cancel says")
    there.join()
    expect_equal(scene.elsewhere().do(work, 1, "other"), [2], "what is handed out")
    expect_equal(scene.here.do(seen, held).deaths, 0, "what it was charged")


def one_that_ended(scene: Scene) -> None:
    """A task that ended stays as it is: False."""
    there = scene.elsewhere()
    for status in (Status.DONE, Status.KILLED):
        task_id = bring(scene, there, status)
        before = there.do(seen, task_id)
        expect_equal(scene.backend.cancel(task_id), False, f"what cancel says of {status.name}")
        expect_equal(scene.backend.cancel(task_id, running=True), False, "what cancel(running=True) says")
        expect_equal(there.do(seen, task_id), before, "the task afterwards")


def an_unknown_one(scene: Scene) -> None:
    """A task that is not there is TaskNotFound."""
    expect_raises(TaskNotFound, scene.backend.cancel, TaskId.new())
    expect_raises(TaskNotFound, scene.elsewhere().do, ask, "cancel", str(TaskId.new()), running=True)


CHECKS = [
    *proves("Cancel", one_that_waits, who_waits_for_it_is_told, uses=["WaitForCompletion"]),
    *proves("Cancel", one_that_runs, uses=["WaitForCompletion"]),
    *proves(
        "Cancel",
        one_that_failed,
        one_that_is_held,
        not_one_that_runs,
        what_else_it_held,
        one_that_ended,
        uses=["FetchById"],
    ),
    *proves("Cancel", an_unknown_one),
]
