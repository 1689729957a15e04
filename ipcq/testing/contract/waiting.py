"""How results come to who waits for them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from threading import Thread

from ...backend import Completions
from ...errors import ResultExpired, TaskFailed, TaskNotFound, WaitTimeout
from ...status import Status
from ...task import TaskId
from ..acts import BOOM, ask, collect, fail, finish, take, work
from ..check import proves
from ..expecting import PATIENCE, eventually, expect, expect_equal, expect_raises, expect_some
from ..scene import Scene


def in_completion_order(scene: Scene) -> None:
    """Results come in the order in which tasks finished, not in that of their ids."""
    ids = scene.backend.push_bulk(range(3))
    there = scene.elsewhere()
    for _ in ids:
        there.do(take)
    order = [ids[2], ids[0], ids[1]]
    for task_id in order:
        there.do(finish, task_id, str(task_id))
    results = list(scene.backend.wait_for(ids, PATIENCE))
    expect_equal([result.task_id for result in results], order, "order of results")
    expect_equal([result.value for result in results], [str(i) for i in order], "values")


def each_id_once(scene: Scene) -> None:
    """An id that is asked for twice gives one result."""
    ids = scene.backend.push_bulk(range(2))
    scene.elsewhere().do(work, 2)
    results = list(scene.backend.wait_for([*ids, *ids], PATIENCE))
    expect_equal(sorted(result.task_id for result in results), sorted(ids), "ids of the results")


def an_unknown_id_at_once(scene: Scene) -> None:
    """A wait for an id that is not there raises TaskNotFound at once, from any process."""
    there, known = scene.elsewhere(), scene.backend.push(1)
    started = time.monotonic()
    expect_raises(TaskNotFound, scene.backend.wait, TaskId.new(), PATIENCE)
    expect_raises(TaskNotFound, scene.backend.wait_for, [known, TaskId.new()], PATIENCE)
    expect_raises(TaskNotFound, there.do, collect, [TaskId.new()])
    expect(time.monotonic() - started < PATIENCE / 3, "it waited for ids that nobody knows")


def an_id_as_text(scene: Scene) -> None:
    """An id may be given as its text; what is no id is a ValueError."""
    task_id = scene.backend.push("text")
    scene.elsewhere().do(work, 1)
    expect_equal(scene.backend.wait(str(task_id), PATIENCE).value, "text", "the result")
    expect_raises(ValueError, scene.backend.wait, "no id", PATIENCE)


def a_timeout(scene: Scene) -> None:
    """A wait that takes too long raises WaitTimeout, and the task goes on."""
    task_id = scene.backend.push("slow")
    started = time.monotonic()
    expect_raises(WaitTimeout, scene.backend.wait, task_id, 0.1)
    expect_raises(WaitTimeout, lambda: list(scene.backend.wait_for([task_id], 0.1)))
    took = time.monotonic() - started
    expect(0.19 < took < 5, f"two waits of 0.1 s took {took:.2f} s")
    scene.elsewhere().do(work, 1)
    expect_equal(scene.backend.wait(task_id, PATIENCE).value, "slow", "the result")


def removed_meanwhile(scene: Scene) -> None:
    """A result that was removed while somebody waited for it is ResultExpired, which tells whose it was."""
    first, second = scene.backend.push_bulk(range(2))
    there = scene.elsewhere()
    waiting = scene.backend.wait_for([second, first], PATIENCE)
    there.do(work, 1)
    there.do(ask, "vacuum")
    error = expect_raises(ResultExpired, next, waiting)
    expect_equal(error.task_id, first, "the task of the error")
    there.do(work, 1)
    expect_equal(next(waiting).value, 1, "the result of the other")


def a_run_that_is_repeated_is_no_result(scene: Scene) -> None:
    """A failed run with another attempt left is no result; the end of the last one is."""
    task_id = scene.backend.push(1, max_attempts=2)
    there = scene.elsewhere()
    there.do(take)
    there.do(fail, task_id)
    expect_raises(WaitTimeout, scene.backend.wait, task_id, 0.2)
    there.do(take)
    there.do(finish, task_id, "second")
    expect_equal(scene.backend.wait(task_id, PATIENCE).value, "second", "the result")


def woken_from_another_process(scene: Scene) -> None:
    """Who waits is woken by the end of the task in another process, within two seconds."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.begin(collect, [task_id])
    expect(there.busy_for(0.1), "a wait for a task that nobody ran has ended")
    scene.here.do(work, 1)
    finished = time.monotonic()
    expect_equal([result.value for result in there.answer()], [1], "the result")
    expect(time.monotonic() - finished < 2, "it took longer than two seconds")


def nobodys_wait_takes_it_from_another(scene: Scene) -> None:
    """Several processes may wait for the same task, and each gets its result."""
    task_id = scene.backend.push("for all")
    actors = [scene.elsewhere(), scene.elsewhere()]
    for actor in actors:
        actor.begin(collect, [task_id])
    scene.here.do(work, 1)
    values = [result.value for actor in actors for result in actor.answer()]
    expect_equal(values, ["for all", "for all"], "what they got")


def ids_added_while_it_runs(scene: Scene) -> None:
    """A wait takes more ids while it runs; its length is how many are awaited still."""
    first, second = scene.backend.push_bulk(["a", "b"])
    waiting = scene.backend.wait_for([first], PATIENCE)
    waiting.add([second])
    expect_equal(len(waiting), 2, "how many are awaited")
    expect_raises(TaskNotFound, waiting.add, [TaskId.new()])
    expect_equal(waiting.ready(), [], "what is ready before anything ran")
    scene.elsewhere().do(work, 2)
    expect_equal([result.value for result in waiting], ["a", "b"], "results")
    expect_equal((len(waiting), waiting.ready(PATIENCE)), (0, []), "what is awaited afterwards")


def nothing_to_wait_for(scene: Scene) -> None:
    """A wait for no ids ends at once."""
    scene.elsewhere().do(ask, "push", "not awaited")
    expect_equal(list(scene.backend.wait_for([], PATIENCE)), [], "results")


def another_thread_can_wake_a_wait(scene: Scene) -> None:
    """`Completions.wake` has a `ready` that waits in another thread return without a result."""
    task_id = scene.elsewhere().do(ask, "push", 1)
    waiting = scene.backend.wait_for([task_id], PATIENCE)
    got: list[object] = []
    thread = Thread(target=lambda: got.append(waiting.ready(PATIENCE)))
    started = time.monotonic()
    thread.start()
    eventually(partial(_woken, waiting, thread), "the wait returns")
    thread.join()
    expect(time.monotonic() - started < PATIENCE / 2, "it waited for its time")
    expect_equal(got, [[]], "what it returned")


def _woken(waiting: Completions, thread: Thread) -> bool:
    waiting.wake()
    return not thread.is_alive()


def some_are_not_awaited_any_more(scene: Scene) -> None:
    """`Completions.discard` forgets ids, known or not; the others come, and who asks anew gets the result."""
    ids = scene.backend.push_bulk(range(3))
    waiting = scene.backend.wait_for(ids, PATIENCE)
    waiting.discard([ids[0], TaskId.new()])
    expect_equal(len(waiting), 2, "what is awaited")
    scene.elsewhere().do(work, 3)
    expect_equal([result.value for result in waiting], [1, 2], "results")
    expect_equal(scene.backend.wait(ids[0], PATIENCE).value, 0, "the result of the other")


def async_iteration(scene: Scene) -> None:
    """A wait is an async iterator, too."""
    ids = scene.backend.push_bulk(range(3))
    scene.elsewhere().do(work, 3)

    async def values() -> list[object]:
        return [result.value async for result in scene.backend.wait_for(ids, PATIENCE)]

    expect_equal(asyncio.run(values()), [0, 1, 2], "results")


def status_of_many(scene: Scene) -> None:
    """`check_status` tells the status of each id, and leaves out those it does not know."""
    ids = scene.backend.push_bulk(range(3))
    there = scene.elsewhere()
    there.do(work, 1)
    there.do(take)
    told = there.do(ask, "check_status", [*ids, TaskId.new()])
    expect_equal(told, dict(zip(ids, (Status.DONE, Status.RUNNING, Status.PENDING), strict=True)), "statuses")


def an_error_as_values(scene: Scene) -> None:
    """The error of a run comes back as type, message and traceback; `unwrap` raises TaskFailed."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take)
    expect_equal(there.do(fail, task_id), Status.KILLED, "what the last run's failure makes of it")
    result = scene.backend.wait(task_id, PATIENCE)
    expect_equal((result.status, result.value), (Status.KILLED, None), "status and value")
    error = expect_some(result.error, "the result has no error")
    expect_equal((error.type, error.message), (BOOM.type, BOOM.message), "type and message")
    expect("Traceback" in error.traceback, "the traceback is not there")
    failed = expect_raises(TaskFailed, result.unwrap)
    expect("boom" in str(failed) and failed.__cause__ is not None, "TaskFailed does not tell why")


def a_value_comes_back(scene: Scene) -> None:
    """The value of a run comes back as it was given, and `unwrap` returns it."""
    value = {"text": "ü€", "list": [1, -2.5, None, True], "bytes": b"\0\xff", "large": 2**63}
    task_id = scene.backend.push(value)
    scene.elsewhere().do(work, 1)
    result = scene.backend.wait(task_id, PATIENCE)
    expect_equal((result.task_id, result.status, result.error), (task_id, Status.DONE, None), "the result")
    expect_equal(result.unwrap(), value, "the value")


CHECKS = [
    *proves(
        "WaitForCompletion",
        in_completion_order,
        each_id_once,
        an_unknown_id_at_once,
        an_id_as_text,
        a_timeout,
        a_run_that_is_repeated_is_no_result,
        woken_from_another_process,
        nobodys_wait_takes_it_from_another,
        ids_added_while_it_runs,
        nothing_to_wait_for,
        another_thread_can_wake_a_wait,
        some_are_not_awaited_any_more,
        async_iteration,
        status_of_many,
    ),
    *proves("WaitForCompletion", removed_meanwhile, uses=["Vacuum"]),
    *proves("TaskResult", an_error_as_values, a_value_comes_back, uses=["WaitForCompletion"]),
]
