"""Handlers that are coroutine functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ipcq import Abort, Attempt, Task, TaskId
from ipcq.errors import QueueClosed
from ipcq.worker import Worker

from .awaited import double
from .fakes import FakeBackend, FakeLease, outcomes


def test_so_many_run_at_once() -> None:
    """As many as were asked for, held ahead as many at least; each value is stored."""
    running, most = [0], [0]

    async def handler(number: int) -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.001)
        running[0] -= 1
        return 2 * number

    backend = FakeBackend(range(12))
    worker = Worker("w", backend, handler, concurrency=4)
    worker.run(until_empty=True)

    assert most == [4]
    assert sorted(outcomes(backend)) == [("finish", n, 2 * n) for n in range(12)]
    assert [backend.log[n] for n in (0, 1, -2, -1)] == [("enter", "w", []), ("poll", 4), "close", "leave"]
    assert worker.tasks == 12


def test_taking_does_not_hold_up_what_runs() -> None:
    """While the backend is waited for, coroutines go on."""

    async def handler(_: int) -> None:
        for _step in range(5):
            await asyncio.sleep(0.001)
        worker.stop()

    backend = FakeBackend([1], patience=60)
    worker = Worker("w", backend, handler, concurrency=2)
    worker.run()

    assert outcomes(backend) == [("finish", 1, None)]


def test_a_worker_can_run_again() -> None:
    """In a new loop; one at a time where nothing else was asked for."""
    backend = FakeBackend([1])
    worker = Worker("w", backend, double)
    worker.run(until_empty=True)
    backend.tasks.put(Task.of(2))
    worker.run(until_empty=True)

    assert outcomes(backend) == [("finish", 1, 2), ("finish", 2, 4)]


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("error", "stored"),
    [
        (ValueError("bad"), ("fail", "ValueError", "bad")),
        (Abort("never"), ("kill", "ipcq.errors.Abort", "never")),
        (SystemExit(3), ("fail", "SystemExit", "3")),
        (KeyboardInterrupt(), ("fail", "KeyboardInterrupt", "")),
        (asyncio.CancelledError(), ("fail", "asyncio.exceptions.CancelledError", "")),
        (GeneratorExit(), ("fail", "GeneratorExit", "")),
    ],
)
def test_whatever_a_handler_raises_is_stored(error: BaseException, stored: Any) -> None:
    """The others go on, and so does the worker."""

    async def handler(number: int) -> int:
        await asyncio.sleep(0)
        return number or _raise(error)

    backend = FakeBackend([0, 1])
    Worker("w", backend, handler, concurrency=2).run(until_empty=True)

    assert sorted(outcomes(backend)) == sorted([stored, ("finish", 1, 1)])


def test_arguments_that_cannot_be_decoded_are_no_run() -> None:
    """As with a plain function, the task is KILLED and the handler not called."""

    def decode(data: Any) -> Any:
        raise ValueError("not to be decoded")

    called: list[Any] = []

    async def handler(args: Any) -> None:
        called.append(args)

    backend = FakeBackend()
    backend.tasks.put(Task(TaskId.new(), payload=b"?", _decode=decode))
    Worker("w", backend, handler).run(until_empty=True)

    assert outcomes(backend) == [("kill", "ValueError", "not to be decoded")]
    assert called == []


# --- what handlers get ----------------------------------------------------------------------------


class Session:
    """Lives in one loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()


def test_what_is_provided_lives_in_the_loop() -> None:
    """Asynchronous context managers are entered and left there, others closed, the last one first."""
    events: list[str] = []

    @asynccontextmanager
    async def session() -> AsyncIterator[Session]:
        await asyncio.sleep(0)
        yield Session()
        await asyncio.sleep(0)
        events.append("session left")

    class Client:
        async def aclose(self) -> None:
            await asyncio.sleep(0)
            events.append("client closed")

    async def make_client() -> Client:
        return Client()

    async def handler(number: int, session: Session, client: Client, attempt: Attempt) -> Any:
        assert isinstance(client, Client)
        return session.loop is asyncio.get_running_loop(), attempt

    handler.__annotations__.update(session=Session, client=Client, attempt=Attempt, number=int)
    del handler.__annotations__["return"]
    backend = FakeBackend([1])
    Worker("w", backend, handler, provide={Session: session, Client: make_client}).run(until_empty=True)

    assert outcomes(backend) == [("finish", 1, (True, 1))]
    assert events == ["client closed", "session left"]


def test_a_plain_handler_cannot_have_what_is_asynchronous() -> None:
    """That is said before a task is taken."""

    class Only:
        async def __aenter__(self) -> None: ...
        async def __aexit__(self, *_: object) -> None: ...

    def handler(number: int, only: Any) -> None: ...

    handler.__annotations__["only"] = Only
    backend = FakeBackend([1])
    with pytest.raises(TypeError, match="asynchronous context manager, which only a handler"):
        Worker("w", backend, handler, provide={Only: Only}).run(until_empty=True)
    assert outcomes(backend) == []


# --- trouble --------------------------------------------------------------------------------------


def test_a_lost_lease_ends_that_run_alone() -> None:
    """What the run gave is nobody's; the others are stored."""

    class Losing(FakeLease):
        def finish(self, task: Task[Any], value: Any) -> None:
            self.lost = task.args == 1
            super().finish(task, value)

    backend = FakeBackend([1, 2])
    backend.lease = Losing(log=backend.log)
    Worker("w", backend, double, concurrency=2).run(until_empty=True)

    assert outcomes(backend) == [("finish", 2, 4)]


def test_a_queue_that_is_gone_ends_the_run() -> None:
    """The others are cancelled: what they give cannot be stored either."""
    cancelled: list[int] = []

    async def handler(number: int) -> int:
        if number == 2:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(number)
        return number

    backend = FakeBackend([2, 1])
    backend.lease.refuses = QueueClosed("destroyed")
    with pytest.raises(QueueClosed):
        Worker("w", backend, handler, concurrency=2).run()
    assert cancelled == [2]
    assert backend.log[-2:] == ["close", "leave"] or backend.log[-1] == "leave"


def test_what_a_handler_started_cannot_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine beside it that exits ends nothing; whoever awaits it sees that."""

    async def leave() -> None:
        raise SystemExit(3)

    async def handler(number: int) -> int:
        if number == 1:
            await asyncio.get_running_loop().create_task(leave())
        return number

    backend = FakeBackend([1, 2])
    Worker("w", backend, handler, concurrency=2).run(until_empty=True)

    assert sorted(outcomes(backend)) == [("fail", "SystemExit", "3"), ("finish", 2, 2)]
    assert "SystemExit(3); the worker goes on" in caplog.text


def test_what_handlers_left_in_the_loop_is_ended() -> None:
    """A coroutine that was started and not awaited is cancelled with the worker."""
    ended: list[bool] = []

    async def stay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    kept: list[Any] = []

    async def handler(_: int) -> None:
        kept.append(asyncio.get_running_loop().create_task(stay()))
        await asyncio.sleep(0)

    backend = FakeBackend([1])
    Worker("w", backend, handler).run(until_empty=True)
    assert ended == [True]
