"""No more runs at once than a limit."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ipcq import CustomBackend, MemoryStorage, NotSupported, Status, Task, Worker
from ipcq.backend import Permit, Turn
from ipcq.layer import ForcedStop
from ipcq.layers import ConcurrencyLimit
from ipcq.testing import FakeClock

RUNNING, ENDING = SimpleNamespace(stopping=False), SimpleNamespace(stopping=True)
TASK = Task.of(1)


class Counting:
    """How many are in here, and how many there were at once."""

    def __init__(self) -> None:
        self.now = self.most = self.runs = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.now += 1
            self.runs += 1
            self.most = max(self.most, self.now)

    def leave(self) -> None:
        with self._lock:
            self.now -= 1

    def run(self, *_: Any) -> None:
        self.enter()
        time.sleep(0.002)  # so that there would be more at once
        self.leave()

    async def run_in_loop(self, *_: Any) -> None:
        self.enter()
        await asyncio.sleep(0.002)
        self.leave()


@pytest.fixture(params=["process", "queue"])
def layer(request: pytest.FixtureRequest) -> ConcurrencyLimit:
    """Two at once, in this process or per queue."""
    if request.param == "process":
        return ConcurrencyLimit(2)
    return ConcurrencyLimit(2, per=request.getfixturevalue("queue"))


def test_threads(layer: ConcurrencyLimit) -> None:
    """Eight of them run two at a time, and all of them."""
    counting = Counting()
    threads = [
        threading.Thread(target=lambda: [layer(TASK, RUNNING, counting.run) for _ in range(5)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counting.most, counting.now, counting.runs) == (2, 0, 40)


def test_coroutines(layer: ConcurrencyLimit) -> None:
    """Twenty of them run two at a time, and the loop goes on."""
    counting = Counting()

    async def all_of_them() -> None:
        await asyncio.gather(*(layer.awaiting(TASK, RUNNING, counting.run_in_loop) for _ in range(20)))

    asyncio.run(all_of_them())
    assert (counting.most, counting.now, counting.runs) == (2, 0, 20)


@pytest.mark.slow
def test_nobody_waits_while_others_come_and_go(layer: ConcurrencyLimit) -> None:
    """Two who run one task after the other let a third one in, after a second."""
    over, came = threading.Event(), threading.Event()

    def hog() -> None:
        while not over.is_set():
            layer(TASK, RUNNING, lambda *_: time.sleep(0.3))

    hogs = [threading.Thread(target=hog) for _ in range(2)]
    waiting = threading.Thread(target=lambda: layer(TASK, RUNNING, lambda *_: came.set()))
    for thread in hogs:
        thread.start()
    time.sleep(0.1)  # they have both permits
    waiting.start()
    try:
        assert came.wait(10)
    finally:
        over.set()
        for thread in (*hogs, waiting):
            thread.join()


def _failing(*_: Any) -> None:
    raise KeyError("gone")


def test_a_run_that_fails_frees_its_permit(layer: ConcurrencyLimit) -> None:
    """And its error is the run's."""
    for _ in range(3):
        with pytest.raises(KeyError, match="gone"):
            layer(TASK, RUNNING, _failing)


def test_a_worker_that_is_to_end_gives_the_task_back(queue: MemoryStorage) -> None:
    """It does not wait for its turn, and the task is charged nothing."""
    permit = queue.take_permit("default", 1)
    assert permit is not None
    clock = FakeClock(100)
    task_id = queue.push(1)
    layer = ConcurrencyLimit(1, per=queue, clock=clock, sleep=clock.sleep)
    worker = Worker("worker", queue, print, layers=[layer])
    clock.on_advance(lambda _: worker.stop() if clock() > 101 else None)
    worker.run()
    task = queue.fetch_by_id(task_id)
    assert task is not None
    assert (task.status, task.attempts, task.deaths) == (Status.PENDING, 0, 0)
    permit.release()


def test_how_it_waits(queue: MemoryStorage) -> None:
    """It looks soon, and then less and less often, twenty times a second at least."""
    clock, pauses = FakeClock(0), list[float]()
    permit = queue.take_permit("default", 1)
    assert permit is not None

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)
        if clock() > 1:
            permit.release()

    layer = ConcurrencyLimit(1, per=queue, clock=clock, sleep=sleep)
    assert layer(TASK, RUNNING, lambda *_: "ran") == "ran"
    assert pauses[:3] == pytest.approx([0.001, 0.002, 0.004])
    assert max(pauses) == pytest.approx(0.05)


class Slow:
    """A backend that takes its time."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()
        self.released = threading.Event()

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        self.asked.set()
        self.answer.wait()
        return Turn(True, 0.0)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> Permit | None:
        self.asked.set()
        self.answer.wait()
        permit: Any = SimpleNamespace(release=self.released.set)
        return permit  # type: ignore[no-any-return]


@pytest.mark.parametrize("comes", [True, False])
def test_a_coroutine_that_is_cancelled_leaves_no_permit(comes: bool) -> None:
    """Neither one that came in this moment, nor one that comes later; the loop waited for nothing."""
    slow = Slow()
    layer = ConcurrencyLimit(1, per=slow)

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(layer.awaiting(TASK, RUNNING, Counting().run_in_loop))
        while not slow.asked.is_set():
            await asyncio.sleep(0)
        if comes:
            slow.answer.set()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        slow.answer.set()

    asyncio.run(cancelled())
    assert slow.released.wait(10)


def test_a_coroutine_whose_worker_is_to_end(queue: MemoryStorage) -> None:
    """It does not wait."""
    with queue.take_permit("default", 1) or pytest.fail("none"):
        layer = ConcurrencyLimit(1, per=queue)
        with pytest.raises(ForcedStop):
            asyncio.run(layer.awaiting(TASK, ENDING, Counting().run_in_loop))


def test_copies(queue: MemoryStorage) -> None:
    """A Monitor hands layers to its workers: with ``per`` they have one limit, without each its own."""
    own = ConcurrencyLimit(1)
    copy = pickle.loads(pickle.dumps(own))
    assert own(TASK, RUNNING, lambda *_: copy(TASK, RUNNING, lambda *_: "inside")) == "inside"
    assert repr(copy) == repr(own) == "<ConcurrencyLimit 1 at once, per process>"
    shared = ConcurrencyLimit(1, per=queue, name="one")
    copy = pickle.loads(pickle.dumps(shared))
    assert repr(queue) in repr(copy)

    def inside(*_: Any) -> None:
        with pytest.raises(ForcedStop):
            copy(TASK, ENDING, lambda *_: None)

    shared(TASK, RUNNING, inside)
    copy._per.close()


def test_one_queue_has_a_limit_of_each_name(queue: MemoryStorage) -> None:
    """They know nothing of each other."""
    layers = [ConcurrencyLimit(1, per=queue, name=name) for name in ("a", "b")]
    call: Callable[..., Any] = lambda *_: layers[1](TASK, RUNNING, lambda *_: "both")  # noqa: E731
    assert layers[0](TASK, RUNNING, call) == "both"


@pytest.mark.parametrize(("limit", "name"), [(0, "a"), (100_001, "a"), (1, ""), (1, "a/b")])
def test_numbers_and_names_out_of_bounds(limit: int, name: str) -> None:
    """They are refused when the layer is made."""
    with pytest.raises(ValueError, match="limit"):
        ConcurrencyLimit(limit, name=name)


def test_a_backend_without_limits() -> None:
    """It is refused when the layer is made, not by each run."""
    with pytest.raises(NotSupported, match="ShareLimits"):
        ConcurrencyLimit(1, per=CustomBackend(fetch=lambda: None))  # type: ignore[arg-type]
