"""Moves that the table of transitions does not have: refused, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import IllegalTransition, IpcqError, LeaseLost
from ...status import TRANSITIONS, Status
from ...task import TaskId
from ..acts import fail, finish, give_back, seen
from ..check import proves
from ..expecting import Broken, expect_equal, expect_raises
from ..processes import Actor
from ..scene import Scene
from .statuses import LATER, bring

_LEGAL = {(move.source, move.target) for move in TRANSITIONS}


def _refused(scene: Scene, target: Status, move: Callable[[TaskId], object]) -> None:
    """From each status that has no such move it is an error or False, and the task stays as it was."""
    for source in Status:
        if (source, target) in _LEGAL and source is not Status.RUNNING:
            continue
        there = scene.elsewhere()
        task_id = bring(scene, there, source)
        before = there.do(seen, task_id)
        _expect_refusal(move, task_id, f"{source.name} to {target.name}")
        expect_equal(there.do(seen, task_id), before, f"the {source.name} task afterwards")
        there.kill()


def _expect_refusal(move: Callable[[TaskId], object], task_id: TaskId, what: str) -> None:
    try:
        if move(task_id) is not False:
            raise Broken(f"{what} was not refused")
    except IllegalTransition:
        pass


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
    _refused(scene, Status.KILLED, scene.backend.cancel)


def _ended_already(scene: Scene, status: Status) -> tuple[Actor, TaskId]:
    there = scene.elsewhere()
    task_id = bring(scene, there, status)
    return there, task_id


def ended_twice(scene: Scene) -> None:
    """A run of a task that is DONE, FAILED or KILLED already cannot end in any other way: LeaseLost."""
    for status in (Status.DONE, Status.FAILED, Status.KILLED):
        there, task_id = _ended_already(scene, status)
        before = there.do(seen, task_id)
        expect_raises(LeaseLost, there.do, finish, task_id, "again")
        expect_raises(LeaseLost, there.do, fail, task_id)
        expect_equal(there.do(give_back, task_id), False, "what giving it back says")
        expect_equal(scene.here.do(seen, task_id), before, f"the {status.name} task afterwards")


def of_every_other_kind(scene: Scene) -> None:
    """An error about a move is an IllegalTransition that names both statuses, and an IpcqError."""
    there = scene.elsewhere()
    task_id = bring(scene, there, Status.DONE)
    error: IpcqError = expect_raises(IllegalTransition, scene.backend.reschedule, task_id, 0.0)
    expect_equal(("DONE" in str(error), "PENDING" in str(error)), (True, True), f"both in {error}")


CHECKS = [
    *proves("RegisterWorker", ended_twice, uses=["FetchById"]),
    *proves("Reschedule", rescheduled, uses=["FetchById"]),
    *proves("Reschedule", of_every_other_kind),
    *proves("Cancel", cancelled, uses=["FetchById"]),
]
