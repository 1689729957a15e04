"""Moves that the table of transitions does not have: refused, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...errors import IllegalTransition, IpcqError, LeaseLost
from ...status import Status
from ...task import TaskId
from ..acts import fail, finish, give_back, seen
from ..check import proves
from ..expecting import expect_equal, expect_raises
from ..scene import Scene
from .statuses import LATER, bring


def _left_alone(scene: Scene, statuses: Iterable[Status], move: Callable[[TaskId], object]) -> None:
    """From each status the move is refused by False, and the task stays as it was."""
    there = scene.elsewhere()
    for status in statuses:
        task_id = bring(scene, there, status)
        before = there.do(seen, task_id)
        expect_equal(move(task_id), False, f"what it says of {status.name}")
        expect_equal(there.do(seen, task_id), before, f"the {status.name} task afterwards")


def rescheduled(scene: Scene) -> None:
    """Nothing but what may become PENDING is rescheduled; a live worker's run is not without force."""
    for status in (Status.DONE, Status.RUNNING):
        there = scene.elsewhere()
        task_id = bring(scene, there, status)
        before = there.do(seen, task_id)
        error = expect_raises(IllegalTransition, scene.backend.reschedule, task_id, LATER)
        expect_equal((error.source, error.target), (status, Status.PENDING), "what the error says")
        expect_equal(there.do(seen, task_id), before, f"the {status.name} task afterwards")


def cancelled(scene: Scene) -> None:
    """Nothing that ended, and no run unless asked for, is cancelled."""
    _left_alone(scene, (Status.DONE, Status.KILLED, Status.RUNNING), scene.backend.cancel)


def resumed(scene: Scene) -> None:
    """Nothing that is DONE, and nothing that a live worker has, is resumed."""
    _left_alone(scene, (Status.DONE, Status.RUNNING, Status.QUEUED), scene.backend.resume_by_id)


def ended_twice(scene: Scene) -> None:
    """A run of a task that is DONE, FAILED or KILLED already cannot end in any other way: LeaseLost."""
    there = scene.elsewhere()
    for status in (Status.DONE, Status.FAILED, Status.KILLED):
        task_id = bring(scene, there, status)
        before = there.do(seen, task_id)
        expect_raises(LeaseLost, there.do, finish, task_id, "again")
        expect_raises(LeaseLost, there.do, fail, task_id)
        expect_equal(there.do(give_back, task_id), False, "what giving it back says")
        expect_equal(scene.here.do(seen, task_id), before, f"the {status.name} task afterwards")


def it_names_both(scene: Scene) -> None:
    """An error about a move is an IllegalTransition that names both statuses, and an IpcqError."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.DONE)
    error: IpcqError = expect_raises(IllegalTransition, scene.backend.reschedule, task_id, 0.0)
    expect_equal(("DONE" in str(error), "PENDING" in str(error)), (True, True), f"both in {error}")


CHECKS = [
    *proves("RegisterWorker", ended_twice, uses=["FetchById"]),
    *proves("Reschedule", rescheduled, uses=["FetchById"]),
    *proves("Reschedule", it_names_both),
    *proves("Cancel", cancelled, uses=["FetchById"]),
    *proves("ResumeById", resumed, uses=["FetchById"]),
]
