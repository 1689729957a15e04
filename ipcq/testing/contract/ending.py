"""Ending a run in the place of its worker."""

from __future__ import annotations

from ...errors import LeaseLost, TaskNotFound
from ...result import ErrorInfo
from ...status import Status
from ...task import TaskId
from ..acts import ask, finish, seen, status_of, take
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises
from ..scene import Scene
from .statuses import LATER, bring

_LATE = ErrorInfo("Late", "it took too long", "where it was\n" * 300)


def the_last_run(scene: Scene) -> None:
    """A run with no attempt left that is ended makes its task KILLED with the error; who waits is told."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    expect_equal(scene.backend.end_run(task_id, _LATE, pid=there.pid), True, "what end_run says")
    result = scene.backend.wait(task_id, PATIENCE)
    expect_equal(result.status, Status.KILLED, "its status")
    expect(result.error is not None and result.error.type == "Late", f"its error is {result.error}")
    expect("where it was" in getattr(result.error, "traceback", ""), "the traceback of its error")


def one_with_attempts_left(scene: Scene) -> None:
    """A run with an attempt left that is ended makes its task FAILED, due again after the time given."""
    there = scene.elsewhere()
    task_id = scene.backend.push(1, max_attempts=2)
    there.do(take)
    scene.backend.end_run(task_id, _LATE, pid=there.pid, retry_in=LATER)
    task = scene.here.do(seen, task_id)
    expect_equal((task.status, task.attempts, task.deaths), (Status.FAILED, 1, 0), "status and charges")


def its_worker_stores_nothing(scene: Scene) -> None:
    """What the worker gives after its run was ended is LeaseLost, and its death charges nothing."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    scene.backend.end_run(task_id, _LATE, pid=there.pid)
    expect_raises(LeaseLost, there.do, finish, task_id, "late")
    before = scene.here.do(seen, task_id)
    there.kill()
    scene.backend.resume_abandoned()
    expect_equal(scene.here.do(seen, task_id), before, "the task after its worker died")


def not_one_of_another_process(scene: Scene) -> None:
    """Where another process runs the task it is left alone: False."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.RUNNING)
    other = scene.elsewhere()
    expect_equal(scene.backend.end_run(task_id, _LATE, pid=other.pid), False, "what end_run says")
    there.do(finish, task_id, "done")
    expect_equal(scene.here.do(status_of, task_id), Status.DONE, "its status")


def not_one_that_does_not_run(scene: Scene) -> None:
    """A task that does not run is left alone: False."""
    there = scene.elsewhere()
    for status in set(Status) - {Status.RUNNING}:
        task_id = bring(scene, there, status)
        before = there.do(seen, task_id)
        expect_equal(scene.backend.end_run(task_id, _LATE, pid=there.pid), False, f"of {status.name}")
        expect_equal(there.do(seen, task_id), before, "the task afterwards")
        scene.backend.cancel(task_id)


def an_unknown_one(scene: Scene) -> None:
    """A task that is not there is TaskNotFound."""
    expect_raises(TaskNotFound, scene.backend.end_run, TaskId.new(), _LATE, pid=1)
    expect_raises(TaskNotFound, scene.elsewhere().do, ask, "end_run", str(TaskId.new()), _LATE, pid=1)


CHECKS = [
    *proves("EndRun", the_last_run, uses=["WaitForCompletion"]),
    *proves("EndRun", one_with_attempts_left, not_one_of_another_process, uses=["FetchById"]),
    *proves("EndRun", its_worker_stores_nothing, uses=["FetchById", "ResumeAbandoned"]),
    *proves("EndRun", not_one_that_does_not_run, uses=["FetchById", "Cancel"]),
    *proves("EndRun", an_unknown_one),
]
