"""How runs of coroutines are broken off: by signals, a stop, a pause, and by time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ipcq import Task
from ipcq.layer import Overrun
from ipcq.layers import CircuitBreaker, RateLimit, Tracing
from ipcq.worker import Worker, WorkerState
from ipcq.worker.events import Event
from ipcq.worker.run import GRACE

from .awaited import all_there, double
from .fakes import FakeBackend, FakeStream, outcomes, send


def test_the_first_signal_lets_all_finish_and_gives_the_rest_back_before() -> None:
    """What is held ahead is free for others while coroutines come to their end."""
    backend = FakeBackend([1, 2, 3], patience=60)
    closed: list[bool] = []

    async def handler(number: int) -> int:
        await arrive()
        if number == 1:
            send()
        while "close" not in backend.log:
            await asyncio.sleep(0.001)
        closed.append(True)
        return number

    arrive: Any = None

    async def first(number: int) -> int:
        nonlocal arrive
        arrive = arrive or all_there(2)
        return await handler(number)

    Worker("w", backend, first, concurrency=2).run()

    assert sorted(outcomes(backend)) == [("finish", 1, 1), ("finish", 2, 2)]
    assert closed == [True, True]


def _run_with_two_signals(handler: Callable[[int], Awaitable[Any]]) -> FakeBackend:
    """Two signals when two of them run."""
    backend = FakeBackend([1, 2], patience=60)
    arrive: Any = None

    async def run(number: int) -> Any:
        nonlocal arrive
        arrive = arrive or all_there(2)
        await arrive()
        if number == 1:
            send()
            send()
        return await handler(number)

    Worker("w", backend, run, concurrency=2).run()
    return backend


def test_the_second_signal_gives_all_back() -> None:
    """They are cancelled, their finally blocks run, and nothing is charged."""
    cleaned: list[int] = []

    async def handler(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(number)

    backend = _run_with_two_signals(handler)
    assert sorted(outcomes(backend)) == [("give back", 1), ("give back", 2)]
    assert sorted(cleaned) == [1, 2]


def test_a_coroutine_that_turns_a_cancellation_into_an_error_goes_back() -> None:
    """Libraries do so; it is not the handler that failed."""

    async def handler(number: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("closed") from None

    assert sorted(outcomes(_run_with_two_signals(handler))) == [("give back", 1), ("give back", 2)]


def test_a_coroutine_that_swallows_a_cancellation_has_a_value() -> None:
    """Then that is stored, as with a plain handler."""

    async def handler(number: int) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "swallowed"

    assert sorted(outcomes(_run_with_two_signals(handler))) == [
        ("finish", 1, "swallowed"), ("finish", 2, "swallowed")
    ]  # fmt: skip


def test_a_coroutine_that_goes_on_loses_its_task(caplog: pytest.LogCaptureFixture) -> None:
    """After the grace it is given back; the worker does not wait for it."""

    async def handler(number: int) -> None:
        until = time.monotonic() + 5 * GRACE
        while time.monotonic() < until:
            try:
                await asyncio.sleep(until - time.monotonic())
            except asyncio.CancelledError:
                if time.monotonic() > until - GRACE:
                    raise

    begun = time.monotonic()
    backend = _run_with_two_signals(handler)
    assert sorted(outcomes(backend)) == [("give back", 1), ("give back", 2)]
    assert time.monotonic() - begun < 4 * GRACE
    assert "goes on all the same" in caplog.text


def test_a_task_taken_while_the_stop_came_goes_back() -> None:
    """Between the hand-out and the handler a stop wins."""
    backend = FakeBackend([1])

    class Stopping(FakeStream):
        def __next__(self) -> Task[Any] | None:
            task = super().__next__()
            worker.stop()
            return task

    backend.stream = Stopping
    worker = Worker("w", backend, double, concurrency=3)
    worker.run()

    assert outcomes(backend) == [("give back", 1)]


def test_a_stop_from_another_thread_ends_a_waiting_worker_at_once() -> None:
    """Nobody waits for the patience of the stream to end, or for a free place."""
    for items, concurrency in (([], 2), ([1], 1)):
        backend = FakeBackend(items, patience=60)
        began = threading.Event()

        async def handler(_: int, began: threading.Event = began) -> None:
            began.set()

        worker = Worker("w", backend, handler, concurrency=concurrency)
        thread = threading.Thread(target=worker.run)
        thread.start()
        if items:
            assert began.wait(10)
        worker.stop()
        thread.join(10)
        assert not thread.is_alive()
        assert backend.log[-1] == "leave"


def test_a_pause_takes_none_and_lets_all_finish() -> None:
    """What is held ahead goes back at once; afterwards there is more."""
    backend = FakeBackend([1], patience=60)

    async def handler(number: int) -> int:
        if number == 1:
            worker.pause()
            while "close" not in backend.log:
                await asyncio.sleep(0.001)
            backend.tasks.put(Task.of(2))
            assert worker.state is WorkerState.PAUSED
            worker.resume()
        else:
            worker.stop()
        return number

    worker = Worker("w", backend, handler, concurrency=2)
    worker.run()

    assert outcomes(backend) == [("finish", 1, 1), ("finish", 2, 2)]
    assert backend.log.count("close") == 2


def test_a_signal_ends_a_pause() -> None:
    """A paused worker that is told to end does so at once."""
    backend = FakeBackend([1])

    async def handler(_: int) -> None:
        worker.pause()
        asyncio.get_running_loop().call_later(0.02, send)

    worker = Worker("w", backend, handler)
    worker.run()
    assert worker.state is WorkerState.STOPPED


def test_listeners_are_told_what_happens() -> None:
    """The same events as of a plain handler, each end when it is stored."""
    backend, heard = FakeBackend([1]), list[str]()

    async def handler(number: int) -> int:
        worker.pause()
        while "Pause" not in heard:
            await asyncio.sleep(0.001)
        return await double(number)

    def listener(event: Event) -> None:
        heard.append(type(event).__name__)
        if heard[-1] == "Success":
            worker.resume()

    worker = Worker("w", backend, handler, concurrency=2, on_event=listener)
    worker.run(until_empty=True)

    assert [name for name in heard if name != "HeartBeat"] == [
        "Start", "TaskStart", "Pause", "Success", "Resume", "Idle", "Stop"
    ]  # fmt: skip


# --- time -----------------------------------------------------------------------------------------


def test_a_run_that_takes_too_long_is_cancelled() -> None:
    """The error is TaskTimeout, and the others go on."""

    async def handler(number: int) -> int:
        await asyncio.sleep(0.05 if number else 60)
        return number

    backend = FakeBackend()
    backend.tasks.put(Task.of(0, timeout=0.02))
    backend.tasks.put(Task.of(1, timeout=60))
    Worker("w", backend, handler, concurrency=2).run(until_empty=True)

    failed, finished = outcomes(backend)
    assert failed[:2] == ("fail", "ipcq.errors.TaskTimeout")
    assert "longer than its 0.02 s" in failed[2]
    assert finished == ("finish", 1, 1)


def test_an_overrun_ends_one_and_gives_the_others_back() -> None:
    """Where a limit ends the process: the run that is to blame has failed, the others are not charged."""
    backend = FakeBackend(patience=60)
    guilty, other = Task.of(1), Task.of(2)
    backend.tasks.put(guilty)
    backend.tasks.put(other)
    arrive: Any = None

    async def handler(number: int) -> None:
        nonlocal arrive
        arrive = arrive or all_there(2)
        await arrive()
        if number == 1:
            worker.stop()
            worker._overrun(guilty.id, Overrun(MemoryError("too much")))
        await asyncio.Event().wait()

    worker = Worker("w", backend, handler, concurrency=2)
    worker.run()

    assert sorted(outcomes(backend)) == [("fail", "MemoryError", "too much"), ("give back", 2)]


@pytest.mark.parametrize("layer", [RateLimit(1000), CircuitBreaker(), Tracing()])
def test_layers_of_ours_await(layer: Any) -> None:
    """A rate, a breaker: they see the end of a coroutine, and others go on meanwhile."""
    backend = FakeBackend([1, 2, 3])
    Worker("w", backend, double, layers=[layer], concurrency=3).run(until_empty=True)
    assert sorted(outcomes(backend)) == [("finish", n, 2 * n) for n in (1, 2, 3)]


def test_a_breaker_sees_what_coroutines_raise() -> None:
    """It opens after so many."""

    async def handler(number: int) -> None:
        await asyncio.sleep(0)
        raise ConnectionError(str(number))

    backend, breaker = FakeBackend([1, 2]), CircuitBreaker(2)
    Worker("w", backend, handler, layers=[breaker]).run(until_empty=True)
    assert "open" in repr(breaker)


def test_a_run_that_takes_too_long_and_does_not_obey_has_failed() -> None:
    """After the grace its task is told so, another one has its place, and what it gives later is nobody's."""
    late = asyncio.Event()

    async def handler(number: int) -> str:
        if number == 1:
            late.set()
            await asyncio.sleep(0)
            return "in time"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await late.wait()
        return "too late"

    backend = FakeBackend()
    backend.tasks.put(Task.of(0, timeout=0.02))
    backend.tasks.put(Task.of(1))
    Worker("w", backend, handler).run(until_empty=True)

    failed, finished = outcomes(backend)
    assert failed[:2] == ("fail", "ipcq.errors.TaskTimeout")
    assert finished == ("finish", 1, "in time")


def test_a_thread_that_is_stuck_does_not_keep_the_worker() -> None:
    """A cancelled coroutine leaves its thread behind, for which nobody waits."""
    go = threading.Event()

    async def handler(_: int) -> None:
        await asyncio.to_thread(go.wait)

    backend = FakeBackend()
    backend.tasks.put(Task.of(0, timeout=0.02))
    try:
        Worker("w", backend, handler).run(until_empty=True)
        assert outcomes(backend)[0][1] == "ipcq.errors.TaskTimeout"
        assert backend.log[-1] == "leave"
    finally:
        go.set()
        for thread in threading.enumerate():
            if thread.name.startswith(("ipcq-to-thread", "ipcq-ending")):
                thread.join(10)
