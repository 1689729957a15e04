"""Working: registering, taking, ending and giving back tasks."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import (
    Abort,
    ErrorInfo,
    LeaseLost,
    MemoryStorage,
    Status,
    Task,
    WorkerExists,
    WorkerRequest,
)

from .acting import BOOM, error_of, fetched, status, total, until, work, worker
from .children import child

if TYPE_CHECKING:
    from ...conftest import MakeQueue

# --- registering ---------------------------------------------------------------------------------


def test_a_worker_comes_and_goes(queue: MemoryStorage) -> None:
    """A registered worker is listed with what it told of itself, until it leaves."""
    before = time.time()
    with queue.register_worker("w", layers=["retry", "timeout"]) as lease:
        assert (lease.worker_id, lease.request) == ("w", WorkerRequest.RUN)
        lease.heartbeat()
        queue.heartbeat(lease)
        (seen,) = queue.list_workers()
        assert (seen.id, seen.queue, seen.backend) == ("w", queue.queue, "MemoryStorage")
        assert (seen.pid, seen.layers, seen.state) == (os.getpid(), ("retry", "timeout"), "RUNNING")
        assert (seen.running, seen.alive) == (0, True)
        assert before - 0.01 <= seen.started_at <= seen.last_heartbeat <= time.time() + 0.01
        assert seen.host
    assert queue.list_workers() == []
    lease.close()  # twice is no harm


def test_the_name_of_a_layer_may_hold_anything(queue: MemoryStorage) -> None:
    """A comma does not make two of it."""
    with queue.register_worker("w", layers=["limit(2, per=1.0)", "retry"]):
        (seen,) = queue.list_workers()
        assert seen.layers == ("limit(2, per=1.0)", "retry")


def test_a_living_workers_id(queue: MemoryStorage) -> None:
    """The id of a live worker is refused, on this handle, on another and in another process."""
    with queue.register_worker("w"):
        with pytest.raises(WorkerExists, match="'w'"):
            queue.register_worker("w")
        with MemoryStorage(queue.queue) as other, pytest.raises(WorkerExists):
            other.register_worker("w")
        with pytest.raises(WorkerExists):
            next(queue.poll("w"))
        with child(lambda line: line.say(_refused(queue))) as process:
            assert process.hear() == "True"
    with queue.register_worker("w"):
        pass


def _refused(queue: MemoryStorage) -> bool:
    try:
        queue.register_worker("w")
    except WorkerExists:
        return True
    return False


@pytest.mark.parametrize("name", ["w", "a b", "ä-\N{SNOWMAN}", "x" * 60, "/etc/../", "'quoted\"", "1\n2"])
def test_odd_ids(queue: MemoryStorage, name: str) -> None:
    """A worker's id is any text that is not too long; it comes back as it was."""
    queue.push(1)
    with worker(queue, name) as hands:
        assert hands.take().lock_by == name
        assert [seen.id for seen in queue.list_workers()] == [name]


@pytest.mark.parametrize("name", ["", "x" * 10_000, "ä" * 500])
def test_ids_out_of_bounds(queue: MemoryStorage, name: str) -> None:
    """An empty id, or one that is too long, is a ValueError."""
    with pytest.raises(ValueError, match="worker"):
        queue.register_worker(name)
    assert queue.list_workers() == []


def test_long_ids_that_begin_alike(queue: MemoryStorage) -> None:
    """Two long ids are two workers though they begin alike, or are refused."""
    with queue.register_worker("host-" * 11 + "1"), queue.register_worker("host-" * 11 + "2"):
        assert len({seen.id for seen in queue.list_workers()}) == 2


def test_many_workers(queue: MemoryStorage) -> None:
    """One handle serves many workers; each gets its own tasks."""
    queue.push_bulk(range(20))
    leases = [queue.register_worker(f"w{n}") for n in range(20)]
    streams = [queue.poll(lease) for lease in leases]
    tasks = [next(stream) for stream in streams]
    assert [task.args for task in tasks if task] == list(range(20))
    assert [task.lock_by for task in tasks if task] == [f"w{n}" for n in range(20)]
    for lease in leases:
        lease.close()
    assert total(queue, Status.PENDING) == 20


def test_leaving_gives_everything_back(queue: MemoryStorage) -> None:
    """A lease that is closed returns what ran and what was held, at the old places, nothing charged."""
    queue.push_bulk([1, 2, 3])
    with worker(queue, prefetch=3) as hands:
        hands.take()
        hands.lease.close()
        tasks = queue.list_tasks().items
        assert {(task.status, task.attempts, task.deaths) for task in tasks} == {(Status.PENDING, 0, 0)}
        assert work(queue, 3, name="other") == [1, 2, 3]


def test_a_handle_that_closes_takes_its_workers_along(queue: MemoryStorage) -> None:
    """close() of a handle gives back what its workers have."""
    queue.push_bulk([1, 2])
    other = MemoryStorage(queue.queue)
    lease = other.register_worker("w")
    stream = other.poll(lease, prefetch=2)
    assert next(stream)
    other.close()
    assert total(queue, Status.PENDING) == 2
    assert queue.list_workers() == []
    stream.close()
    lease.close()


def test_poll_by_id(queue: MemoryStorage) -> None:
    """poll() with an id registers a worker for the stream's life."""
    queue.push(1)
    stream = queue.poll("w")
    task = next(stream)
    assert task is not None
    assert (task.lock_by, task.status) == ("w", Status.RUNNING)
    assert [seen.id for seen in queue.list_workers()] == ["w"]
    stream.close()
    assert queue.list_workers() == []
    assert total(queue, Status.PENDING) == 1


# --- taking --------------------------------------------------------------------------------------


def test_a_task_that_runs(queue: MemoryStorage) -> None:
    """A task handed out is RUNNING and tells who has it since when."""
    task_id = queue.push("args")
    before = time.time()
    with worker(queue, "w") as hands:
        for task in (hands.take(), fetched(queue, task_id)):
            assert (task.id, task.args, task.status, task.lock_by) == (task_id, "args", Status.RUNNING, "w")
            assert task.lock_at is not None
            assert before - 0.01 <= task.lock_at <= time.time() + 0.01
            assert (task.attempts, task.deaths, task.queue) == (0, 0, queue.queue)
        assert queue.list_workers()[0].running == 1


@pytest.mark.slow
def test_nothing_to_do(queue: MemoryStorage) -> None:
    """next() returns None within about half a second where nothing is found."""
    with worker(queue) as hands:
        begin = time.monotonic()
        assert next(hands.stream) is None
        assert time.monotonic() - begin < 0.9
        assert iter(hands.stream) is hands.stream


def test_wake_before_next(queue: MemoryStorage) -> None:
    """wake() while nobody waits makes the following next() return at once, and only that one."""
    with worker(queue) as hands:
        hands.stream.wake()
        hands.stream.wake()
        begin = time.monotonic()
        assert next(hands.stream) is None
        assert time.monotonic() - begin < 0.3
        queue.push(1)
        assert hands.work(1) == [1]


def test_wake_while_waiting(queue: MemoryStorage) -> None:
    """wake() from another thread makes a next() that waits return None."""
    with worker(queue) as hands, ThreadPoolExecutor() as pool:
        waiting = pool.submit(next, hands.stream)
        until(waiting.running)
        begin = time.monotonic()
        hands.stream.wake()
        assert waiting.result(10) is None
        assert time.monotonic() - begin < 0.4


def test_a_closed_stream(queue: MemoryStorage) -> None:
    """A closed stream is at its end; closing and waking it again does nothing."""
    queue.push(1)
    with queue.register_worker("w") as lease:
        stream = queue.poll(lease)
        stream.close()
        stream.close()
        stream.wake()
        assert list(stream) == []
        again = queue.poll(lease)
        task = next(again)
        assert task is not None
        assert task.args == 1
        again.close()


def test_async_polling(queue: MemoryStorage) -> None:
    """A stream can be iterated with async for, while the loop runs other things."""

    async def main() -> list[Any]:
        with queue.register_worker("w") as lease:
            stream = queue.poll(lease)
            seen: list[Any] = []

            async def consume() -> None:
                async for task in stream:
                    if task is None:
                        continue
                    seen.append(task.args)
                    lease.finish(task, None)
                    if len(seen) == 3:
                        stream.close()

            consuming = asyncio.ensure_future(consume())
            await asyncio.sleep(0)
            for n in range(3):
                queue.push(n)
                await asyncio.sleep(0)
            await asyncio.wait_for(consuming, 10)
            return seen

    assert asyncio.run(main()) == [0, 1, 2]


def test_async_polling_that_is_cancelled(queue: MemoryStorage) -> None:
    """A task that comes when nobody awaits it any more is handed out next, or given back at the end."""
    entered, go_on = threading.Event(), threading.Event()

    def held_up(tasks: list[Task[Any]]) -> list[Task[Any]]:
        entered.set()
        go_on.wait(10)
        return tasks

    async def main() -> list[Any]:
        with queue.register_worker("w") as lease:
            stream = queue.poll(lease)
            taking = stream._take
            stream._take = lambda *most: held_up(taking(*most))  # type: ignore[method-assign]
            for _ in range(2):
                entered.clear()
                go_on.clear()
                waiting = asyncio.ensure_future(stream.__anext__())
                while not entered.is_set():
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                go_on.set()
                await asyncio.to_thread(until, lambda: stream._kept)
                if len(seen) == 1:
                    break
                task = await stream.__anext__()
                assert task is not None
                seen.append(task.args)
                lease.finish(task, None)
            stream.close()
        return seen

    seen: list[Any] = []
    queue.push_bulk([1, 2])
    assert asyncio.run(main()) == [1]
    assert total(queue, Status.PENDING) == 1


def test_prefetch(queue: MemoryStorage) -> None:
    """A worker holds as many tasks as prefetch says, one RUNNING and the others QUEUED by it."""
    ids = queue.push_bulk(range(6))
    with worker(queue, "w", prefetch=4) as hands:
        assert hands.take().args == 0
        found = queue.check_status(ids)
        assert list(found.values()).count(Status.RUNNING) == 1
        assert list(found.values()).count(Status.QUEUED) <= 3
        held = [task for task in queue.list_tasks().items if task.status == Status.QUEUED]
        assert all(task.lock_by == "w" for task in held)


def test_no_prefetch(queue: MemoryStorage) -> None:
    """By default a worker holds nothing but the task it runs."""
    ids = queue.push_bulk(range(3))
    with worker(queue) as hands:
        hands.take()
        assert list(queue.check_status(ids).values()) == [Status.RUNNING, Status.PENDING, Status.PENDING]


def test_closing_a_stream_returns_what_was_held(queue: MemoryStorage) -> None:
    """stream.close() gives back what was not started, uncharged, and leaves what runs."""
    ids = queue.push_bulk(range(4))
    with worker(queue, prefetch=4) as hands:
        first = hands.take()
        hands.stream.close()
        assert list(queue.check_status(ids).values()) == [Status.RUNNING] + 3 * [Status.PENDING]
        assert work(queue, 3, name="other") == [1, 2, 3]
        hands.lease.finish(first, 0)
    assert status(queue, ids[0]) == Status.DONE


def test_what_a_hoarder_holds_reaches_an_idle_worker(queue: MemoryStorage) -> None:
    """An idle worker gets the tasks that another holds while it runs a long one."""
    queue.push_bulk(range(4))
    with worker(queue, "hoarder", prefetch=4) as hoarder, worker(queue, "idle") as idle:
        first = hoarder.take()
        assert idle.work(3) == [1, 2, 3]
        hoarder.lease.finish(first, None)
    assert total(queue, Status.DONE) == 4


def test_a_prefetched_task_that_was_taken_away(queue: MemoryStorage) -> None:
    """A worker whose held tasks went to another never runs them a second time."""
    queue.push_bulk(range(4))
    with worker(queue, "hoarder", prefetch=4) as hoarder, worker(queue, "idle") as idle:
        first = hoarder.take()
        taken = idle.take()
        hoarder.lease.finish(first, None)
        seen = hoarder.work(2)
        assert sorted([taken.args, *seen]) == [1, 2, 3]
        idle.lease.finish(taken, None)
    assert {task.attempts for task in queue.list_tasks().items} == {1}


@pytest.mark.parametrize("prefetch", [0, -1])
def test_prefetch_out_of_bounds(queue: MemoryStorage, prefetch: int) -> None:
    """A prefetch that makes no sense is a ValueError."""
    with pytest.raises(ValueError, match="prefetch"):
        queue.poll("w", prefetch=prefetch)
    assert queue.list_workers() == []


def test_a_huge_prefetch(queue: MemoryStorage) -> None:
    """A prefetch larger than anything holds what there is."""
    queue.push_bulk(range(1000))
    with worker(queue, prefetch=1 << 40) as hands:
        assert hands.work(1000) == list(range(1000))


def test_ending_two_before_the_next(queue: MemoryStorage) -> None:
    """A worker that ends several tasks before it asks for the next gets each of the held ones."""
    queue.push_bulk(range(5))
    with worker(queue, prefetch=5) as hands:
        for task in hands.take_many(2):
            hands.lease.finish(task, None)
        assert hands.work(3) == [2, 3, 4]
    assert total(queue, Status.DONE) == 5


@pytest.mark.slow
def test_threads_take_from_one_handle(queue: MemoryStorage) -> None:
    """Workers in threads on one handle share the tasks; each task is run once."""
    queue.push_bulk(range(400))
    start = threading.Barrier(4)

    def consume(name: int) -> list[Any]:
        with worker(queue, f"w{name}", prefetch=2) as hands:
            start.wait()
            seen = []
            while total(queue, Status.DONE) < 400:
                task = next(hands.stream)
                if task is not None:
                    seen.append(task.args)
                    hands.lease.finish(task, None)
            return seen

    with ThreadPoolExecutor(4) as pool:
        parts = [future.result(60) for future in [pool.submit(consume, n) for n in range(4)]]
    assert sorted(number for part in parts for number in part) == list(range(400))


# --- ending --------------------------------------------------------------------------------------


def test_finish(queue: MemoryStorage) -> None:
    """A finished task is DONE, has one attempt more, and no owner."""
    task_id = queue.push(1)
    before = time.time()
    work(queue, 1)
    task = fetched(queue, task_id)
    assert (task.status, task.attempts, task.deaths, task.lock_by) == (Status.DONE, 1, 0, None)
    assert task.done_at is not None
    assert before - 0.01 <= task.done_at <= time.time() + 0.01


def test_a_failure_without_another_attempt(queue: MemoryStorage) -> None:
    """By default an exception is not retried: the task is KILLED and keeps its error."""
    task_id = queue.push(1)
    with worker(queue) as hands:
        assert hands.lease.fail(hands.take(), BOOM) == Status.KILLED
    assert (fetched(queue, task_id).attempts, fetched(queue, task_id).status) == (1, Status.KILLED)
    assert fetched(queue, task_id).done_at is not None
    assert error_of(queue.wait(task_id, 10)) == BOOM


def test_retries(queue: MemoryStorage) -> None:
    """A task runs max_attempts times; each run is counted, and the last error is kept."""
    task_id = queue.push(1, max_attempts=3)
    with worker(queue) as hands:
        for attempt, expected in enumerate([Status.FAILED, Status.FAILED, Status.KILLED]):
            task = hands.take()
            assert task.attempts == attempt
            error = ErrorInfo("E", f"run {attempt}")
            assert hands.lease.fail(task, error) == expected
            assert (fetched(queue, task_id).status, fetched(queue, task_id).attempts) == (
                expected,
                attempt + 1,
            )
    assert error_of(queue.wait(task_id, 10)).message == "run 2"


def test_retry_in(queue: MemoryStorage) -> None:
    """A failed task is due again after retry_in seconds, and others run meanwhile."""
    task_id = queue.push("again", max_attempts=2)
    queue.push("other")
    with worker(queue) as hands:
        failed = time.time()
        assert hands.lease.fail(hands.take(), BOOM, retry_in=0.15) == Status.FAILED
        assert abs(fetched(queue, task_id).run_at - failed - 0.15) < 0.1
        assert hands.work(2) == ["other", "again"]
        assert time.time() >= failed + 0.149


@pytest.mark.parametrize("retry_in", [float("nan"), float("inf"), 1e30])
def test_retry_in_out_of_bounds(queue: MemoryStorage, retry_in: float) -> None:
    """A delay that is no delay is a ValueError, and the task is still this worker's."""
    task_id = queue.push(1, max_attempts=2)
    with worker(queue) as hands:
        task = hands.take()
        with pytest.raises(ValueError, match="retry_in"):
            hands.lease.fail(task, BOOM, retry_in=retry_in)
        assert status(queue, task_id) == Status.RUNNING
        hands.lease.finish(task, 1)


def test_a_failure_that_is_final(queue: MemoryStorage) -> None:
    """A final failure makes the task KILLED whatever is left."""
    task_id = queue.push(1, max_attempts=5)
    with worker(queue) as hands:
        assert hands.lease.fail(hands.take(), BOOM, final=True) == Status.KILLED
    assert status(queue, task_id) == Status.KILLED


def test_a_failed_attempt_keeps_its_error_to_look_at(queue: MemoryStorage) -> None:
    """After a retry that succeeds, the result is the value, without the old error."""
    task_id = queue.push(1, max_attempts=2)
    with worker(queue) as hands:
        hands.lease.fail(hands.take(), ErrorInfo("E", "x" * 100_000))
        task = hands.take()
        assert task.attempts == 1
        hands.lease.finish(task, "value")
    assert queue.wait(task_id, 10).unwrap() == "value"


def test_a_retried_task_that_came_back_later(queue: MemoryStorage) -> None:
    """A failed task keeps its arguments, metadata and priority for the next run."""
    queue.push(b"x" * 300_000, max_attempts=2, metadata={"a": 1}, priority=2)
    with worker(queue) as hands:
        hands.lease.fail(hands.take(), BOOM)
        task = hands.take()
        assert (task.args, task.metadata, task.priority) == (b"x" * 300_000, {"a": 1}, 2)


# --- giving back ---------------------------------------------------------------------------------


def test_give_back(queue: MemoryStorage) -> None:
    """A running task that is given back is PENDING, nothing charged; giving it back again is False."""
    task_id = queue.push(1)
    with worker(queue) as hands:
        task = hands.take()
        assert hands.lease.give_back(task) is True
        seen = fetched(queue, task_id)
        assert (seen.status, seen.attempts, seen.deaths, seen.lock_by) == (Status.PENDING, 0, 0, None)
        assert hands.lease.give_back(task) is False
        assert hands.take().id == task_id


def test_what_is_given_back_wakes_another(queue: MemoryStorage) -> None:
    """A task that is given back reaches a worker that waits."""
    queue.push(1)
    with worker(queue, "a") as one, worker(queue, "b") as two, ThreadPoolExecutor() as pool:
        task = one.take()
        taking = pool.submit(two.take)
        until(taking.running)
        one.lease.give_back(task)
        assert taking.result(10).args == 1


# --- leases --------------------------------------------------------------------------------------


def _ways_to_end(hands: Any, task: Task[Any]) -> list[Any]:
    return [lambda: hands.lease.finish(task, 1), lambda: hands.lease.fail(task, BOOM)]


def test_a_lease_ends_once(queue: MemoryStorage) -> None:
    """A task that this worker ended cannot be ended again."""
    task_id = queue.push(1)
    with worker(queue) as hands:
        task = hands.take()
        hands.lease.finish(task, "first")
        for end in _ways_to_end(hands, task):
            with pytest.raises(LeaseLost, match=str(task_id)):
                end()
        assert hands.lease.give_back(task) is False
    assert queue.wait(task_id, 10).value == "first"


def test_a_stale_lease(queue: MemoryStorage) -> None:
    """Whose task is run by another now cannot end it, and changes nothing."""
    task_id = queue.push(1)
    with worker(queue, "a") as one, worker(queue, "b") as two:
        old = one.take()
        one.lease.give_back(old)
        new = two.take()
        for end in _ways_to_end(one, old):
            with pytest.raises(LeaseLost):
                end()
        assert one.lease.give_back(old) is False
        assert fetched(queue, task_id).lock_by == "b"
        two.lease.finish(new, "two")
    assert queue.wait(task_id, 10).value == "two"


def test_a_stale_lease_of_the_same_worker(queue: MemoryStorage) -> None:
    """A lease of an earlier run does not end a later one, though the worker is the same."""
    queue.push(1, max_attempts=2)
    with worker(queue) as hands:
        old = hands.take()
        hands.lease.fail(old, BOOM)
        new = hands.take()
        with pytest.raises(LeaseLost):
            hands.lease.finish(old, "old")
        hands.lease.finish(new, "new")
    assert total(queue, Status.DONE) == 1


def test_anothers_task(queue: MemoryStorage) -> None:
    """A worker cannot end a task that another has."""
    queue.push(1)
    with worker(queue, "a") as one, worker(queue, "b") as two:
        task = one.take()
        with pytest.raises(LeaseLost):
            two.lease.finish(task, 1)
        assert two.lease.give_back(task) is False
        one.lease.finish(task, 1)


def test_a_task_whose_place_was_used_again(make_queue: MakeQueue) -> None:
    """A lease on a place that has another task by now is lost."""
    queue = make_queue(capacity=1)
    queue.push(1, keep_result=False)
    with worker(queue) as hands:
        old = hands.take()
        hands.lease.finish(old, 1)
        second = queue.push(2)
        hands.take()
        for end in _ways_to_end(hands, old):
            with pytest.raises(LeaseLost):
                end()
        assert status(queue, second) == Status.RUNNING


def test_a_task_nobody_took(queue: MemoryStorage) -> None:
    """A task without a lease cannot be ended."""
    task_id = queue.push(1)
    with worker(queue) as hands:
        for end in _ways_to_end(hands, fetched(queue, task_id)):
            with pytest.raises(LeaseLost):
                end()
    assert status(queue, task_id) == Status.PENDING


def test_a_large_result_of_a_lost_lease(queue: MemoryStorage) -> None:
    """A large value that could not be stored for want of the lease leaves nothing behind."""
    queue.push(1)
    with worker(queue, "a") as one, worker(queue, "b") as two:
        old = one.take()
        one.lease.give_back(old)
        new = two.take()
        for size in (10_000, 1 << 20):
            with pytest.raises(LeaseLost):
                one.lease.finish(old, b"x" * size)
        two.lease.finish(new, "two")


def test_ending_after_the_lease_was_closed(queue: MemoryStorage) -> None:
    """A worker that left cannot end a task any more."""
    queue.push(1)
    with worker(queue) as hands:
        task = hands.take()
        hands.lease.close()
        for end in _ways_to_end(hands, task):
            with pytest.raises(LeaseLost):
                end()
        assert hands.lease.give_back(task) is False
    assert total(queue, Status.PENDING) == 1


# --- the outermost layer -------------------------------------------------------------------------


def test_middleware(queue: MemoryStorage) -> None:
    """The outermost layer stores values, exceptions and Abort as SPEC's table says."""
    layer = queue.middleware()

    def handle(task: Task[Any], context: Any) -> Any:
        if isinstance(task.args, str):
            raise {"abort": Abort, "error": ValueError}[task.args](task.args)
        return task.args * 2

    ids = queue.push_bulk([1, "abort", "error", b"x" * 300_000], max_attempts=2)
    with worker(queue) as hands:
        for task in hands.take_many(4):
            layer(task, SimpleNamespace(lease=hands.lease), handle)
        found = list(queue.check_status(ids).values())
    assert found == [Status.DONE, Status.KILLED, Status.FAILED, Status.DONE]
    assert queue.wait(ids[0], 10).value == 2
    assert queue.wait(ids[3], 10).value == b"x" * 600_000
    assert "abort" in error_of(queue.wait(ids[1], 10)).message


def test_capabilities(queue: MemoryStorage) -> None:
    """The backend names its capabilities, and fulfils each of those Protocols."""
    import ipcq

    names = queue.capabilities()
    assert names >= {
        "Backend",
        "ConfigExt",
        "FetchById",
        "ListQueues",
        "ListTasks",
        "ListWorkers",
        "RegisterWorker",
        "ResumeAbandoned",
        "TaskSink",
        "Vacuum",
        "WaitForCompletion",
    }
    for name in names:
        assert isinstance(queue, getattr(ipcq, name))


def test_the_file_of_an_error_goes_with_it(queue: MemoryStorage) -> None:
    """A task that fails again and again with a large error has one file at the most."""
    task_id = queue.push(0, max_attempts=4)
    files = queue._connection.blobs.files
    with worker(queue) as hands:
        for _ in range(3):
            task = hands.take()
            assert files() == set()
            hands.lease.fail(task, ErrorInfo("E", "m" * 400_000))
            assert len(files()) == 1
        hands.lease.finish(hands.take(), None)
    assert queue.wait(task_id, 0).unwrap() is None
    assert files() == set()
