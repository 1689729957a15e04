"""Whose a task is: who may end a run, and whose word does not count any more."""

from __future__ import annotations

import os
import signal

from ...errors import LeaseLost
from ...status import Status
from ..acts import ask, enter, fail, finish, give_back, leave, seen, status_of, take, work
from ..check import proves
from ..expecting import expect_equal, expect_raises
from ..scene import Scene


def late_completion(scene: Scene) -> None:
    """A worker whose task was given to another cannot finish it: LeaseLost, and nothing changed."""
    task_id = scene.backend.push("mine")
    slow, quick = scene.elsewhere(), scene.elsewhere()
    slow.do(take, "slow")
    scene.backend.reschedule(task_id, 0.0, force=True)
    quick.do(take, "quick")
    expect_raises(LeaseLost, slow.do, finish, task_id, "late")
    expect_equal(scene.here.do(status_of, task_id), Status.RUNNING, "its status afterwards")
    quick.do(finish, task_id, "in time")
    expect_raises(LeaseLost, slow.do, finish, task_id, "later still")
    expect_equal(scene.backend.wait(task_id, 10).unwrap(), "in time", "the result")


def late_failure(scene: Scene) -> None:
    """A worker whose task was taken away cannot fail it: LeaseLost, no attempt charged."""
    task_id = scene.backend.push("mine", max_attempts=3)
    there = scene.elsewhere()
    there.do(take)
    scene.backend.reschedule(task_id, 60.0, force=True)
    expect_raises(LeaseLost, there.do, fail, task_id)
    expect_equal(there.do(give_back, task_id), False, "what giving it back says")
    task = scene.here.do(seen, task_id)
    expect_equal((task.status, task.attempts), (Status.PENDING, 0), "status and attempts")


def a_cancelled_run_is_refused(scene: Scene) -> None:
    """What a run gives whose task was cancelled meanwhile is refused, in the same process, too."""
    task_id = scene.elsewhere().do(ask, "push", "mine")
    scene.here.do(take)
    expect_equal(scene.backend.cancel(task_id, running=True), True, "what cancel says")
    expect_raises(LeaseLost, scene.here.do, finish, task_id, "late")
    expect_equal(scene.elsewhere().do(status_of, task_id), Status.KILLED, "its status")


def a_run_ends_once(scene: Scene) -> None:
    """A run that was ended cannot be ended again: LeaseLost, and the first result stays."""
    task_id = scene.backend.push("mine")
    there = scene.elsewhere()
    there.do(take)
    there.do(finish, task_id, "first")
    expect_raises(LeaseLost, there.do, finish, task_id, "second")
    expect_raises(LeaseLost, there.do, fail, task_id)
    expect_equal(there.do(give_back, task_id), False, "what giving it back says")
    expect_equal(scene.backend.wait(task_id, 10).unwrap(), "first", "the result")


def the_word_of_one_who_left(scene: Scene) -> None:
    """A worker that left gave its task back, and cannot end that run any more."""
    task_id = scene.backend.push("mine")
    there = scene.elsewhere()
    there.do(take, "leaver")
    there.do(leave, "leaver")
    expect_equal(scene.here.do(take, "other").args, "mine", "what the next worker gets")
    expect_raises(LeaseLost, there.do, finish, task_id, "late")


def held_ahead_is_queued(scene: Scene) -> None:
    """A task that is held ahead is QUEUED under its worker until it is started."""
    ids = scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    there.do(take, "holder", prefetch=2)
    task = scene.here.do(seen, ids[1])
    expect_equal((task.status, task.lock_by), (Status.QUEUED, "holder"), "status and owner")
    there.do(finish, ids[0])
    expect_equal(there.do(take, "holder").id, ids[1], "what is started next")
    expect_equal(scene.here.do(status_of, ids[1]), Status.RUNNING, "its status then")


def returned_at_stop_at_no_charge(scene: Scene) -> None:
    """A worker that stops gives back what it held ahead and what it ran, at their places, nothing charged."""
    ids = scene.backend.push_bulk(range(4))
    there = scene.elsewhere()
    there.do(take, "holder", prefetch=3)
    there.do(leave, "holder")
    for task_id in ids:
        task = scene.here.do(seen, task_id)
        told = task.status, task.attempts, task.deaths, task.lock_by
        expect_equal(told, (Status.PENDING, 0, 0, None), "status, attempts, deaths, owner")
    expect_equal(scene.here.do(work, 4), [0, 1, 2, 3], "what the next worker gets")


def given_back_at_its_old_place(scene: Scene) -> None:
    """A running task that is given back is PENDING at its old place, nothing charged."""
    ids = scene.backend.push_bulk(range(3))
    there = scene.elsewhere()
    there.do(take)
    expect_equal(there.do(give_back, ids[0]), True, "what giving it back says")
    task = scene.here.do(seen, ids[0])
    expect_equal((task.status, task.attempts, task.deaths), (Status.PENDING, 0, 0), "what it is charged")
    expect_equal(scene.here.do(work, 3, "other"), [0, 1, 2], "what the next worker gets")


def a_stopped_owner_keeps_its_task(scene: Scene) -> None:
    """A worker that is stopped (SIGSTOP) is not dead: its task stays its own, and it finishes it."""
    task_id = scene.backend.push("mine")
    there = scene.elsewhere()
    there.do(take)
    os.kill(there.pid, signal.SIGSTOP)
    try:
        expect_equal(scene.backend.resume_abandoned(), [], "what was returned")
        expect_equal(scene.here.do(status_of, task_id), Status.RUNNING, "its status")
    finally:
        os.kill(there.pid, signal.SIGCONT)
    there.do(finish, task_id, "mine still")
    expect_equal(scene.backend.wait(task_id, 10).unwrap(), "mine still", "the result")


def closing_the_backend_gives_back(scene: Scene) -> None:
    """Closing a backend gives back what its workers had in this process."""
    ids = scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    there.do(enter, "one")
    there.do(take, "one")
    there.do(ask, "close")
    expect_equal([scene.here.do(status_of, i) for i in ids], [Status.PENDING] * 2, "what they are")


CHECKS = [
    *proves("Reschedule", late_completion, uses=["FetchById", "Reschedule", "WaitForCompletion"]),
    *proves("Reschedule", late_failure, uses=["FetchById"]),
    *proves("Cancel", a_cancelled_run_is_refused, uses=["FetchById"]),
    *proves("RegisterWorker", a_run_ends_once, uses=["WaitForCompletion"]),
    *proves("RegisterWorker", the_word_of_one_who_left),
    *proves(
        "RegisterWorker",
        held_ahead_is_queued,
        returned_at_stop_at_no_charge,
        given_back_at_its_old_place,
        uses=["FetchById"],
    ),
    *proves("ResumeAbandoned", a_stopped_owner_keeps_its_task, uses=["FetchById", "WaitForCompletion"]),
    *proves("Backend", closing_the_backend_gives_back, uses=["FetchById"]),
]
