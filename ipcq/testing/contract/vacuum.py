"""Removing what is finished."""

from __future__ import annotations

from ...status import Status
from ..acts import ask, status_of, take, total, work
from ..check import proves
from ..expecting import expect_equal, expect_raises
from ..scene import Scene
from .statuses import in_every_status


def only_what_is_finished(scene: Scene) -> None:
    """DONE and KILLED tasks are removed and counted; what is owed a run stays."""
    found = in_every_status(scene)
    there = scene.elsewhere()
    expect_equal(there.do(ask, "vacuum"), 2, "how many were removed")
    left = {status for status, task_id in found.items() if scene.backend.fetch_by_id(task_id)}
    expect_equal(left, set(Status) - {Status.DONE, Status.KILLED}, "what is left")
    expect_equal(there.do(ask, "vacuum"), 0, "how many were removed the second time")


def of_chosen_statuses(scene: Scene) -> None:
    """Only tasks of the given statuses are removed; those owed a run cannot be asked for."""
    found = in_every_status(scene)
    there = scene.elsewhere()
    expect_equal(there.do(ask, "vacuum", statuses=[Status.DONE]), 1, "how many were removed")
    expect_equal(there.do(status_of, found[Status.KILLED]), Status.KILLED, "the other one")
    expect_raises(ValueError, there.do, ask, "vacuum", statuses=[Status.PENDING])


def not_what_ended_lately(scene: Scene) -> None:
    """A task that ended less than ``older_than`` seconds ago stays; a negative age is a ValueError."""
    scene.backend.push(1)
    there = scene.elsewhere()
    there.do(work, 1)
    expect_equal(there.do(ask, "vacuum", older_than=3600.0), 0, "how many were removed")
    expect_equal(scene.backend.vacuum(older_than=0), 1, "how many were removed then")
    expect_raises(ValueError, scene.backend.vacuum, older_than=-1)


def its_place_can_be_used(scene: Scene) -> None:
    """What was removed gives its place back, in number and in bytes."""
    there = scene.elsewhere()
    capacity = scene.capacity()
    for _ in range(2):
        scene.backend.push_bulk([b"x" * 2000] * capacity, timeout=5)
        there.do(work, capacity)
        expect_equal(there.do(ask, "vacuum"), capacity, "how many were removed")
    expect_equal(there.do(total), 0, "how many are left")


def rows_of_the_dead(scene: Scene) -> None:
    """The rows of dead workers go, and their tasks are returned."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take, "mortal")
    there.kill()
    scene.backend.vacuum()
    expect_equal(scene.backend.list_workers(), [], "workers")
    expect_equal(scene.here.do(status_of, task_id), Status.PENDING, "the task that it ran")


CHECKS = [
    *proves("Vacuum", only_what_is_finished, of_chosen_statuses, uses=["FetchById"]),
    *proves("Vacuum", not_what_ended_lately),
    *proves("Vacuum", its_place_can_be_used, uses=["ConfigExt", "ListTasks"], slow=True),
    *proves("Vacuum", rows_of_the_dead, uses=["FetchById", "ListWorkers"]),
]
