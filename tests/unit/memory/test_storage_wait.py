"""Waiting for results: which come, in which order, when, and what is told instead."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import (
    CodecError,
    ErrorInfo,
    MemoryStorage,
    QueueClosed,
    ResultExpired,
    Status,
    TaskFailed,
    TaskId,
    TaskNotFound,
    WaitTimeout,
)

from .acting import BOOM, SIZES, error_of, fetched, pattern, status, total, until, work, worker
from .children import child

if TYPE_CHECKING:
    from ...conftest import MakeQueue
    from .children import Line


@pytest.fixture
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sleeps looks again sooner: for what is noticed at the next look."""
    for module in ("participant", "waiting"):
        monkeypatch.setattr(f"ipcq.backends.memory.{module}.TICK", 0.05)


# --- results as they were ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, False, 0, -1, 2**64 - 1, 0.5, "ä" * 200, b"\0" * 200, [], {"a": [{"b": None}]}, {1: 2}]
)
def test_values_come_back(queue: MemoryStorage, value: object) -> None:
    """A result is equal to what the handler returned."""
    task_id = queue.push("args")
    work(queue, 1, lambda _: value)
    result = queue.wait(task_id, 10)
    assert (result.task_id, result.status, result.value, result.error) == (task_id, Status.DONE, value, None)
    assert result.unwrap() == value


@pytest.mark.parametrize("size", SIZES)
def test_results_of_every_class(make_queue: MakeQueue, size: int) -> None:
    """Results of every size come back as they were, to two handles alike."""
    queue = make_queue(codec="raw")
    data = pattern(size)
    task_id = queue.push(data[::-1])
    work(queue, 1, lambda args: bytes(args)[::-1])
    assert bytes(queue.wait(task_id, 10).unwrap()) == data
    with MemoryStorage(queue.queue) as other:
        assert bytes(other.wait(task_id, 10).unwrap()) == data


@pytest.mark.parametrize("size", SIZES)
def test_errors_of_every_size(queue: MemoryStorage, size: int) -> None:
    """Errors come back as they were, whatever their size."""
    info = ErrorInfo("my.Error", "ä" * size, "t" * size, {"pid": 5, "more": [1, None]})
    task_id = queue.push(1)
    with worker(queue) as hands:
        assert hands.lease.fail(hands.take(), info) == Status.KILLED
    result = queue.wait(task_id, 10)
    assert (result.status, result.value, result.error) == (Status.KILLED, None, info)
    with pytest.raises(TaskFailed, match=r"my\.Error"):
        result.unwrap()


def test_large_results_outlive_their_task(make_queue: MakeQueue) -> None:
    """A large result stays readable when its task was removed and its place used again."""
    queue = make_queue(codec="raw")
    data = pattern(1 << 20)
    first = queue.push(b"")
    work(queue, 1, lambda _: data)
    value = queue.wait(first, 10).value
    queue.vacuum()
    queue.push(b"")
    work(queue, 1, lambda _: data[::-1])
    assert value == data


def test_a_result_without_a_form(queue: MemoryStorage) -> None:
    """A value that cannot be encoded is a CodecError, and the task is still RUNNING, still ours."""
    task_id = queue.push(1)
    with worker(queue) as hands:
        task = hands.take()
        for value in (1 << 70, object()):
            with pytest.raises(CodecError):
                hands.lease.finish(task, value)
        assert status(queue, task_id) == Status.RUNNING
        hands.lease.finish(task, "fine")
    assert queue.wait(task_id, 10).value == "fine"


# --- one result ----------------------------------------------------------------------------------


def test_wait_twice(queue: MemoryStorage) -> None:
    """A result can be fetched again as long as its task has its place, by its id's text too."""
    task_id = queue.push(1)
    work(queue, 1)
    assert queue.wait(task_id, 10) == queue.wait(str(task_id), 10)
    assert [result.value for result in queue.wait_for([task_id])] == [1]


def test_wait_is_woken(queue: MemoryStorage) -> None:
    """A thread that waits gets the result when it is there, not at the next tick."""
    task_id = queue.push(1)
    with worker(queue) as hands, ThreadPoolExecutor() as pool:
        task = hands.take()
        waiting = pool.submit(queue.wait, task_id, 10)
        until(waiting.running)
        finished = time.monotonic()
        hands.lease.finish(task, 2)
        assert waiting.result(10).value == 2
        assert time.monotonic() - finished < 0.4


def test_wait_for_an_unknown_id(queue: MemoryStorage) -> None:
    """An id that is not in the queue is TaskNotFound at once, though others are awaited."""
    known, unknown = queue.push(1), TaskId.new()
    with pytest.raises(TaskNotFound, match=str(unknown)):
        queue.wait(unknown)
    with pytest.raises(TaskNotFound, match=str(unknown)):
        queue.wait_for([known, unknown])
    with pytest.raises(ValueError, match="not a task id"):
        queue.wait("nonsense")


def test_wait_timeout(queue: MemoryStorage) -> None:
    """A wait ends after its timeout with an error that is a TimeoutError; the task goes on."""
    task_id = queue.push(1)
    begin = time.monotonic()
    with pytest.raises(WaitTimeout, match=r"0\.05") as caught:
        queue.wait(task_id, timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert 0.04 <= time.monotonic() - begin < 1
    with pytest.raises(WaitTimeout):
        queue.wait(task_id, timeout=0)
    work(queue, 1)
    assert queue.wait(task_id, timeout=0).value == 1


def test_a_failed_run_is_no_result(queue: MemoryStorage) -> None:
    """A FAILED task that will run again is not a result; its end is."""
    task_id = queue.push(1, max_attempts=2)
    with worker(queue) as hands:
        assert hands.lease.fail(hands.take(), BOOM) == Status.FAILED
        with pytest.raises(WaitTimeout):
            queue.wait(task_id, timeout=0.01)
        hands.work(1)
    result = queue.wait(task_id, 10)
    assert (result.status, result.error) == (Status.DONE, None)


def test_wait_for_a_task_that_keeps_nothing(queue: MemoryStorage) -> None:
    """With keep_result=False a DONE task is gone at once; a KILLED one keeps its error."""
    done, killed = queue.push_bulk([1, 2], keep_result=False)
    with worker(queue) as hands:
        hands.work(1)
        hands.lease.fail(hands.take(), BOOM)
    assert queue.fetch_by_id(done) is None
    with pytest.raises((TaskNotFound, ResultExpired)):
        queue.wait(done, 1)
    assert error_of(queue.wait(killed, 10)) == BOOM


@pytest.mark.usefixtures("short_ticks")
def test_waiting_for_a_task_that_keeps_nothing(queue: MemoryStorage) -> None:
    """Who waits for a task that keeps no result is told when it is over."""
    task_id = queue.push(1, keep_result=False)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(queue.wait, task_id, 10)
        until(waiting.running)
        work(queue, 1)
        with pytest.raises((TaskNotFound, ResultExpired)):
            waiting.result(10)


def test_wait_on_a_result_that_was_vacuumed(queue: MemoryStorage) -> None:
    """A result that is removed while somebody awaits it is ResultExpired."""
    first, second = queue.push_bulk([1, 2])
    results = queue.wait_for([first, second], timeout=10)
    with worker(queue) as hands:
        hands.work(1)
        assert queue.vacuum() == 1
        with pytest.raises(ResultExpired, match=str(first)):
            next(results)
        hands.work(1)
    assert next(results).task_id == second
    with pytest.raises(StopIteration):
        next(results)


def test_check_status(queue: MemoryStorage) -> None:
    """check_status tells the status of each id and leaves unknown ones out."""
    ids = queue.push_bulk([1, 2, 3], max_attempts=2)
    assert queue.check_status([]) == {}
    with worker(queue) as hands:
        hands.work(1)
        hands.lease.fail(hands.take(), BOOM, retry_in=100)
        hands.take()
        found = queue.check_status([*ids, TaskId.new()])
    assert found == dict(zip(ids, [Status.DONE, Status.FAILED, Status.RUNNING], strict=True))


# --- many results --------------------------------------------------------------------------------


def test_completion_order(queue: MemoryStorage) -> None:
    """Results come in the order in which the tasks ended, each id once, though it was given twice."""
    ids = queue.push_bulk(range(6))
    with worker(queue, prefetch=6) as hands:
        tasks = hands.take_many(6)
        results = queue.wait_for([*ids, *ids], timeout=10)
        assert len(results) == 6
        for n in (3, 0, 5):
            hands.lease.finish(tasks[n], n)
        assert [next(results).value for _ in range(3)] == [3, 0, 5]
        assert len(results) == 3
        for n in (4, 1, 2):
            hands.lease.finish(tasks[n], n)
        assert [result.value for result in results] == [4, 1, 2]
    assert len(results) == 0
    assert list(results) == []


def test_completion_order_of_what_is_over(queue: MemoryStorage) -> None:
    """Tasks that ended before wait_for was called come in the order in which they ended, too."""
    ids = queue.push_bulk(range(4))
    with worker(queue, prefetch=4) as hands:
        for n, task in reversed(list(enumerate(hands.take_many(4)))):
            hands.lease.finish(task, n)
    assert [result.value for result in queue.wait_for(ids, timeout=10)] == [3, 2, 1, 0]


def test_wait_for_nothing(queue: MemoryStorage) -> None:
    """Nothing awaited gives nothing, at once."""
    results = queue.wait_for([])
    assert list(results) == []
    assert results.ready(timeout=None) == []


def test_wait_for_times_out_as_a_whole(queue: MemoryStorage) -> None:
    """The timeout of wait_for counts from the call, whatever came meanwhile."""
    ids = queue.push_bulk([1, 2])
    work(queue, 1)
    begin = time.monotonic()
    results = queue.wait_for(ids, timeout=0.1)
    assert next(results).value == 1
    with pytest.raises(WaitTimeout):
        next(results)
    assert 0.09 <= time.monotonic() - begin < 1


def test_add(queue: MemoryStorage) -> None:
    """Ids added while waiting are awaited too; an unknown one is refused at once."""
    first = queue.push(1)
    results = queue.wait_for([first], timeout=10)
    second, third = queue.push_bulk([2, 3])
    results.add([second, first])
    with pytest.raises(TaskNotFound):
        results.add([TaskId.new()])
    work(queue, 3)
    assert [result.task_id for result in results] == [first, second]
    results.add([third])
    assert [result.task_id for result in results] == [third]


def test_add_to_an_empty_one(queue: MemoryStorage) -> None:
    """A producer may start with nothing and add as it pushes."""
    results = queue.wait_for([])
    for n in range(5):
        results.add([queue.push(n)])
        work(queue, 1)
    assert {result.value for result in results} == {0, 1, 2, 3, 4}


def test_ready(queue: MemoryStorage) -> None:
    """ready() gives all that is there without waiting, and an empty list when nothing is."""
    results = queue.wait_for(queue.push_bulk(range(5)))
    assert results.ready() == []
    begin = time.monotonic()
    assert results.ready(timeout=0.05) == []
    assert 0.04 <= time.monotonic() - begin < 1
    work(queue, 3)
    assert [result.value for result in results.ready(timeout=10)] == [0, 1, 2]
    assert results.ready() == []
    assert len(results) == 2


def test_ready_of_an_expired_one(queue: MemoryStorage) -> None:
    """One result that was removed costs none of the others."""
    ids = queue.push_bulk(range(3))
    results = queue.wait_for(ids, timeout=10)
    work(queue, 1)
    queue.vacuum()
    work(queue, 2)
    seen, expired = [], 0
    while len(results):
        try:
            seen += [result.value for result in results.ready(timeout=1)]
        except ResultExpired:
            expired += 1
    assert (seen, expired) == ([1, 2], 1)


def test_ready_loses_nothing_before_an_expired_one(queue: MemoryStorage) -> None:
    """What came before a result that was removed is returned, and the error comes with the next call."""
    first, second = queue.push_bulk(range(2))
    results = queue.wait_for([first, second], timeout=10)
    with worker(queue, prefetch=2) as hands:
        tasks = hands.take_many(2)
        hands.lease.finish(tasks[1], 1)
        assert queue.vacuum() == 1
        hands.lease.finish(tasks[0], 0)
    seen, expired = [], 0
    while len(results) or not expired:
        try:
            seen += [result.value for result in results.ready(timeout=1)]
        except ResultExpired:
            expired += 1
    assert (seen, expired) == ([0], 1)


def test_removed_before_another_waited(queue: MemoryStorage) -> None:
    """Who waits is told of a removed result, though somebody else began to wait since it was removed."""
    first, second = queue.push_bulk([1, 2])
    early = queue.wait_for([first], timeout=10)
    work(queue, 1)
    assert queue.vacuum() == 1
    late = queue.wait_for([second], timeout=10)
    with pytest.raises(ResultExpired):
        next(early)
    work(queue, 1)
    assert next(late).value == 2


def test_removed_before_it_was_asked_for(queue: MemoryStorage) -> None:
    """A task that was pushed here and removed before anybody waited for it is TaskNotFound at once."""
    task_id = queue.push(1)
    work(queue, 1)
    queue.vacuum()
    with pytest.raises(TaskNotFound):
        queue.wait(task_id, 10)


def test_fetched_by_another_first(queue: MemoryStorage) -> None:
    """A result that another handle fetched first is there for who pushed the task, too."""
    task_id = queue.push(1)
    with MemoryStorage(queue.queue) as other:
        work(queue, 1)
        assert other.wait(task_id, 10).value == 1
    assert queue.wait(task_id, timeout=0).value == 1
    assert queue.wait(task_id, 10).value == 1


def test_fetched_by_another_first_is_there_at_once(queue: MemoryStorage) -> None:
    """Whoever pushed the task waits for no tick then."""
    task_id = queue.push(1)
    with MemoryStorage(queue.queue) as other:
        work(queue, 1)
        assert other.wait(task_id, 10).value == 1
    begin = time.monotonic()
    assert queue.wait(task_id, 10).value == 1
    assert time.monotonic() - begin < 0.3


def test_wake_a_ready_that_waits(queue: MemoryStorage) -> None:
    """wake() from another thread makes a ready() that waits return."""
    results = queue.wait_for([queue.push(1)])
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(results.ready, 30)
        begin = time.monotonic()
        while not waiting.done() and time.monotonic() - begin < 10:
            results.wake()
            time.sleep(0.001)
        assert waiting.result(0) == []


def test_iterating_async(queue: MemoryStorage) -> None:
    """Results can be iterated with async for, while the loop runs other things."""

    async def main() -> list[Any]:
        ids = queue.push_bulk(range(5))

        async def collect() -> list[Any]:
            return [result.value async for result in queue.wait_for(ids, timeout=10)]

        collecting = asyncio.ensure_future(collect())
        with worker(queue) as hands:
            for _ in range(5):
                await asyncio.sleep(0)
                hands.work(1)
        return await collecting

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.usefixtures("short_ticks")
def test_iterating_async_times_out(queue: MemoryStorage) -> None:
    """An async wait ends by WaitTimeout, too, and can be cancelled."""

    async def main() -> None:
        ids = [queue.push(1)]
        with pytest.raises(WaitTimeout):
            async for _ in queue.wait_for(ids, timeout=0.02):
                pass
        endless = asyncio.ensure_future(queue.wait_for(ids).__anext__())
        while not queue._inbox._pulling:
            await asyncio.sleep(0)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless

    begin = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begin < 3


def test_many_results(queue: MemoryStorage) -> None:
    """Thousands of results come once each."""
    ids = queue.push_bulk(range(3000))
    with ThreadPoolExecutor() as pool:
        working = pool.submit(work, queue, 3000)
        seen = [result.value for result in queue.wait_for(ids, timeout=30)]
        working.result(30)
    assert seen == list(range(3000))


# --- several who wait ----------------------------------------------------------------------------


def test_threads_wait_on_one_object(queue: MemoryStorage) -> None:
    """Threads that wait on one object get each its own results, and the same one when they share it."""
    ids = queue.push_bulk(range(40))
    start = threading.Barrier(5)

    def collect(mine: list[TaskId]) -> list[Any]:
        start.wait()
        return sorted(result.value for result in queue.wait_for([*mine, ids[0]], timeout=20))

    with ThreadPoolExecutor() as pool:
        collecting = [pool.submit(collect, ids[n::4]) for n in range(4)]
        start.wait()
        work(queue, 40)
        for n, future in enumerate(collecting):
            assert future.result(20) == sorted({0, *range(n, 40, 4)})


def test_a_thread_gets_what_another_fetched(queue: MemoryStorage) -> None:
    """A thread whose result was fetched by another that goes on waiting is told at once."""
    slow, fast = queue.push_bulk(["slow", "fast"])
    with worker(queue, prefetch=2) as hands, ThreadPoolExecutor() as pool:
        tasks = hands.take_many(2)
        waiting = pool.submit(queue.wait, slow, 20)
        until(lambda: queue._inbox._pulling)
        other = pool.submit(queue.wait, fast, 20)
        until(lambda: len(queue._inbox._waiting) == 2)
        finished = time.monotonic()
        hands.lease.finish(tasks[1], 2)
        assert other.result(10).value == 2
        assert time.monotonic() - finished < 0.4
        hands.lease.finish(tasks[0], 1)
        assert waiting.result(10).value == 1


def test_threads_wait_for_one_id(queue: MemoryStorage) -> None:
    """Each of several threads that wait for one task gets its result."""
    task_id = queue.push(1)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(queue.wait, task_id, 10) for _ in range(4)]
        until(lambda: all(future.running() for future in waiting))
        work(queue, 1)
        assert [future.result(10).value for future in waiting] == [1] * 4


def test_a_thread_that_leaves_wakes_no_harm(queue: MemoryStorage) -> None:
    """A wait that timed out takes no result from another that goes on."""
    ids = queue.push_bulk(range(3))
    impatient = queue.wait_for(ids, timeout=0)
    patient = queue.wait_for(ids, timeout=10)
    with pytest.raises(WaitTimeout):
        next(impatient)
    work(queue, 3)
    assert [result.value for result in patient] == [0, 1, 2]


def test_waiting_on_another_handle(queue: MemoryStorage) -> None:
    """A result of a task that another handle pushed is there promptly, not at the next tick."""
    task_id = queue.push(1)
    with MemoryStorage(queue.queue) as other, ThreadPoolExecutor() as pool, worker(queue) as hands:
        task = hands.take()
        waiting = pool.submit(other.wait, task_id, 10)
        until(waiting.running)
        hands.lease.finish(task, 2)
        assert waiting.result(10).value == 2


def test_waiting_for_another_process(queue: MemoryStorage) -> None:
    """Tasks pushed by another process can be awaited here, and those of here there."""

    def other(line: Line) -> None:
        line.say(queue.push("theirs"))
        line.say(queue.wait(line.hear(), 10).value)

    with child(other) as process:
        theirs = process.hear()
        process.say(queue.push("ours"))
        assert work(queue, 2, str.upper) == ["theirs", "ours"]
        assert queue.wait(theirs, 10).value == "THEIRS"
        assert process.hear() == "OURS"
        assert process.join() == 0


def test_results_of_a_producer_that_died(queue: MemoryStorage) -> None:
    """What a killed producer pushed is run, and its results are there for whoever has the ids."""

    def producer(line: Line) -> None:
        line.say(",".join(map(str, queue.push_bulk(["a", "b", "x" * 400_000]))))
        line.hear()

    with child(producer) as process:
        ids = [TaskId.parse(text) for text in process.hear().split(",")]
        work(queue, 1)
        process.kill()
    queue.resume_abandoned()
    work(queue, 2)
    assert [result.value for result in queue.wait_for(ids, timeout=10)] == ["a", "b", "x" * 400_000]


def test_waiting_when_the_queue_is_closed(queue: MemoryStorage) -> None:
    """Closing or destroying the queue ends a wait with QueueClosed."""
    task_id = queue.push(1)
    other = MemoryStorage(queue.queue)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(other.wait, task_id, 30)
        until(waiting.running)
        other.close()
        with pytest.raises(QueueClosed):
            waiting.result(10)
        with MemoryStorage(queue.queue) as third:
            waiting = pool.submit(third.wait, task_id, 30)
            until(waiting.running)
            queue.destroy(force=True)
            with pytest.raises(QueueClosed):
                waiting.result(10)


# --- how long a result stays ---------------------------------------------------------------------


def test_a_fetched_result_gives_way(make_queue: MakeQueue) -> None:
    """Results that were fetched give their places to new tasks, the oldest first."""
    queue = make_queue(capacity=4)
    ids = queue.push_bulk(range(4))
    work(queue, 4)
    list(queue.wait_for(ids[:2], timeout=10))
    queue.push("new", block=False)
    assert queue.fetch_by_id(ids[0]) is None
    assert [queue.wait(task_id, 1).value for task_id in ids[1:]] == [1, 2, 3]
    with pytest.raises((TaskNotFound, ResultExpired)):
        queue.wait(ids[0], 1)


def test_looking_up_is_not_fetching(make_queue: MakeQueue) -> None:
    """Looking at a task, its status or a listing does not make its result give way."""
    queue = make_queue(capacity=1)
    task_id = queue.push(1)
    work(queue, 1, lambda _: "kept")
    assert fetched(queue, task_id).status == Status.DONE
    assert queue.check_status([task_id]) == {task_id: Status.DONE}
    assert total(queue, Status.DONE) == 1
    with MemoryStorage(queue.queue) as other, pytest.raises(Exception, match="capacity"):
        other.push(2, block=False)
    assert queue.wait(task_id, 10).value == "kept"


@pytest.mark.usefixtures("short_ticks")
def test_result_ttl(make_queue: MakeQueue) -> None:
    """A result that nobody fetched is kept for result_ttl, then it gives way."""
    queue = make_queue(capacity=1, result_ttl=0.05)
    task_id = queue.push(1)
    work(queue, 1)
    done_at = fetched(queue, task_id).done_at
    assert done_at is not None
    with MemoryStorage(queue.queue) as other:
        other.push(2, timeout=10)
    assert time.time() >= done_at + 0.049
    with pytest.raises((TaskNotFound, ResultExpired)):
        queue.wait(task_id, 1)


def test_a_finalizer_may_push_at_any_moment(queue: MemoryStorage) -> None:
    """Python calls it wherever it allocates, in the midst of a wait of the same thread, too."""
    with queue._inbox._mutex:
        task_id = queue.push(1)
        queue._inbox.wake()
    assert queue.check_status([task_id])


def test_what_was_fetched_can_be_forgotten(queue: MemoryStorage) -> None:
    """Before its room is needed; what nobody has fetched stays."""
    ids = queue.push_bulk(range(3))
    work(queue, 3)
    assert queue.wait(ids[1]).unwrap() is not None
    assert queue.forget_fetched() == 1
    assert queue.fetch_by_id(ids[1]) is None
    assert [result.task_id for result in queue.wait_for([ids[0], ids[2]])] == [ids[0], ids[2]]
