"""What becomes of tasks when a process is killed."""

from __future__ import annotations

import signal
from typing import Any

from ...backend import WorkerExit
from ...errors import TaskFailed
from ...status import Status
from ...task import TaskId
from ...worker_died import WorkerDied
from ..acts import ask, collect, finish, push_until_killed, seen, status_of, take, total, work, work_all
from ..check import proves
from ..expecting import PATIENCE, eventually, expect, expect_equal, expect_raises, expect_some
from ..scene import Scene


def _told(scene: Scene, task_id: TaskId) -> tuple[Status, int, int, str | None]:
    task = scene.here.do(seen, task_id)
    return task.status, task.attempts, task.deaths, task.lock_by


def of_the_one_who_runs_it(scene: Scene) -> None:
    """A killed worker's running task is PENDING again, charged with a death and no attempt."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take)
    there.kill()
    expect_equal(scene.backend.resume_abandoned(), [task_id], "what was returned")
    expect_equal(_told(scene, task_id), (Status.PENDING, 0, 1, None), "status, attempts, deaths, owner")
    expect_equal(scene.backend.resume_abandoned(), [], "what was returned the second time")


def back_in_front(scene: Scene) -> None:
    """A killed worker's task comes back in front of those of its priority that came later."""
    scene.backend.push_bulk(["first", "second"])
    scene.backend.push("urgent", priority=1)
    there = scene.elsewhere()
    there.do(work, 1)
    there.do(take)
    there.kill()
    scene.backend.resume_abandoned()
    scene.backend.push("urgent, too", priority=1)
    expect_equal(scene.elsewhere().do(work, 3), ["urgent, too", "first", "second"], "order of hand-out")


def of_the_one_who_holds_it(scene: Scene) -> None:
    """What a killed worker only held ahead is PENDING at its old place, nothing charged."""
    ids = scene.backend.push_bulk(range(4))
    there = scene.elsewhere()
    there.do(take, prefetch=3)
    there.kill()
    scene.backend.resume_abandoned()
    charged = [_told(scene, task_id) for task_id in ids]
    expect_equal(charged[0], (Status.PENDING, 0, 1, None), "what the running one is charged")
    expect_equal(charged[1:], [(Status.PENDING, 0, 0, None)] * 3, "what the held ones are charged")
    expect_equal(scene.elsewhere().do(work, 4), [0, 1, 2, 3], "order of hand-out")


def held_without_a_death_to_spare(scene: Scene) -> None:
    """A task that may not survive a death is not ended by that of a worker which only held it."""
    ids = scene.backend.push_bulk([1, 2], max_deaths=0)
    there = scene.elsewhere()
    there.do(take, prefetch=2)
    there.kill()
    scene.backend.resume_abandoned()
    statuses = [scene.here.do(status_of, task_id) for task_id in ids]
    expect_equal(statuses, [Status.KILLED, Status.PENDING], "the running and the held one")


def poison_is_bounded(scene: Scene) -> None:
    """A task that kills its workers ends as KILLED by WorkerDied when its deaths are used up."""
    task_id = scene.backend.push("poison")
    for deaths in (1, 2):
        there = scene.elsewhere()
        there.do(take, f"worker-{deaths}")
        there.kill()
        scene.backend.resume_abandoned()
        expect_equal(_told(scene, task_id), (Status.PENDING, 0, deaths, None), "what it is charged")
    there = scene.elsewhere()
    there.do(take, "the-last")
    pid = there.kill()
    scene.backend.resume_abandoned(exits=[WorkerExit(pid, -signal.SIGKILL, 12345678)])
    expect_equal(scene.here.do(status_of, task_id), Status.KILLED, "its status")
    failed = expect_raises(TaskFailed, scene.backend.wait(task_id, PATIENCE).unwrap)
    died: Any = failed.__cause__
    expect(isinstance(died, WorkerDied), f"the cause must be WorkerDied, not {died!r}")
    told = died.pid, died.signal, died.worker, died.rss
    expect_equal(told, (pid, signal.SIGKILL, "the-last", 12345678), "pid, signal, worker, memory")


def an_exit_that_nobody_saw(scene: Scene) -> None:
    """WorkerDied names the process and the worker though nobody saw how it ended."""
    task_id = scene.backend.push(1, max_deaths=0)
    there = scene.elsewhere()
    there.do(take, "unseen")
    pid = there.kill()
    scene.backend.resume_abandoned()
    error = expect_some(scene.backend.wait(task_id, PATIENCE).error, "the result has no error")
    told = error.type, error.details.get("pid"), error.details.get("worker")
    expect_equal(told, ("WorkerDied", pid, "unseen"), "what the error tells")


def a_budget_of_its_own(scene: Scene) -> None:
    """Deaths are charged to their own budget: a task that lost a worker still has all its attempts."""
    task_id = scene.backend.push("again", max_attempts=1)
    there = scene.elsewhere()
    there.do(take)
    there.kill()
    scene.backend.resume_abandoned()
    scene.elsewhere().do(work, 1)
    expect_equal(_told(scene, task_id), (Status.DONE, 1, 1, None), "status, attempts, deaths, owner")


def only_of_those_who_ended(scene: Scene) -> None:
    """With exits, only the tasks of those processes are returned; a live worker keeps its own."""
    ids = scene.backend.push_bulk([1, 2])
    dead, alive = scene.elsewhere(), scene.elsewhere()
    dead.do(take, "dead")
    alive.do(take, "alive")
    pid = dead.kill()
    expect_equal(scene.backend.resume_abandoned(exits=[WorkerExit(pid, -9)]), [ids[0]], "what was returned")
    expect_equal(scene.here.do(status_of, ids[1]), Status.RUNNING, "the live worker's task")
    expect_equal(scene.backend.resume_abandoned(exits=[WorkerExit(alive.pid, -9)]), [], "of a live process")
    alive.do(finish, ids[1], "alive still")


def a_heartbeat_tells(scene: Scene) -> None:
    """A worker's heartbeats return a killed worker's task within 5 s, and one of them tells which it was."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take, "the-dead")
    with scene.backend.register_worker("heir") as heir:
        expect_equal(heir.heartbeat(), [], "what was returned while all live")
        there.kill()
        told = eventually(heir.heartbeat, "no heartbeat told of a task that came back")
        expect_equal(told, [task_id], "what was returned")
    expect_equal(_told(scene, task_id), (Status.PENDING, 0, 1, None), "status, attempts, deaths, owner")


def others_notice_by_themselves(scene: Scene) -> None:
    """A worker that waits gets a killed worker's task within 5 s, without anybody's call."""
    task_id = scene.backend.push("left behind")
    heir, there = scene.elsewhere(), scene.elsewhere()
    there.do(take, "the-dead")
    heir.begin(work, 1, "heir")
    there.kill()
    expect(not heir.busy_for(5), "nobody noticed within 5 s")
    expect_equal(heir.answer(), ["left behind"], "what the heir got")
    expect_equal(scene.here.do(status_of, task_id), Status.DONE, "its status")


def who_waits_notices(scene: Scene) -> None:
    """Who waits for a result returns a killed worker's task, too."""
    task_id = scene.backend.push("left behind", max_deaths=0)
    waiter, there = scene.elsewhere(), scene.elsewhere()
    there.do(take, "the-dead")
    waiter.begin(collect, [task_id])
    there.kill()
    expect(not waiter.busy_for(5), "nobody noticed within 5 s")
    expect_equal([result.status for result in waiter.answer()], [Status.KILLED], "what the waiter got")


def of_the_one_who_pushed(scene: Scene) -> None:
    """The tasks of a killed producer are run: each whose push returned, and no half one."""
    there = scene.elsewhere()
    there.begin(push_until_killed)
    eventually(lambda: scene.here.do(total) >= 10, "a producer pushes ten tasks")
    there.kill()
    ran = scene.elsewhere().do(work_all, "worker")
    expect(len(ran) >= 10, f"only {len(ran)} of 10 tasks and more are there")
    expect_equal(ran, list(range(len(ran))), "what was run")


def of_the_one_who_waits(scene: Scene) -> None:
    """A result whose waiter was killed is there for the next one."""
    task_id = scene.backend.push("result")
    there = scene.elsewhere()
    there.begin(collect, [task_id])
    there.kill()
    scene.elsewhere().do(work, 1)
    expect_equal(scene.backend.wait(task_id, PATIENCE).value, "result", "what the next one gets")


def a_finished_task_stays_finished(scene: Scene) -> None:
    """A worker's death changes nothing about the tasks that it finished."""
    task_id = scene.backend.push("done")
    there = scene.elsewhere()
    there.do(work, 1)
    there.kill()
    expect_equal(scene.backend.resume_abandoned(), [], "what was returned")
    expect_equal(scene.backend.wait(task_id, PATIENCE).value, "done", "its result")


def at_attach(scene: Scene) -> None:
    """Who opens the queue returns the tasks of the dead."""
    task_id = scene.backend.push("left behind")
    there = scene.elsewhere()
    there.do(take)
    there.kill()
    scene.elsewhere().do(ask, "capabilities")
    eventually(lambda: scene.here.do(status_of, task_id) is Status.PENDING, "it is returned", 5)


CHECKS = [
    *proves(
        "ResumeAbandoned",
        of_the_one_who_runs_it,
        of_the_one_who_holds_it,
        held_without_a_death_to_spare,
        only_of_those_who_ended,
        at_attach,
        a_budget_of_its_own,
        uses=["FetchById"],
    ),
    *proves("ResumeAbandoned", a_heartbeat_tells, uses=["FetchById", "RegisterWorker"], slow=True),
    *proves("ResumeAbandoned", back_in_front),
    *proves("ResumeAbandoned", poison_is_bounded, uses=["FetchById", "WaitForCompletion"]),
    *proves(
        "ResumeAbandoned", an_exit_that_nobody_saw, a_finished_task_stays_finished, uses=["WaitForCompletion"]
    ),
    *proves("ResumeAbandoned", others_notice_by_themselves, uses=["FetchById"], slow=True),
    *proves("ResumeAbandoned", who_waits_notices, uses=["WaitForCompletion"], slow=True),
    *proves("TaskSink", of_the_one_who_pushed, uses=["ListTasks"], slow=True),
    *proves("WaitForCompletion", of_the_one_who_waits),
]
