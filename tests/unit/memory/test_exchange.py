"""The steps of small tasks: by the lock word itself, and the general way."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ipcq import MemoryStorage, QueueClosed, Status
from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.exchange import Exchange, Ways
from ipcq.backends.memory.layout import NOBODY, OP
from ipcq.backends.memory.sections import Sections

from .acting import fetched, total, worker

compiled = pytest.mark.skipif(not COMPILED, reason="uncompiled, there is but the general way")


def general(queue: MemoryStorage) -> MemoryStorage:
    """The same, with every step going the general way."""
    connection = queue._connection
    sections = Sections(
        connection.core, connection.accept, connection.deliver, connection.finish, connection.collect
    )
    ways = Ways(connection.run, connection.turn, connection.lock, connection._retire_blobs, None, 0)
    connection.exchange = Exchange(sections, sections, ways)
    return queue


def through(queue: MemoryStorage, count: int) -> list[int]:
    """So many tasks from the push to the result, one at a time and many together."""
    ids = queue.push_bulk(range(count))
    with worker(queue, prefetch=5) as hands:
        done = len(hands.work(count // 2))
        while done < count:
            tasks = hands.stream.take_many(30)
            hands.lease.finish_many(tasks, [task.args for task in tasks])
            done += len(tasks)
    return [result.unwrap() for result in queue.wait_for(ids, 5)]


def test_both_ways_give_the_same(queue: MemoryStorage) -> None:
    """What a step answers does not depend on how it got the lock."""
    assert through(queue, 150) == list(range(150))
    assert through(general(queue), 150) == list(range(150))


def test_the_queue_is_put_in_order_first(queue: MemoryStorage) -> None:
    """A step that finds that somebody died in the middle of another goes the way that rebuilds."""
    words = queue._connection.words
    ids = queue.push_bulk(range(3))
    for step in range(3):
        words[OP] = 1
        with worker(queue) as hands:
            assert hands.take().args == step
            words[OP] = 1
            hands.lease.finish(fetched(queue, ids[step]), step)
        assert words[OP] == 0
        words[OP] = 1
        assert queue.wait(ids[step], 5).unwrap() == step


def test_damage_is_repaired(queue: MemoryStorage) -> None:
    """A link that leads nowhere ends the step; the queue is rebuilt and the step made once more."""
    queue.push_bulk(range(3))
    connection = queue._connection
    connection.words[connection.core.meta_at + 16] = 1 << 40  # M_NEXT of the first
    ids = queue.push_bulk([3, 4])
    with worker(queue) as hands:
        assert hands.work(5) == [0, 1, 2, 3, 4]
    assert [queue.wait(task_id, 5).unwrap() for task_id in ids] == [3, 4]


def test_a_closed_handle_says_so(queue: MemoryStorage) -> None:
    """Also to who kept its exchange, and though another handle of the process is open."""
    other = MemoryStorage(queue.queue)
    exchange = other._connection.exchange
    other.push(1)
    other.close()
    with pytest.raises(QueueClosed):
        exchange.inbox(0, 1)
    with pytest.raises(QueueClosed):
        other.push(2)
    assert total(queue, Status.PENDING) == 1


def test_a_destroyed_queue_says_so() -> None:
    """Every step, of whoever is still attached."""
    with MemoryStorage("other") as first, MemoryStorage("other") as second:
        with worker(first) as hands:
            second.push(1)
            task = hands.take()
            second.destroy(force=True)
            with pytest.raises(QueueClosed):
                hands.lease.finish(task, 1)
            with pytest.raises(QueueClosed):
                hands.take()
        with pytest.raises(QueueClosed):
            first.push(2)


def test_a_row_that_is_not_ours_takes_nothing(queue: MemoryStorage) -> None:
    """Tasks would go to whoever has the row now."""
    queue.push(1)
    with worker(queue) as hands:
        me = hands.lease.me
        assert queue._connection.exchange.take(me.index, me.generation + 1, 1, 1, 0)[0] == NOBODY
    assert total(queue, Status.PENDING) == 1


@contextmanager
def switching(seconds: float) -> Iterator[None]:
    """Let threads change as often as that."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_threads_of_one_handle(queue: MemoryStorage) -> None:
    """They push, work and wait at once, by the word and the general way; each gets what is its own."""
    wrong: list[object] = []

    def client(number: int) -> None:
        for n in range(40):
            values = [[number, n, k] for k in range(n % 7 + 1)]
            ids = queue.push_bulk(values)
            queue.check_status(ids)  # goes the general way
            got = {result.task_id: result.unwrap() for result in queue.wait_for(ids, 30)}
            if [got[task_id] for task_id in ids] != values:
                wrong.append((values, got))

    def work(number: int, stop: threading.Event) -> None:
        with worker(queue, f"w{number}", prefetch=3) as hands:
            while not stop.is_set():
                task = next(hands.stream)
                if task is not None:
                    hands.lease.finish(task, task.args)

    stop = threading.Event()
    workers = [threading.Thread(target=work, args=(n, stop)) for n in range(2)]
    clients = [threading.Thread(target=client, args=(n,)) for n in range(3)]
    with switching(1e-6):
        for thread in workers + clients:
            thread.start()
        for thread in clients:
            thread.join(60)
        stop.set()
        for thread in workers:
            thread.join(60)
    assert wrong == []
    assert total(queue, Status.DONE) == 3 * sum(n % 7 + 1 for n in range(40))


@compiled
def test_a_collection_in_the_middle(queue: MemoryStorage) -> None:
    """Finalizers that use the queue, wherever the garbage collector runs, change no answer."""

    class Pusher:
        def __init__(self) -> None:
            self.me = self  # only a collection frees it

        def __del__(self) -> None:
            if len(pushed) < 200:
                pushed.append(queue.push(-1, keep_result=False))

    pushed: list[object] = []
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for n in range(60):
            Pusher()
            ids = queue.push_bulk([n, n])
            with worker(queue, prefetch=4) as hands:
                while any(status != Status.DONE for status in queue.check_status(ids).values()):
                    task = hands.take()
                    hands.lease.finish(task, task.args)
            assert [result.unwrap() for result in queue.wait_for(ids, 5)] == [n, n]
    finally:
        gc.set_threshold(*before)
    assert pushed
