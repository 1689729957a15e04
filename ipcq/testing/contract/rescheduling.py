"""Putting a task off, and bringing it forward."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from ...errors import IllegalTransition, TaskNotFound
from ...status import Status
from ...task import TaskId
from ..acts import ask, finish, seen, status_of, take, work
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises
from ..scene import Scene
from .statuses import LATER, bring


def by_seconds_timedelta_and_moment(scene: Scene) -> None:
    """A task is PENDING, due after seconds, after a timedelta, or at a datetime."""
    there = scene.elsewhere()
    moment = datetime.now(timezone.utc) + timedelta(seconds=LATER)
    for wait in (LATER, timedelta(seconds=LATER), moment):
        task_id = scene.backend.push(1)
        scene.backend.reschedule(task_id, wait)
        task = there.do(seen, task_id)
        expect_equal(task.status, Status.PENDING, "its status")
        expect(abs(task.run_at - time.time() - LATER) < 60, f"{wait!r} made it due at {task.run_at}")


def put_off(scene: Scene) -> None:
    """A task that was due is not handed out before its new moment, and then it is."""
    there = scene.elsewhere()
    off, _ = scene.backend.push_bulk(["off", "other"])
    run_at = time.time() + 0.3
    scene.backend.reschedule(off, 0.3)
    expect_equal(there.do(work, 2), ["other", "off"], "order of hand-out")
    expect(time.time() >= run_at - 0.01, "it came too early")


def brought_forward(scene: Scene) -> None:
    """A delayed and a failed task are due at once when that is asked for."""
    there = scene.elsewhere()
    failed = bring(scene, there, Status.FAILED)
    delayed = there.do(ask, "push", "delayed", run_at=time.time() + LATER)
    for task_id in (failed, delayed):
        scene.backend.reschedule(task_id, 0.0)
    taken = {there.do(take, "other").id, there.do(take, "other").id}
    expect_equal(taken, {failed, delayed}, "what is handed out")


def one_that_was_killed(scene: Scene) -> None:
    """A KILLED task that is rescheduled is run again."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.KILLED)
    scene.backend.reschedule(task_id, 0.0)
    expect_equal(there.do(seen, task_id).status, Status.PENDING, "its status")
    there.do(take, "other")
    there.do(finish, task_id, "second life")
    expect_equal(scene.backend.wait(task_id, PATIENCE).unwrap(), "second life", "its result")


def a_task_object(scene: Scene) -> None:
    """The task itself may be given instead of its id, and its text, too."""
    there = scene.elsewhere()
    task_id = there.do(ask, "push", 1)
    task = scene.backend.fetch_by_id(task_id)
    expect(task is not None, "the task is gone")
    if task is not None:
        scene.backend.reschedule(task, LATER)
    expect(there.do(seen, task_id).run_at > time.time() + LATER / 2, "it was not put off")
    scene.backend.reschedule(str(task_id), 0.0)
    expect_equal(there.do(work, 1), [1], "what is handed out")


def one_that_is_done(scene: Scene) -> None:
    """A DONE task cannot be rescheduled, by force neither: IllegalTransition."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.DONE)
    before = there.do(seen, task_id)
    for force in (False, True):
        expect_raises(IllegalTransition, scene.backend.reschedule, task_id, 0.0, force=force)
    expect_equal(there.do(seen, task_id), before, "the task afterwards")


def one_that_runs(scene: Scene) -> None:
    """A task that runs under a live owner is not rescheduled without force: IllegalTransition."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    before = there.do(seen, task_id)
    expect_raises(IllegalTransition, scene.backend.reschedule, task_id, 0.0)
    expect_equal(there.do(seen, task_id), before, "the task afterwards")
    there.do(finish, task_id)


def by_force(scene: Scene) -> None:
    """By force a running task is PENDING and nobody's, and nothing is charged."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    scene.backend.reschedule(task_id, LATER, force=True)
    task = there.do(seen, task_id)
    told = task.status, task.attempts, task.deaths, task.lock_by
    expect_equal(told, (Status.PENDING, 0, 0, None), "status, attempts, deaths, owner")


def of_a_dead_owner(scene: Scene) -> None:
    """The task of a dead owner can be rescheduled without force."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    there.kill()
    scene.backend.reschedule(task_id, 0.0)
    expect_equal(scene.here.do(status_of, task_id), Status.PENDING, "its status")
    expect_equal(scene.elsewhere().do(work, 1, "other"), [Status.RUNNING.name], "what is handed out")


def an_unknown_one(scene: Scene) -> None:
    """A task that is not there is TaskNotFound."""
    expect_raises(TaskNotFound, scene.backend.reschedule, TaskId.new(), 1.0)
    expect_raises(TaskNotFound, scene.elsewhere().do, ask, "reschedule", TaskId.new(), 1.0, force=True)


CHECKS = [
    *proves(
        "Reschedule",
        by_seconds_timedelta_and_moment,
        a_task_object,
        one_that_is_done,
        one_that_runs,
        by_force,
        of_a_dead_owner,
        uses=["FetchById"],
    ),
    *proves("Reschedule", put_off, brought_forward, an_unknown_one),
    *proves("Reschedule", one_that_was_killed, uses=["FetchById", "WaitForCompletion"]),
]
