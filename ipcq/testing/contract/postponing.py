"""Putting a task off by who has it."""

from __future__ import annotations

import time

from ...errors import LeaseLost, NotSupported
from ...status import Status
from ...task import TaskId
from ..acts import ask, finish, postpone, seen, status_of, take, work
from ..check import proves
from ..expecting import PATIENCE, eventually, expect, expect_equal, expect_raises
from ..scene import Scene
from ..stage import Stage
from .statuses import LATER, bring

_ROUNDS = 20

# --- what is done elsewhere -----------------------------------------------------------------------


def take_over(stage: Stage, task_id: TaskId) -> TaskId:
    """Take a task from whoever has it; the one that came."""
    stage.backend.reschedule(task_id, 0.0, force=True)
    return take(stage, "other").id


def put_off_until_killed(stage: Stage) -> None:
    """Take tasks and put them off, for as long as there are any."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        postpone(stage, take(stage).id, LATER)


# --- the checks -----------------------------------------------------------------------------------


def put_off_or_refused(scene: Scene) -> None:
    """A worker puts a task off, or, where tasks cannot be rescheduled, is told NotSupported and has it."""
    scene.backend.push(1)
    task_id = scene.here.do(take).id
    if "Reschedule" in scene.backend.capabilities():
        expect_equal(scene.here.do(postpone, task_id, LATER), True, "what putting it off says")
        expect_raises(LeaseLost, scene.here.do, finish, task_id)
    else:
        expect_raises(NotSupported, scene.here.do, postpone, task_id, LATER)
        scene.here.do(finish, task_id)


def at_no_charge(scene: Scene) -> None:
    """A task that is put off is PENDING, nobody's and not due, with the attempts and deaths it had."""
    task_id = scene.backend.push("mine", max_attempts=2)
    dying, there = scene.elsewhere(), scene.elsewhere()
    dying.do(take, "dying")
    dying.kill()
    scene.backend.resume_abandoned()
    there.do(take)
    expect_equal(there.do(postpone, task_id, LATER), True, "what putting it off says")
    task = scene.here.do(seen, task_id)
    told = task.status, task.attempts, task.deaths, task.lock_by
    expect_equal(told, (Status.PENDING, 0, 1, None), "status, attempts, deaths, owner")
    expect(abs(task.run_at - time.time() - LATER) < 60, f"it is due at {task.run_at}")


def not_before_it_is_due(scene: Scene) -> None:
    """A task that is put off is handed out when it is due, to whoever asks, and not before."""
    off, _ = scene.backend.push_bulk(["off", "other"])
    there = scene.elsewhere()
    there.do(take)
    run_at = time.time() + 0.3
    there.do(postpone, off, 0.3)
    expect_equal(scene.here.do(work, 2, "other"), ["other", "off"], "order of hand-out")
    expect(time.time() >= run_at - 0.01, "it came too early")


def no_more_its_own(scene: Scene) -> None:
    """Who put a task off has it no more, and neither has who was robbed of it: False, and nothing changed."""
    task_id = scene.backend.push("mine")
    slow, quick = scene.elsewhere(), scene.elsewhere()
    slow.do(take)
    expect_equal(quick.do(take_over, task_id), task_id, "what the other one takes")
    expect_equal(slow.do(postpone, task_id, LATER), False, "what is said to who was robbed")
    expect_equal(scene.here.do(status_of, task_id), Status.RUNNING, "its status")
    expect_equal(quick.do(postpone, task_id, LATER), True, "what is said to who has it")
    expect_equal(quick.do(postpone, task_id, 0.0), False, "what is said the second time")
    expect(scene.here.do(seen, task_id).run_at > time.time() + LATER / 2, "it is due")


def ended_before(scene: Scene) -> None:
    """A run that ended is not put off any more."""
    there = scene.elsewhere()
    for status in (Status.DONE, Status.FAILED, Status.KILLED):
        task_id = bring(scene, there, status)
        before = there.do(seen, task_id)
        expect_equal(there.do(postpone, task_id, 0.0), False, "what putting it off says")
        expect_equal(scene.here.do(seen, task_id), before, f"the {status.name} task afterwards")


def cancelled_meanwhile(scene: Scene) -> None:
    """A task that was cancelled while it ran is not brought back by putting it off."""
    task_id = scene.elsewhere().do(ask, "push", "mine")
    scene.here.do(take)
    scene.backend.cancel(task_id, running=True)
    expect_equal(scene.here.do(postpone, task_id, 0.0), False, "what putting it off says")
    expect_equal(scene.elsewhere().do(status_of, task_id), Status.KILLED, "its status")


def taken_over_in_that_moment(scene: Scene) -> None:
    """Who takes a task over while it is put off has it, whichever came first."""
    there = scene.elsewhere()
    for _ in range(_ROUNDS):
        task_id = scene.backend.push("fought for")
        scene.here.do(take)
        there.begin(take_over, task_id)
        scene.here.do(postpone, task_id, LATER)
        expect_equal(there.answer(), task_id, "what is handed out")
        there.do(finish, task_id, "mine")
        expect_equal(scene.backend.wait(task_id, PATIENCE).unwrap(), "mine", "its result")


def killed_in_it(scene: Scene) -> None:
    """A worker that is killed while it puts tasks off leaves each as it was, or later; one may have died."""
    ids = scene.backend.push_bulk(range(40))
    there = scene.elsewhere()
    there.begin(put_off_until_killed)
    eventually(lambda: scene.here.do(seen, ids[5]).run_at > time.time() + LATER / 2, "none is put off")
    there.kill()
    scene.backend.resume_abandoned()
    tasks = [scene.here.do(seen, task_id) for task_id in ids]
    expect_equal({(task.status, task.attempts) for task in tasks}, {(Status.PENDING, 0)}, "what they are")
    expect(sum(task.deaths for task in tasks) <= 1, f"deaths: {[task.deaths for task in tasks]}")
    due = [task.args for task in tasks if task.run_at < time.time() + LATER / 2]
    expect_equal(scene.elsewhere().do(work, len(due), "other"), due, "what is handed out")
    expect_equal(len({task.id for task in tasks}), len(ids), "tasks")


CHECKS = [
    *proves("RegisterWorker", put_off_or_refused),
    *proves("Reschedule", at_no_charge, uses=["FetchById", "ResumeAbandoned"]),
    *proves("Reschedule", no_more_its_own, ended_before, uses=["FetchById"]),
    *proves("Reschedule", not_before_it_is_due),
    *proves("Reschedule", cancelled_meanwhile, uses=["Cancel", "FetchById"]),
    *proves("Reschedule", taken_over_in_that_moment, uses=["WaitForCompletion"]),
    *proves("Reschedule", killed_in_it, uses=["FetchById", "ResumeAbandoned"]),
]
