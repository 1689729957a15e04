"""Workers as a queue knows them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

from ...errors import WorkerExists
from ...expose import RunningWorker
from ...status import Status
from ..acts import ask, enter, last_heartbeat, leave, seen, status_of, take
from ..check import proves
from ..expecting import eventually, expect, expect_equal, expect_raises
from ..processes import Actor
from ..scene import Scene


def _named(scene: Scene, name: str) -> list[RunningWorker]:
    return [worker for worker in scene.backend.list_workers() if worker.id == name]


def one_of_a_name(scene: Scene) -> None:
    """A worker's id cannot be taken while its holder lives, in this process or another."""
    there = scene.elsewhere()
    there.do(enter, "unique")
    expect_raises(WorkerExists, scene.backend.register_worker, "unique")
    expect_raises(WorkerExists, there.do, ask, "register_worker", "unique")


def a_name_is_free_when_its_worker_left(scene: Scene) -> None:
    """A worker's id can be taken as soon as its holder has left."""
    there = scene.elsewhere()
    there.do(enter, "unique")
    there.do(leave, "unique")
    with scene.backend.register_worker("unique") as lease:
        expect_equal(lease.worker_id, "unique", "the id")
        expect_raises(WorkerExists, there.do, enter, "unique")
    there.do(enter, "unique")


def taken_over_after_a_crash(scene: Scene) -> None:
    """The id of a killed worker is taken over at once, and its task is returned by that."""
    task_id = scene.backend.push("left behind")
    there = scene.elsewhere()
    there.do(take, "phoenix")
    there.kill()
    started = time.monotonic()
    with scene.backend.register_worker("phoenix"):
        expect(time.monotonic() - started < 2, "it took longer than two seconds")
        task = scene.here.do(seen, task_id)
        told = task.status, task.deaths, task.lock_by
        expect_equal(told, (Status.PENDING, 1, None), "status, deaths and owner of its task")


def a_lease_can_be_used_with_with(scene: Scene) -> None:
    """A worker's task is given back at the end of the block that registered it."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    with scene.backend.register_worker("block") as lease:
        next(scene.backend.poll(lease))
        expect_equal(there.do(status_of, task_id), Status.RUNNING, "its status inside")
    expect_equal(there.do(status_of, task_id), Status.PENDING, "its status afterwards")


def a_row_of_each(scene: Scene) -> None:
    """A live worker is listed with its id, queue, process, layers and how many tasks it runs."""
    before = time.time()
    scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    there.do(take, "elsewhere")
    with scene.backend.register_worker("layered", layers=["retry", "log"]):
        rows = {worker.id: worker for worker in scene.backend.list_workers()}
        expect_equal(set(rows), {"elsewhere", "layered"}, "ids")
        other, layered = rows["elsewhere"], rows["layered"]
        expect_equal((other.pid, layered.pid), (there.pid, os.getpid()), "processes")
        expect_equal((other.running, layered.running), (1, 0), "how many tasks they run")
        expect_equal((other.alive, other.queue), (True, scene.backend.queue), "alive, and where")
        expect_equal(layered.layers, ("retry", "log"), "layers")
        expect(before - 1 <= layered.started_at <= time.time() + 1, "it was started at no such moment")


def in_all_queues(scene: Scene) -> None:
    """`list_all_workers` lists this queue's workers, too, and `list_workers` takes the queue's name."""
    scene.elsewhere().do(enter, "found")
    queue = scene.backend.queue
    everybody = [worker.id for worker in scene.backend.list_all_workers() if worker.queue == queue]
    expect_equal(everybody, ["found"], "of all workers those of this queue")
    expect_equal([w.id for w in scene.backend.list_workers(queue)], ["found"], "workers by the queue's name")


def a_row_goes_with_its_worker(scene: Scene) -> None:
    """A worker that left is not listed any more."""
    there = scene.elsewhere()
    there.do(enter, "leaver")
    expect_equal(len(_named(scene, "leaver")), 1, "rows while it is there")
    there.do(leave, "leaver")
    expect_equal(_named(scene, "leaver"), [], "rows when it left")


def rows_of_the_dead_are_cleaned(scene: Scene) -> None:
    """A killed worker is not alive in any list, and its row goes when the tasks of the dead are returned."""
    there = scene.elsewhere()
    there.do(enter, "mortal")
    there.kill()
    expect_equal([w.alive for w in _named(scene, "mortal") if w.alive], [], "live rows of a dead worker")
    scene.backend.resume_abandoned()
    expect_equal(_named(scene, "mortal"), [], "rows of it afterwards")


def a_heartbeat_is_seen(scene: Scene) -> None:
    """A worker's heartbeat is seen by others, by the lease's call and by the backend's."""
    there = scene.elsewhere()
    with scene.backend.register_worker("beating") as lease:
        for beat in (lease.heartbeat, partial(scene.backend.heartbeat, lease)):
            before = there.do(last_heartbeat, "beating")
            beats = partial(_beats, there, beat, before)
            eventually(beats, "a heartbeat that others see")


def _beats(there: Actor, beat: Callable[[], object], before: float) -> bool:
    beat()
    return there.do(last_heartbeat, "beating") > before


CHECKS = [
    *proves("RegisterWorker", one_of_a_name, a_name_is_free_when_its_worker_left),
    *proves("RegisterWorker", taken_over_after_a_crash, a_lease_can_be_used_with_with, uses=["FetchById"]),
    *proves("ListWorkers", a_row_of_each, in_all_queues, uses=["ConfigExt"]),
    *proves("ListWorkers", a_row_goes_with_its_worker),
    *proves("ListWorkers", a_heartbeat_is_seen, slow=True),
    *proves("ListWorkers", rows_of_the_dead_are_cleaned, uses=["ResumeAbandoned"]),
]
