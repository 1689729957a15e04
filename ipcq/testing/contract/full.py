"""A queue without room."""

from __future__ import annotations

import time

from ...errors import QueueFull
from ...status import Status
from ..acts import ask, fail, finish, status_of, take, total, work, work_all
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises
from ..processes import Actor
from ..scene import Scene


def _fill(scene: Scene, actor: Actor, keep_result: bool = True) -> int:
    """Have another process push until nothing goes in; how many tasks the queue holds."""
    for start in range(0, 2 * scene.capacity(), 16):
        numbers = range(start, start + 16)
        try:
            actor.do(ask, "push_bulk", numbers, block=False, keep_result=keep_result)
        except QueueFull:
            break
    return actor.do(total)


def refused_at_once(scene: Scene) -> None:
    """A push that may not block raises QueueFull at once, and the error says how many tasks there are."""
    there = scene.elsewhere()
    held = _fill(scene, there)
    expect_equal(held, scene.capacity(), "tasks in a full queue")
    started = time.monotonic()
    error = expect_raises(QueueFull, scene.backend.push, "too much", block=False)
    expect(time.monotonic() - started < 1, "it blocked")
    expect(str(held) in str(error), f"the message names no number of tasks: {error}")
    expect("capacity" in str(error), f"the message does not say what to do: {error}")
    expect_equal(there.do(total), held, "tasks afterwards")


def refused_after_its_time(scene: Scene) -> None:
    """A push with a time limit waits so long for room, then raises QueueFull."""
    _fill(scene, scene.elsewhere())
    started = time.monotonic()
    expect_raises(QueueFull, scene.backend.push, "too much", timeout=0.2)
    took = time.monotonic() - started
    expect(0.19 < took < 3, f"a wait of 0.2 s took {took:.2f} s")


def a_push_waits_for_room(scene: Scene) -> None:
    """A push into a full queue waits until another process has made room, and is stored then."""
    there, filler = scene.elsewhere(), scene.elsewhere()
    held = _fill(scene, filler, keep_result=False)
    there.begin(ask, "push", "waited", timeout=PATIENCE)
    expect(there.busy_for(0.1), "a push into a full queue did not wait")
    scene.here.do(work, 1)
    task_id = there.answer()
    expect_equal(scene.here.do(work, held)[-1], "waited", "the last task")
    expect(task_id is not None, "the push gave no id")


def a_bulk_that_fits_half(scene: Scene) -> None:
    """Of a bulk that does not fit those that do are stored, and the error lists them."""
    there = scene.elsewhere()
    count = scene.capacity() + 5
    error = expect_raises(QueueFull, scene.backend.push_bulk, range(count), block=False)
    expect_equal(len(error.accepted), there.do(total), "how many were accepted and are there")
    expect_equal(there.do(take).id, error.accepted[0], "the first one")


def nothing_is_lost(scene: Scene) -> None:
    """All that was accepted until a queue was full is run, each once and in order."""
    there = scene.elsewhere()
    held = _fill(scene, there, keep_result=False)
    expect_equal(there.do(work_all, "worker"), list(range(held)), "what was run")


def workers_can_always_finish(scene: Scene) -> None:
    """Workers finish and fail tasks of a full queue, with results of the usual size, at once."""
    there = scene.elsewhere()
    _fill(scene, there)
    started = time.monotonic()
    done, failed = scene.here.do(take), scene.here.do(take)
    scene.here.do(finish, done.id, "r" * 100_000)
    scene.here.do(fail, failed.id)
    expect(time.monotonic() - started < 3, "a worker waited for room")
    statuses = [there.do(status_of, each.id) for each in (done, failed)]
    expect_equal(statuses, [Status.DONE, Status.KILLED], "what became of them")


def own_results_are_named(scene: Scene) -> None:
    """Who fills a queue with results that it does not fetch is told so at once, not left to wait."""
    there = scene.elsewhere()
    count = scene.capacity()
    scene.backend.push_bulk(range(count))
    there.do(work, count)
    started = time.monotonic()
    error = expect_raises(QueueFull, scene.backend.push, "too much", timeout=PATIENCE)
    expect(time.monotonic() - started < PATIENCE / 3, "it waited for itself")
    for advice in ("keep_result", "capacity", "fetch"):
        expect(advice in str(error), f"the message does not name {advice}: {error}")


def fetched_results_give_way(scene: Scene) -> None:
    """Three times as many tasks as a queue holds go through it when their results are fetched."""
    there = scene.elsewhere()
    capacity = scene.capacity()
    part = capacity // 2
    for start in range(0, 3 * capacity, part):
        ids = scene.backend.push_bulk(range(start, start + part), timeout=PATIENCE)
        there.do(work, part)
        values = [result.value for result in scene.backend.wait_for(ids, PATIENCE)]
        expect_equal(values, list(range(start, start + part)), "results")
    expect(there.do(total) <= capacity, "the queue holds more than its capacity")


def without_results(scene: Scene) -> None:
    """A task that keeps no result gives its place back as soon as it is DONE."""
    there = scene.elsewhere()
    capacity = scene.capacity()
    for _ in range(3):
        scene.backend.push_bulk(range(capacity), timeout=PATIENCE, keep_result=False)
        there.do(work, capacity)
    expect_equal(there.do(total), 0, "tasks in the queue")


CHECKS = [
    *proves(
        "TaskSink",
        refused_at_once,
        refused_after_its_time,
        a_push_waits_for_room,
        a_bulk_that_fits_half,
        nothing_is_lost,
        without_results,
        uses=["ConfigExt", "ListTasks"],
        slow=True,
    ),
    *proves("TaskSink", workers_can_always_finish, uses=["ConfigExt", "FetchById", "ListTasks"]),
    *proves(
        "WaitForCompletion",
        own_results_are_named,
        fetched_results_give_way,
        uses=["ConfigExt", "ListTasks"],
        slow=True,
    ),
]
