"""A queue in a store: what goes in comes out, in order, once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ipcq import CustomBackend, QueueClosed, ResultExpired, Status, StorageError, Worker, Write
from ipcq.backends.store.view import Patience

from .stores import DictStore


class Refusing(DictStore):
    """Takes no task, for no reason."""

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        return None if writes[0].key.startswith("t/") else super().compare_and_set(writes)


class Counting(DictStore):
    """Counts its writes."""

    writes = 0

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        self.writes += 1
        return super().compare_and_set(writes)


def test_tasks_are_pushed_run_and_waited_for() -> None:
    """Tasks of a higher priority come first, and each result is handed out once."""
    with CustomBackend(store=DictStore()) as queue:
        late = queue.push_bulk([1, 2])
        early = queue.push(3, priority=1)
        Worker("w", queue, lambda number: number * 10, prefetch=2).run(until_empty=True)
        results = [(result.task_id, result.unwrap()) for result in queue.wait_for([*late, early], 10)]
        assert results == [(early, 30), (late[0], 10), (late[1], 20)]
        assert "3 done" in repr(queue)
    with pytest.raises(QueueClosed):
        queue.push(1)


def test_threads_share_one_handle() -> None:
    """Threads that push and wait on one object get their own results, all of them."""
    with CustomBackend(store=DictStore()) as queue, ThreadPoolExecutor() as pool:
        worker = Worker("w", queue, lambda args: args)
        working = pool.submit(worker.run)

        def round_trips(name: int) -> list[Any]:
            return [queue.wait(queue.push([name, n]), 20).value for n in range(20)]

        for name, trips in enumerate([pool.submit(round_trips, name) for name in range(3)]):
            assert trips.result(30) == [[name, n] for n in range(20)]
        worker.stop()
        working.result(10)


def test_a_push_does_not_try_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses a new task, though there is none of that key, is not asked without an end."""
    monkeypatch.setattr(Patience, "MOST", 5)
    with CustomBackend(store=Refusing()) as queue:
        with pytest.raises(StorageError, match="compare_and_set refusing everything"):
            queue.push(1, timeout=0)
        with pytest.raises(StorageError, match="compare_and_set refusing everything"):
            queue.push_bulk([1, 2])


@pytest.mark.slow
def test_only_as_many_results_give_way_as_need_be() -> None:
    """A full queue gives up the result that was fetched first, for the task that needs its place."""
    with CustomBackend(store=DictStore(), capacity=4) as queue:
        ids = queue.push_bulk(range(4))
        Worker("w", queue, lambda args: args).run(until_empty=True)
        list(queue.wait_for(ids[:2], 10))
        queue.push("new", block=False)
        assert queue.fetch_by_id(ids[0]) is None
        assert [queue.wait(task_id, 1).value for task_id in ids[1:]] == [1, 2, 3]


def test_what_came_before_a_removed_result_is_returned_first() -> None:
    """Of results that are looked for together, the error of a removed one comes with the next call."""
    with CustomBackend(store=DictStore()) as queue, queue.register_worker("w") as lease:
        ids = queue.push_bulk(range(2))
        results, stream = queue.wait_for(ids, 10), queue.poll(lease, prefetch=2)
        first, second = next(stream), next(stream)
        assert first is not None
        assert second is not None
        lease.finish(second, 1)
        assert queue.vacuum() == 1
        lease.finish(first, 0)
        assert [result.value for result in results.ready(1)] == [0]
        with pytest.raises(ResultExpired):
            results.ready(1)
        stream.close()


def test_closing_ends_a_wait() -> None:
    """Whoever waits on a handle that is closed is told so."""
    queue = CustomBackend(store=DictStore())
    results = queue.wait_for([queue.push(1)], 30)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(next, results)
        queue.close()
        with pytest.raises(QueueClosed):
            waiting.result(10)


@pytest.mark.parametrize(
    "wrong", [{"priority": 1.5}, {"max_deaths": "2"}, {"max_attempts": 0}, {"priority": 9}]
)
def test_parts_out_of_bounds(wrong: dict[str, Any]) -> None:
    """A part that is no number, or out of its bounds, is refused before anything is stored."""
    with CustomBackend(store=DictStore()) as queue:
        with pytest.raises((TypeError, ValueError)):
            queue.push(1, **wrong)
        assert queue.list_tasks().total == 0


def test_the_next_task_is_started_by_the_write_that_ends_the_one_before() -> None:
    """Of tasks that are held ahead one write ends one and starts another; what is not begun goes back."""
    store = Counting()
    with CustomBackend(store=store) as queue, queue.register_worker("w") as lease:
        ids = queue.push_bulk(range(3))
        stream = queue.poll(lease, prefetch=3)
        first = next(stream)
        assert first is not None
        store.writes = 0
        lease.finish(first, None)
        second = next(stream)
        assert second is not None
        assert (second.args, second.status, store.writes) == (1, Status.RUNNING, 1)
        lease.finish(second, None)
        stream.close()
        assert queue.check_status(ids) == dict(
            zip(ids, [Status.DONE, Status.DONE, Status.PENDING], strict=True)
        )


def test_a_held_task_that_was_cancelled_is_not_started() -> None:
    """The task before it ends all the same, and the one behind it is next."""
    with CustomBackend(store=DictStore()) as queue, queue.register_worker("w") as lease:
        ids = queue.push_bulk(range(3))
        stream = queue.poll(lease, prefetch=3)
        first = next(stream)
        assert first is not None
        assert queue.cancel(ids[1])
        lease.finish(first, "done")
        third = next(stream)
        assert third is not None
        assert (third.args, queue.wait(ids[0], 1).value) == (2, "done")
        stream.close()
