"""Having a task run again, or at once."""

from __future__ import annotations

import time

from ...errors import TaskNotFound
from ...status import Status
from ...task import TaskId
from ..acts import ask, fail, finish, seen, take, work
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises
from ..scene import Scene
from .statuses import LATER, bring


def one_that_failed(scene: Scene) -> None:
    """A FAILED task is due at once, its attempts kept: True."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.FAILED)
    expect_equal(scene.backend.resume_by_id(task_id), True, "what it says")
    task = there.do(seen, task_id)
    expect_equal((task.status, task.attempts), (Status.PENDING, 1), "status and attempts")
    expect_equal(there.do(take, "other").id, task_id, "what is handed out")


def one_that_is_not_due(scene: Scene) -> None:
    """A delayed task is due at once: True."""
    task_id = scene.backend.push("delayed", run_at=time.time() + LATER)
    expect_equal(scene.backend.resume_by_id(str(task_id)), True, "what it says")
    expect_equal(scene.elsewhere().do(work, 1), ["delayed"], "what is handed out")


def one_more_run_of_the_killed(scene: Scene) -> None:
    """A KILLED task whose attempts are used up has one more run, and ends as KILLED if that fails."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.KILLED)
    expect_equal(scene.backend.resume_by_id(task_id), True, "what it says")
    there.do(take, "other")
    expect_equal(there.do(fail, task_id), Status.KILLED, "what the failure of that run makes of it")


def one_more_death_of_the_killed(scene: Scene) -> None:
    """A task KILLED by the deaths of its workers has one more run."""
    task_id = scene.backend.push("poison", max_deaths=0)
    there = scene.elsewhere()
    there.do(take)
    there.kill()
    scene.backend.resume_abandoned()
    expect_equal(scene.backend.resume_by_id(task_id), True, "what it says")
    expect_equal(scene.elsewhere().do(work, 1), ["poison"], "what is handed out")


def from_the_start(scene: Scene) -> None:
    """With ``reset`` attempts and deaths start at 0 again."""
    task_id = scene.backend.push(1, max_attempts=2)
    dying = scene.elsewhere()
    dying.do(take)
    dying.kill()
    scene.backend.resume_abandoned()
    there = scene.elsewhere()
    there.do(take)
    there.do(fail, task_id, final=True)
    expect_equal(scene.backend.resume_by_id(task_id, reset=True), True, "what it says")
    task = there.do(seen, task_id)
    expect_equal((task.status, task.attempts, task.deaths), (Status.PENDING, 0, 0), "what it is charged")
    there.do(take)
    expect_equal(there.do(fail, task_id), Status.FAILED, "what the failure of its first run makes of it")


def its_result_is_the_new_one(scene: Scene) -> None:
    """Who waits for a KILLED task that was resumed gets the result of its new run."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.KILLED)
    scene.backend.resume_by_id(task_id)
    there.do(take, "other")
    there.do(finish, task_id, "second life")
    expect_equal(scene.backend.wait(task_id, PATIENCE).unwrap(), "second life", "its result")


def _resumed_after_a_death(scene: Scene, status: Status) -> None:
    there = scene.elsewhere()
    task_id = bring(scene, there, status)
    there.kill()
    expect_equal(scene.backend.resume_by_id(task_id), True, f"what it says of {status.name}")
    expect_equal(scene.here.do(seen, task_id).status, Status.PENDING, "its status")


def held_by_the_dead(scene: Scene) -> None:
    """A QUEUED task of a dead owner is due at once: True."""
    _resumed_after_a_death(scene, Status.QUEUED)


def run_by_the_dead(scene: Scene) -> None:
    """A RUNNING task of a dead owner is due at once: True."""
    _resumed_after_a_death(scene, Status.RUNNING)


def what_is_left_alone(scene: Scene) -> None:
    """A task that is DONE, due already, or whose owner lives is left alone: False."""
    there = scene.elsewhere()
    for status in (Status.DONE, Status.RUNNING, Status.QUEUED, Status.PENDING):
        task_id = bring(scene, there, status)
        before = there.do(seen, task_id)
        expect_equal(scene.backend.resume_by_id(task_id), False, f"what it says of {status.name}")
        expect_equal(there.do(seen, task_id), before, f"the {status.name} task afterwards")


def an_unknown_one(scene: Scene) -> None:
    """A task that is not there is TaskNotFound."""
    expect_raises(TaskNotFound, scene.backend.resume_by_id, TaskId.new())
    expect_raises(TaskNotFound, scene.elsewhere().do, ask, "resume_by_id", TaskId.new(), reset=True)


def a_cancelled_one(scene: Scene) -> None:
    """A task that was cancelled before it ran has its run when it is resumed."""
    there = scene.elsewhere()
    task_id = there.do(ask, "push", "back again")
    scene.backend.cancel(task_id)
    expect_equal(scene.backend.resume_by_id(task_id), True, "what it says")
    expect(there.do(work, 1) == ["back again"], "it was not handed out")


CHECKS = [
    *proves(
        "ResumeById",
        one_that_failed,
        held_by_the_dead,
        run_by_the_dead,
        what_is_left_alone,
        uses=["FetchById"],
    ),
    *proves("ResumeById", one_that_is_not_due, one_more_run_of_the_killed, an_unknown_one),
    *proves("ResumeById", one_more_death_of_the_killed, uses=["ResumeAbandoned"]),
    *proves("ResumeById", from_the_start, uses=["FetchById", "ResumeAbandoned"]),
    *proves("ResumeById", its_result_is_the_new_one, uses=["WaitForCompletion"]),
    *proves("ResumeById", a_cancelled_one, uses=["Cancel"]),
]
