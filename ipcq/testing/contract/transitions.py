"""Every move of the one table of transitions, made through the backend's calls.

What is not in the table is in `forbidden.py`: an error, or False, and nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...status import Status
from ...task import TaskId
from ..acts import fail, finish, give_back, leave, seen, status_of, take
from ..check import Run, proves
from ..expecting import expect_equal
from ..scene import Scene
from .statuses import LATER, bring

_NEXT = "next"


def _held_ahead(scene: Scene, task_id: TaskId) -> None:
    """Have a new worker take another task, and hold this one: it must be the only one that is due."""
    scene.backend.push("the one in front", priority=8)
    scene.elsewhere().do(take, _NEXT, prefetch=2)
    expect_equal(scene.here.do(status_of, task_id), Status.QUEUED, "its status")


def _started(scene: Scene, task_id: TaskId) -> None:
    expect_equal(scene.elsewhere().do(take, _NEXT).id, task_id, "what is handed out")
    expect_equal(scene.here.do(status_of, task_id), Status.RUNNING, "its status")


def _failed(scene: Scene) -> TaskId:
    """A FAILED task that is due."""
    there = scene.elsewhere()
    task_id = scene.backend.push("fails", max_attempts=3)
    there.do(take)
    expect_equal(there.do(fail, task_id), Status.FAILED, "what its failure made of it")
    return task_id


def new_to_pending(scene: Scene) -> None:
    """(new) to PENDING: a push."""
    expect_equal(scene.elsewhere().do(status_of, scene.backend.push(1)), Status.PENDING, "its status")


def pending_to_queued(scene: Scene) -> None:
    """PENDING to QUEUED: held ahead by a worker."""
    _held_ahead(scene, scene.backend.push(1))


def failed_to_queued(scene: Scene) -> None:
    """FAILED to QUEUED: held ahead by a worker when it is due again."""
    _held_ahead(scene, _failed(scene))


def queued_to_running(scene: Scene) -> None:
    """QUEUED to RUNNING: started by the worker that held it."""
    first, held = scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    there.do(take, prefetch=2)
    expect_equal(scene.here.do(status_of, held), Status.QUEUED, "its status before")
    there.do(finish, first)
    there.do(take)
    expect_equal(scene.here.do(status_of, held), Status.RUNNING, "its status")


def pending_to_running(scene: Scene) -> None:
    """PENDING to RUNNING: started."""
    _started(scene, scene.backend.push(1))


def failed_to_running(scene: Scene) -> None:
    """FAILED to RUNNING: started again."""
    _started(scene, _failed(scene))


def running_to_done(scene: Scene) -> None:
    """RUNNING to DONE: the handler returned; an attempt more."""
    task = scene.here.do(seen, bring(scene, scene.elsewhere(), Status.DONE))
    expect_equal((task.status, task.attempts), (Status.DONE, 1), "status and attempts")


def running_to_failed(scene: Scene) -> None:
    """RUNNING to FAILED: the handler raised, and another attempt is left; an attempt more."""
    task = scene.here.do(seen, _failed(scene))
    expect_equal((task.status, task.attempts), (Status.FAILED, 1), "status and attempts")


def running_to_killed(scene: Scene) -> None:
    """RUNNING to KILLED: no attempt is left, or it was the last by the handler's wish."""
    there = scene.elsewhere()
    exhausted = bring(scene, there, Status.KILLED)
    aborted = scene.backend.push(1, max_attempts=5)
    there.do(take)
    there.do(fail, aborted, final=True)
    for task_id in (exhausted, aborted):
        task = scene.here.do(seen, task_id)
        expect_equal((task.status, task.attempts), (Status.KILLED, 1), "status and attempts")


def running_to_pending(scene: Scene) -> None:
    """RUNNING to PENDING: its worker died and a death is left, or it was given back."""
    there = scene.elsewhere()
    returned = scene.backend.push("given back")
    there.do(take)
    expect_equal(there.do(give_back, returned), True, "what giving it back says")
    expect_equal(scene.here.do(status_of, returned), Status.PENDING, "the one that was given back")
    there.do(take)
    there.kill()
    scene.backend.resume_abandoned()
    expect_equal(scene.here.do(status_of, returned), Status.PENDING, "the one whose worker died")


def running_to_killed_by_death(scene: Scene) -> None:
    """RUNNING to KILLED: its worker died and no death is left."""
    task_id = scene.backend.push(1, max_deaths=0)
    there = scene.elsewhere()
    there.do(take)
    there.kill()
    scene.backend.resume_abandoned()
    task = scene.here.do(seen, task_id)
    expect_equal((task.status, task.attempts, task.deaths), (Status.KILLED, 0, 1), "status, attempts, deaths")


def queued_to_pending(scene: Scene) -> None:
    """QUEUED to PENDING: its worker stopped, or died; nothing charged."""
    _, stopped = scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    there.do(take, prefetch=2)
    there.do(leave)
    expect_equal(scene.here.do(status_of, stopped), Status.PENDING, "when its worker stopped")
    there.do(take, "again", prefetch=2)
    expect_equal(scene.here.do(status_of, stopped), Status.QUEUED, "held once more")
    there.kill()
    scene.backend.resume_abandoned()
    task = scene.here.do(seen, stopped)
    expect_equal((task.status, task.deaths), (Status.PENDING, 0), "when its worker died")


def _cancelled(scene: Scene, status: Status, *, running: bool = False) -> None:
    task_id = bring(scene, scene.elsewhere(), status)
    expect_equal(scene.here.do(status_of, task_id), status, "its status before")
    expect_equal(scene.backend.cancel(task_id, running=running), True, "what cancel says")
    expect_equal(scene.here.do(status_of, task_id), Status.KILLED, "its status")


def pending_to_killed(scene: Scene) -> None:
    """PENDING to KILLED: cancelled."""
    _cancelled(scene, Status.PENDING)


def failed_to_killed(scene: Scene) -> None:
    """FAILED to KILLED: cancelled."""
    _cancelled(scene, Status.FAILED)


def queued_to_killed(scene: Scene) -> None:
    """QUEUED to KILLED: cancelled."""
    _cancelled(scene, Status.QUEUED)


def running_to_killed_by_cancel(scene: Scene) -> None:
    """RUNNING to KILLED: cancelled though it runs."""
    _cancelled(scene, Status.RUNNING, running=True)


def _moved(scene: Scene, status: Status) -> None:
    there = scene.elsewhere()
    for resume in (False, True):
        task_id = bring(scene, there, status)
        expect_equal(there.do(status_of, task_id), status, "its status before")
        if resume:
            scene.backend.resume_by_id(task_id)
        else:
            scene.backend.reschedule(task_id, LATER)
        expect_equal(there.do(status_of, task_id), Status.PENDING, "its status")


def pending_to_pending(scene: Scene) -> None:
    """PENDING to PENDING: rescheduled, or resumed."""
    _moved(scene, Status.PENDING)


def failed_to_pending(scene: Scene) -> None:
    """FAILED to PENDING: rescheduled, or resumed."""
    _moved(scene, Status.FAILED)


def killed_to_pending(scene: Scene) -> None:
    """KILLED to PENDING: rescheduled, or resumed."""
    _moved(scene, Status.KILLED)


# In the order of `ipcq.TRANSITIONS`; a test compares the two.
MOVES: Mapping[tuple[Status | None, Status, str], Run] = {
    (None, Status.PENDING, "push"): new_to_pending,
    (Status.PENDING, Status.QUEUED, "prefetch"): pending_to_queued,
    (Status.FAILED, Status.QUEUED, "prefetch"): failed_to_queued,
    (Status.QUEUED, Status.RUNNING, "start"): queued_to_running,
    (Status.PENDING, Status.RUNNING, "start"): pending_to_running,
    (Status.FAILED, Status.RUNNING, "start"): failed_to_running,
    (Status.RUNNING, Status.DONE, "handler returned"): running_to_done,
    (Status.RUNNING, Status.FAILED, "handler raised, another attempt is left"): running_to_failed,
    (Status.RUNNING, Status.KILLED, "handler raised, no attempt left, or Abort"): running_to_killed,
    (
        Status.RUNNING,
        Status.PENDING,
        "worker died, a death is left; or given back at a forced stop",
    ): running_to_pending,
    (Status.RUNNING, Status.KILLED, "worker died, no death left"): running_to_killed_by_death,
    (Status.QUEUED, Status.PENDING, "worker dead, stopped or paused"): queued_to_pending,
    (Status.PENDING, Status.KILLED, "cancel"): pending_to_killed,
    (Status.FAILED, Status.KILLED, "cancel"): failed_to_killed,
    (Status.QUEUED, Status.KILLED, "cancel"): queued_to_killed,
    (Status.RUNNING, Status.KILLED, "cancel(running=True)"): running_to_killed_by_cancel,
    (Status.PENDING, Status.PENDING, "reschedule, resume_by_id"): pending_to_pending,
    (Status.FAILED, Status.PENDING, "reschedule, resume_by_id"): failed_to_pending,
    (Status.KILLED, Status.PENDING, "reschedule, resume_by_id"): killed_to_pending,
}

CHECKS = [
    *proves("TaskSink", new_to_pending, uses=["FetchById"]),
    *proves(
        "Backend",
        pending_to_queued,
        failed_to_queued,
        queued_to_running,
        pending_to_running,
        failed_to_running,
        running_to_done,
        running_to_failed,
        running_to_killed,
        uses=["FetchById"],
    ),
    *proves(
        "ResumeAbandoned",
        running_to_pending,
        running_to_killed_by_death,
        queued_to_pending,
        uses=["FetchById"],
    ),
    *proves(
        "Cancel",
        pending_to_killed,
        failed_to_killed,
        queued_to_killed,
        running_to_killed_by_cancel,
        uses=["FetchById"],
    ),
    *proves(
        "Reschedule",
        pending_to_pending,
        failed_to_pending,
        killed_to_pending,
        uses=["FetchById", "ResumeById"],
    ),
]
