"""Brings tasks to each status, as workers in other processes do."""

from __future__ import annotations

import time

from ...status import Status
from ...task import TaskId
from ..acts import fail, finish, status_of, take
from ..expecting import expect_equal
from ..processes import Actor
from ..scene import Scene

__all__ = ["LATER", "bring", "in_every_status"]

LATER = 3600.0  # seconds; longer than any check


def bring(scene: Scene, actor: Actor, status: Status) -> TaskId:
    """A task that ``actor`` brought to this status; its worker is named as the status.

    Nothing of a priority of 4 or more may be due.
    """
    name = status.name
    task_id = scene.backend.push(name, priority=4, max_attempts=2 if status is Status.FAILED else 1)
    if status is Status.PENDING:
        return task_id
    if status is Status.QUEUED:
        scene.backend.push("the one in front", priority=5)
        actor.do(take, name, prefetch=2)
        expect_equal(actor.do(status_of, task_id), status, "the status of a task that is held ahead")
        return task_id
    expect_equal(actor.do(take, name).id, task_id, "the task that is handed out")
    if status is Status.DONE:
        actor.do(finish, task_id, name)
    elif status is not Status.RUNNING:
        actor.do(fail, task_id, retry_in=LATER)
    return task_id


def in_every_status(scene: Scene) -> dict[Status, TaskId]:
    """One task of each status and no other; a worker elsewhere has the QUEUED and the RUNNING one."""
    there = scene.elsewhere()
    found = {status: bring(scene, there, status) for status in (Status.DONE, Status.KILLED, Status.FAILED)}
    found[Status.RUNNING], found[Status.QUEUED] = scene.backend.push_bulk(["RUNNING", "QUEUED"])
    there.do(take, "holder", prefetch=2)
    found[Status.PENDING] = scene.backend.push("PENDING", run_at=time.time() + LATER)
    return found
