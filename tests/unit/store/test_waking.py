"""Who waits on a store is woken at once; the store of these tests sleeps until then, however long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from ipcq import CustomBackend, QueueClosed
from ipcq.aio import AsyncQueue
from ipcq.backends.custom import CustomStore
from ipcq.backends.store import Bell
from ipcq.backends.store.view import View

from .stores import DictStore

WAIT = 30.0  # seconds; only a test that fails waits so long
R = TypeVar("R")


class Sleepy(DictStore):
    """Tells of no change: only the bell ends a wait."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeping = threading.Event()

    def wait(self, after: int, timeout: float, bell: Bell) -> None:
        self.sleeping.set()
        bell.wait(WAIT)


@pytest.fixture
def store() -> Sleepy:
    """One for the two queues below."""
    return Sleepy()


@pytest.fixture
def queue(store: Sleepy) -> Iterator[CustomStore]:
    """Whose waits are tested."""
    with CustomBackend(store=store) as opened:
        yield opened


def asleep(store: Sleepy, call: Callable[[], R]) -> Future[R]:
    """Have another thread call, until it sleeps in the store."""
    pool = ThreadPoolExecutor()
    future = pool.submit(call)
    pool.shutdown(wait=False)
    assert store.sleeping.wait(WAIT)
    return future


def test_a_wait_for_results_is_woken(store: Sleepy, queue: CustomStore) -> None:
    """It returns without a result, and another one waits anew."""
    results = queue.wait_for([queue.push(1)])
    for _ in range(2):
        store.sleeping.clear()
        waiting = asleep(store, lambda: results.ready(WAIT))
        results.wake()
        assert waiting.result(WAIT / 2) == []


def test_a_worker_that_waits_is_woken(store: Sleepy, queue: CustomStore) -> None:
    """Its next look finds nothing."""
    with queue.register_worker("w") as lease:
        stream = queue.poll(lease)
        waiting = asleep(store, lambda: next(stream))
        stream.wake()
        assert waiting.result(WAIT / 2) is None
        stream.close()


def test_closing_wakes(store: Sleepy, queue: CustomStore) -> None:
    """Whoever waits on a handle that is closed is told at once."""
    results = queue.wait_for([queue.push(1)])
    waiting = asleep(store, lambda: results.ready(WAIT))
    queue.close()
    with pytest.raises(QueueClosed):
        waiting.result(WAIT / 2)


def test_who_is_woken_before_he_sleeps_does_not_sleep(store: Sleepy) -> None:
    """Between a look and the sleep no call is lost: it is looked once more when the bell hangs."""
    View(store).sleep(0, WAIT, 0, lambda: True)
    assert not store.sleeping.is_set()


def test_coroutines_are_heard_while_others_wait(store: Sleepy, queue: CustomStore) -> None:
    """A wait for what has ended gets its result while the thread of all sleeps for another one."""
    with CustomBackend(store=store) as theirs, theirs.register_worker("w") as lease:
        done, open_one = queue.push_bulk(["done", "open"])
        stream = theirs.poll(lease)
        task = next(stream)
        assert task is not None
        lease.finish(task, task.args)
        stream.close()

        async def main() -> Any:
            async with AsyncQueue(queue) as waiting:
                other = asyncio.ensure_future(waiting.wait(open_one))
                await asyncio.to_thread(store.sleeping.wait, WAIT)
                result = await asyncio.wait_for(waiting.wait(done), WAIT / 2)
                other.cancel()
                return result.value

        assert asyncio.run(main()) == "done"
