"""Many tasks taken and finished together."""

from __future__ import annotations

import pytest

from ipcq import CodecError, LeaseLost, MemoryStorage, Status

from .acting import SIZES, total, worker


def test_many_are_taken_at_once(queue: MemoryStorage) -> None:
    """All of them run, in their order; what is behind them stays for others."""
    queue.push_bulk(range(10))
    with worker(queue) as hands:
        tasks = hands.stream.take_many(4)
        assert [task.args for task in tasks] == [0, 1, 2, 3]
        assert total(queue, Status.RUNNING) == 4
        assert total(queue, Status.PENDING) == 6


def test_many_are_finished_at_once(queue: MemoryStorage) -> None:
    """Each with its own value, and more than one step of the backend takes."""
    ids = queue.push_bulk(range(200))
    with worker(queue) as hands:
        tasks = hands.stream.take_many(200)
        hands.lease.finish_many(tasks, [task.args * 2 for task in tasks])
    assert [queue.wait(task_id, 5).unwrap() for task_id in ids] == [2 * n for n in range(200)]


@pytest.mark.parametrize("size", SIZES)
def test_results_of_all_sizes(size: int, queue: MemoryStorage) -> None:
    """Whether they fit into the slot, the arena or a file, also beside a small one."""
    ids = queue.push_bulk([b"", b""])
    with worker(queue) as hands:
        tasks = hands.stream.take_many(2)
        hands.lease.finish_many(tasks, [bytes(size), b"small"])
    assert [bytes(queue.wait(task_id, 5).unwrap()) for task_id in ids] == [bytes(size), b"small"]


@pytest.mark.slow
def test_none_are_there(queue: MemoryStorage) -> None:
    """An empty list after about half a second; and one at the end of the stream."""
    with worker(queue) as hands:
        assert hands.stream.take_many(3) == []
        hands.lease.finish_many([], [])
        hands.stream.close()
        queue.push(1)
        assert hands.stream.take_many(3) == []


def test_those_held_come_first(queue: MemoryStorage) -> None:
    """What was handed out ahead of time is given before anything else is taken."""
    queue.push_bulk(range(6))
    with worker(queue, prefetch=3) as hands:
        seen = [hands.take()]
        while len(seen) < 6:
            seen += hands.stream.take_many(6)
        assert [task.args for task in seen] == list(range(6))


def test_one_of_them_was_lost(queue: MemoryStorage) -> None:
    """The others are DONE; the error names the one that was taken away."""
    ids = queue.push_bulk(range(3))
    with worker(queue) as hands:
        tasks = hands.stream.take_many(3)
        hands.lease.give_back(tasks[1])
        with pytest.raises(LeaseLost, match=str(ids[1])):
            hands.lease.finish_many(tasks, "abc")
    assert list(queue.check_status(ids).values()) == [Status.DONE, Status.PENDING, Status.DONE]


def test_bad_input(queue: MemoryStorage) -> None:
    """Nothing is finished where a value has no encoded form, or there are too few of them."""
    queue.push_bulk(range(2))
    with worker(queue) as hands:
        with pytest.raises(ValueError, match="most must be 1 or more"):
            hands.stream.take_many(0)
        tasks = hands.stream.take_many(2)
        with pytest.raises(ValueError, match="2 tasks cannot be finished with 1 values"):
            hands.lease.finish_many(tasks, [1])
        with pytest.raises(CodecError):
            hands.lease.finish_many(tasks, [1, object()])
        assert total(queue, Status.RUNNING) == 2


def test_results_that_are_not_kept(queue: MemoryStorage) -> None:
    """Their places are free at once."""
    queue.push_bulk(range(100), keep_result=False)
    with worker(queue) as hands:
        tasks = hands.stream.take_many(100)
        hands.lease.finish_many(tasks, [None] * 100)
    assert queue.list_tasks().total == 0
