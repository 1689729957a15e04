"""How a task comes to a worker, and to one only."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ...status import Status
from ..acts import ask, enter, finish, hands, leave, look, seen, status_of, take, work, work_all
from ..capabilities import PROTOCOLS
from ..check import proves
from ..expecting import Broken, expect, expect_equal
from ..scene import Scene


def to_one_worker_only(scene: Scene) -> None:
    """Of several workers that take at the same time each task goes to one, and none is left."""
    scene.backend.push_bulk(range(40))
    actors = [scene.elsewhere(), scene.elsewhere()]
    for number, actor in enumerate(actors):
        actor.begin(work_all, f"worker-{number}")
    taken = [args for actor in actors for args in actor.answer()]
    expect_equal(sorted(taken), list(range(40)), "all that was handed out")


def a_running_task_is_nobody_elses(scene: Scene) -> None:
    """A task that one worker runs is not handed out to another."""
    scene.backend.push("taken")
    scene.elsewhere().do(take)
    expect_equal(scene.elsewhere().do(look, "other"), None, "what another worker finds")


def running_and_whose(scene: Scene) -> None:
    """A task that was handed out is RUNNING, and names the worker that has it and since when."""
    before = time.time()
    task_id = scene.backend.push("taken")
    taken = scene.elsewhere().do(take, "the one")
    expect_equal((taken.status, taken.lock_by), (Status.RUNNING, "the one"), "as its worker sees it")
    task = scene.here.do(seen, task_id)
    expect_equal((task.status, task.lock_by), (Status.RUNNING, "the one"), "as others see it")
    expect(task.lock_at is not None and before - 1 < task.lock_at < time.time() + 1, "lock_at is no moment")


def an_empty_queue_says_so(scene: Scene) -> None:
    """A worker that finds nothing is told so within two seconds, and goes on looking."""
    there = scene.elsewhere()
    started = time.monotonic()
    expect_equal(there.do(look), None, "what there is in an empty queue")
    expect(time.monotonic() - started < 2, "it took longer than two seconds to find nothing")
    scene.backend.push("came")
    expect_equal(there.do(work, 1), ["came"], "what came afterwards")


def a_look_does_not_wait(scene: Scene) -> None:
    """`TaskStream.look` gives what there is, in order, and then None at once, many times a second."""
    stream = scene.here.do(hands).stream
    scene.backend.push_bulk([1, 2])
    found = []
    while (task := stream.look()) is not None:
        found.append(task.args)
        scene.here.do(hands).lease.finish(task, None)
    expect_equal(found, [1, 2], "what was found")
    started = time.monotonic()
    for _ in range(20):
        expect_equal(stream.look(), None, "what there is in an empty queue")
    expect(time.monotonic() - started < 4, "20 looks took longer than four seconds")
    stream.close()
    expect_equal(stream.look(), None, "what a closed stream has")


def a_push_wakes_a_worker(scene: Scene) -> None:
    """A worker that waits takes a task that another process pushes, within two seconds."""
    there = scene.elsewhere()
    there.do(enter)
    there.begin(take)
    pushed = time.monotonic()
    task_id = scene.backend.push("wake up")
    expect_equal(there.answer().id, task_id, "what the worker got")
    expect(time.monotonic() - pushed < 2, "it took longer than two seconds")


def another_thread_can_wake_a_worker(scene: Scene) -> None:
    """`TaskStream.wake` has the worker's next look return, and the worker still finds tasks then."""
    stream = scene.here.do(hands).stream
    stream.wake()
    started = time.monotonic()
    expect_equal(next(stream), None, "what a woken worker finds")
    expect(time.monotonic() - started < 2, "it was not woken")
    scene.elsewhere().do(ask, "push", 1)
    expect_equal(scene.here.do(work, 1), [1], "what it finds afterwards")


def many_workers_on_one_object(scene: Scene) -> None:
    """Several workers take from one backend object at the same time."""
    ids = scene.backend.push_bulk(["a", "b"])
    there = scene.elsewhere()
    expect_equal([there.do(take, "one").args, there.do(take, "two").args], ["a", "b"], "what they took")
    for task_id in ids:
        there.do(finish, task_id)
    expect_equal([scene.here.do(status_of, i) for i in ids], [Status.DONE] * 2, "what became of it")


def threads_share_one_object(scene: Scene) -> None:
    """Threads push to and take from one backend object at the same time; each task is handed out once."""
    there = scene.elsewhere()
    there.begin(work_all, "elsewhere")
    with ThreadPoolExecutor(4) as pool:
        pushed = list(pool.map(scene.backend.push, range(40)))
        here = [args for part in pool.map(partial(work_all, scene.here), "ab") for args in part]
    taken = here + there.answer()
    rest = there.do(work_all, "rest")
    expect_equal(len(set(pushed)), 40, "different ids")
    expect_equal(sorted(taken + rest), list(range(40)), "all that was handed out")


def a_restarted_worker_on_the_same_object(scene: Scene) -> None:
    """A worker that left comes back to the same backend object under its id, and takes tasks again."""
    there = scene.elsewhere()
    for args in ("first", "second", "third"):
        scene.backend.push(args)
        expect_equal(there.do(work, 1), [args], "what the worker got")
        there.do(leave)


def poll_by_id(scene: Scene) -> None:
    """`poll` with an id registers that worker for as long as the stream lives."""
    scene.backend.push(1)
    with_id = scene.backend.poll("by id")
    try:
        task = next(with_id)
        expect(task is not None and task.lock_by == "by id", "the task does not name the worker")
    finally:
        with_id.close()
    expect_equal(scene.elsewhere().do(take, "by id").args, 1, "what is handed out when it left")


def async_iteration(scene: Scene) -> None:
    """A stream of tasks is an async iterator, too."""
    worker = scene.here.do(hands)
    scene.elsewhere().do(ask, "push", 1)

    async def first() -> object:
        async for task in worker.stream:
            if task is not None:
                worker.lease.finish(task, None)
                return task.args
        return None

    expect_equal(asyncio.run(first()), 1, "what came")


def a_closed_stream_ends(scene: Scene) -> None:
    """A stream that was closed hands out nothing any more, and the task is there for the next one."""
    worker = scene.here.do(hands)
    worker.stream.close()
    scene.elsewhere().do(ask, "push", 1)
    expect_equal(list(worker.stream), [], "what a closed stream gives")
    expect_equal(scene.elsewhere().do(take, "next").args, 1, "what the next worker gets")


def capabilities_are_fulfilled(scene: Scene) -> None:
    """`capabilities` names Protocols of ipcq, and the backend has every call of them."""
    for name in scene.backend.capabilities():
        protocol = PROTOCOLS.get(name)
        if protocol is None:
            raise Broken(f"{name!r} is no Protocol of ipcq")
        expect(isinstance(scene.backend, protocol), f"it names {name}, and lacks a call of it")


CHECKS = [
    *proves("Backend", to_one_worker_only, a_push_wakes_a_worker),
    *proves("Backend", many_workers_on_one_object, uses=["FetchById"]),
    *proves("Backend", threads_share_one_object, slow=True),
    *proves("Backend", running_and_whose, uses=["FetchById"]),
    *proves("Backend", a_look_does_not_wait),
    *proves("Backend", a_running_task_is_nobody_elses, an_empty_queue_says_so, slow=True),
    *proves("Backend", a_restarted_worker_on_the_same_object, poll_by_id),
    *proves("Backend", capabilities_are_fulfilled, base=False),
    *proves("TaskStream", another_thread_can_wake_a_worker, async_iteration, a_closed_stream_ends),
]
