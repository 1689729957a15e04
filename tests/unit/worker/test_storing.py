"""The ends of coroutines are stored beside their loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest

from ipcq import Task
from ipcq.errors import QueueFull
from ipcq.worker import Worker

from .fakes import FakeBackend, FakeLease, outcomes, send

PATIENCE = 10.0  # seconds


class Slow(FakeLease):
    """Stores a value as soon as it may: the disk is slow."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__(log=log)
        self.stores = threading.Event()
        self.may_store = threading.Event()

    def finish(self, task: Task[Any], value: Any) -> None:
        self.stores.set()
        assert self.may_store.wait(PATIENCE), "what is to come meanwhile did not"
        super().finish(task, value)


async def _until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def _slow(*items: int) -> tuple[FakeBackend, Slow]:
    backend = FakeBackend(items)
    lease = Slow(backend.log)
    backend.lease = lease
    return backend, lease


def test_a_slow_store_does_not_hold_up_what_runs() -> None:
    """While the end of one is stored, another goes on."""
    backend, lease = _slow(1, 2)

    async def handler(number: int) -> int:
        if number == 2:
            await _until(lease.stores.is_set)
            lease.may_store.set()
        return number

    Worker("w", backend, handler, concurrency=2).run(until_empty=True)
    assert outcomes(backend) == [("finish", 1, 1), ("finish", 2, 2)]


def test_what_is_not_stored_yet_has_its_place() -> None:
    """Not more than asked for are taken and not ended, whatever the store does: a death costs no more."""
    backend, lease = _slow(*range(5))
    began: list[int] = []

    async def handler(number: int) -> int:
        began.append(number)
        return number

    worker = Worker("w", backend, handler, concurrency=2)
    thread = threading.Thread(target=worker.run, kwargs={"until_empty": True})
    thread.start()
    assert lease.stores.wait(PATIENCE)
    while len(began) < 2:
        assert thread.is_alive()
    assert (worker.tasks, began) == (0, [0, 1])
    assert backend.tasks.qsize() == 3
    lease.may_store.set()
    thread.join(PATIENCE)
    assert (worker.tasks, began) == (5, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("signals", [1, 2])
def test_a_worker_that_is_to_end_stores_what_has_ended(signals: int) -> None:
    """By force, too: only what runs is given back."""
    backend, lease = _slow(1, 2)

    async def handler(number: int) -> int:
        if number == 2:
            await _until(lease.stores.is_set)
            for _ in range(signals):
                send()
            asyncio.get_running_loop().call_later(0.02, lease.may_store.set)
            await _until(lambda: ("finish", 1, 1) in backend.log)
        return number

    Worker("w", backend, handler, concurrency=2).run()
    ends = [("finish", 1, 1), ("finish", 2, 2) if signals == 1 else ("give back", 2)]
    assert outcomes(backend) == ends
    assert backend.log[-1] == "leave"


def test_events_are_told_after_the_end_was_stored() -> None:
    """Of each run in its order, from whatever thread."""
    backend, lease = _slow(1, 2)
    heard: list[Any] = []

    async def handler(number: int) -> int:
        if number == 2:
            await _until(lease.stores.is_set)
            assert [name for name, _ in heard] == ["TaskStart", "TaskStart"]
            lease.may_store.set()
        return number

    def listener(event: Any) -> None:
        name = type(event).__name__
        if name in ("TaskStart", "Success"):
            heard.append((name, ("finish", event.task.args, event.task.args) in backend.log))

    Worker("w", backend, handler, concurrency=2, on_event=listener).run(until_empty=True)
    assert heard == [("TaskStart", False)] * 2 + [("Success", True)] * 2


def test_a_store_that_fails_for_good_ends_the_worker() -> None:
    """Its error comes out of `run`; what runs goes back, as far as that can be said."""
    backend = FakeBackend([1, 2])

    class Full(FakeLease):
        def finish(self, task: Task[Any], value: Any) -> None:
            raise QueueFull("no room, for a minute")

        def fail(self, task: Task[Any], *_: Any, **__: Any) -> Any:
            raise QueueFull("no room, for a minute")

    backend.lease = Full(log=backend.log)

    async def handler(number: int) -> int:
        if number == 2:
            await asyncio.Event().wait()
        return number

    with pytest.raises(QueueFull, match="for a minute"):
        Worker("w", backend, handler, concurrency=2).run()
    assert outcomes(backend) == [("give back", 2)]


def test_what_ran_is_let_go_of_when_it_is_stored() -> None:
    """Neither thread keeps a task, a value or an error until the next one comes."""

    class Value:
        pass

    kept: list[Any] = []

    class Forgetting(FakeLease):
        def finish(self, task: Task[Any], value: Any) -> None:
            kept.append(ref(value))

    backend = FakeBackend([1], patience=60)
    backend.lease = Forgetting(log=backend.log)

    async def handler(_: int) -> Value:
        return Value()

    worker = Worker("w", backend, handler, concurrency=2)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until = threading.Event()
    for _ in range(1000):
        if kept and kept[0]() is None:
            break
        until.wait(0.01)
    assert kept[0]() is None
    worker.stop()
    thread.join(PATIENCE)


def test_what_is_told_of_an_end_and_fails_ends_the_worker() -> None:
    """As in a worker of plain functions: what a subclass raises after a run is raised by `run`."""

    class Reporting(Worker):
        def progressed(self) -> None:
            if self.tasks:
                raise ConnectionError("nobody listens")

    async def handler(number: int) -> int:
        return number

    backend = FakeBackend([1, 2, 3])
    with pytest.raises(ConnectionError, match="nobody listens"):
        Reporting("w", backend, handler, concurrency=3).run(until_empty=True)
