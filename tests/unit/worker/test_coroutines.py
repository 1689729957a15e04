"""Handlers that are coroutine functions."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ipcq import Abort, Attempt, Router, Task, TaskId
from ipcq.errors import QueueClosed
from ipcq.layer import CallNext, Overrun
from ipcq.layers import CircuitBreaker, RateLimit, Retry, Tracing
from ipcq.sink import TAG
from ipcq.worker import Worker, WorkerContext, WorkerState
from ipcq.worker.events import Event
from ipcq.worker.run import GRACE

from .fakes import FakeBackend, FakeLease, FakeStream


async def double(number: int) -> int:
    """Another coroutine has its turn before there is a value."""
    await asyncio.sleep(0)
    return 2 * number


def _outcomes(backend: FakeBackend) -> list[Any]:
    return [entry for entry in backend.log if entry[0] in ("finish", "fail", "kill", "give back")]


def _send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)


def _all_there(count: int) -> Callable[[], Awaitable[None]]:
    """What each of ``count`` coroutines awaits until all of them do."""
    there: list[None] = []
    event = asyncio.Event()

    async def arrive() -> None:
        there.append(None)
        if len(there) == count:
            event.set()
        await event.wait()

    return arrive


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
    assert sorted(_outcomes(backend)) == [("finish", n, 2 * n) for n in range(12)]
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

    assert _outcomes(backend) == [("finish", 1, None)]


def test_a_worker_can_run_again() -> None:
    """In a new loop; one at a time where nothing else was asked for."""
    backend = FakeBackend([1])
    worker = Worker("w", backend, double)
    worker.run(until_empty=True)
    backend.tasks.put(Task.of(2))
    worker.run(until_empty=True)

    assert _outcomes(backend) == [("finish", 1, 2), ("finish", 2, 4)]


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

    assert sorted(_outcomes(backend)) == sorted([stored, ("finish", 1, 1)])


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

    assert _outcomes(backend) == [("kill", "ValueError", "not to be decoded")]
    assert called == []


# --- what goes together ---------------------------------------------------------------------------


async def async_layer(task: Task[Any], context: WorkerContext, call_next: CallNext) -> Any:
    """Awaits what is inside."""
    return await call_next(task, context) + 1


def plain_layer(task: Task[Any], context: WorkerContext, call_next: CallNext) -> Any:
    """Returns what it got, which is to be awaited."""
    return call_next(task, context)


def short_layer(task: Task[Any], context: WorkerContext, call_next: CallNext) -> Any:
    """Does not go on for some."""
    return "known" if task.args == 0 else call_next(task, context)


def test_layers_of_both_kinds_work() -> None:
    """Plain ones return what is to be awaited, or a value of their own; the others await it."""

    async def outermost(task: Task[Any], context: WorkerContext, call_next: CallNext) -> Any:
        return [await call_next(task, context)]

    backend = FakeBackend([0, 1])
    layers = [outermost, plain_layer, short_layer, async_layer, plain_layer]
    Worker("w", backend, double, layers=layers).run(until_empty=True)

    assert _outcomes(backend) == [("finish", 0, ["known"]), ("finish", 1, [3])]


def test_retry_sees_what_a_coroutine_raises() -> None:
    """The next run is put off, or there is none."""

    async def handler(number: int) -> None:
        await asyncio.sleep(0)
        raise (ValueError if number else KeyError)("no")

    backend = FakeBackend([0, 1])
    seen: list[Any] = []

    def fail(task: Task[Any], error: Any, *, retry_in: float = 0.0, final: bool = False) -> None:
        seen.append((task.args, error.type, retry_in, final))

    backend.lease.fail = fail  # type: ignore[assignment, method-assign]
    Worker("w", backend, handler, layers=[Retry(8, jitter=0, on=ValueError)]).run(until_empty=True)

    assert seen == [(0, "KeyError", 0.0, True), (1, "ValueError", 8.0, False)]


def test_what_does_not_go_together_is_found_when_the_worker_is_built() -> None:
    """A coroutine function around a plain one; a Router of both; the message says what to do."""
    with pytest.raises(
        TypeError, match=r"async_layer .* is a coroutine function, the handler .*len.* is not"
    ):
        Worker("w", FakeBackend(), len, layers=[async_layer])
    with pytest.raises(TypeError, match="not both; plain: b"):
        Worker("w", FakeBackend(), Router({"a": double, "b": len}))
    with pytest.raises(ValueError, match="concurrency must be 1 or more, not 0"):
        Worker("w", FakeBackend(), double, concurrency=0)


def numbers(count: int) -> Iterator[int]:
    """A generator function."""
    yield from range(count)


async def later_numbers(count: int) -> AsyncIterator[int]:
    """An asynchronous one."""
    yield count


def yielding(task: Any, context: Any, call_next: Any) -> Iterator[Any]:
    """A layer that is one."""
    yield call_next(task, context)


def test_a_generator_function_is_found_when_the_worker_is_built() -> None:
    """Nobody would run its body; but a layer around it may."""
    for handler in (numbers, later_numbers):
        with pytest.raises(TypeError, match=r"handler .*numbers.* is a generator function.* return a list"):
            Worker("w", FakeBackend(), handler)
    with pytest.raises(TypeError, match=r"layer .*yielding.* is a generator function"):
        Worker("w", FakeBackend(), len, layers=[yielding])

    backend = FakeBackend([3])
    listed: Any = lambda task, context, call_next: list(call_next(task, context))  # noqa: E731 - a layer
    Worker("w", backend, numbers, layers=[listed]).run(until_empty=True)
    assert _outcomes(backend) == [("finish", 3, [0, 1, 2])]


def test_a_router_of_coroutine_functions() -> None:
    """Each tag has its own; they run together."""
    backend = FakeBackend()
    for args in (1, 2):
        backend.tasks.put(Task.of(args, metadata={TAG: "double"}))
    Worker("w", backend, Router({"double": double}), concurrency=2).run(until_empty=True)

    assert sorted(_outcomes(backend)) == [("finish", 1, 2), ("finish", 2, 4)]


def test_a_worker_in_a_loop_is_told_to_use_a_thread() -> None:
    """It cannot have one of its own there."""

    async def main() -> None:
        Worker("w", FakeBackend([1]), double).run()

    with pytest.raises(RuntimeError, match=r"await asyncio\.to_thread\(worker\.run\)"):
        asyncio.run(main())


def test_plain_handlers_do_not_import_asyncio() -> None:
    """Who has no coroutines does not pay for them."""
    code = "import ipcq, sys; ipcq.Worker; print('ipcq.worker.coroutines' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


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

    assert _outcomes(backend) == [("finish", 1, (True, 1))]
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
    assert _outcomes(backend) == []


# --- ends -----------------------------------------------------------------------------------------


def test_the_first_signal_lets_all_finish_and_gives_the_rest_back_before() -> None:
    """What is held ahead is free for others while coroutines come to their end."""
    backend = FakeBackend([1, 2, 3], patience=60)
    closed: list[bool] = []

    async def handler(number: int) -> int:
        await arrive()
        if number == 1:
            _send()
        while "close" not in backend.log:
            await asyncio.sleep(0.001)
        closed.append(True)
        return number

    arrive: Any = None

    async def first(number: int) -> int:
        nonlocal arrive
        arrive = arrive or _all_there(2)
        return await handler(number)

    Worker("w", backend, first, concurrency=2).run()

    assert sorted(_outcomes(backend)) == [("finish", 1, 1), ("finish", 2, 2)]
    assert closed == [True, True]


def _run_with_two_signals(handler: Callable[[int], Awaitable[Any]]) -> FakeBackend:
    """Two signals when two of them run."""
    backend = FakeBackend([1, 2], patience=60)
    arrive: Any = None

    async def run(number: int) -> Any:
        nonlocal arrive
        arrive = arrive or _all_there(2)
        await arrive()
        if number == 1:
            _send()
            _send()
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
    assert sorted(_outcomes(backend)) == [("give back", 1), ("give back", 2)]
    assert sorted(cleaned) == [1, 2]


def test_a_coroutine_that_turns_a_cancellation_into_an_error_goes_back() -> None:
    """Libraries do so; it is not the handler that failed."""

    async def handler(number: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("closed") from None

    assert sorted(_outcomes(_run_with_two_signals(handler))) == [("give back", 1), ("give back", 2)]


def test_a_coroutine_that_swallows_a_cancellation_has_a_value() -> None:
    """Then that is stored, as with a plain handler."""

    async def handler(number: int) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "swallowed"

    assert sorted(_outcomes(_run_with_two_signals(handler))) == [
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
    assert sorted(_outcomes(backend)) == [("give back", 1), ("give back", 2)]
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

    assert _outcomes(backend) == [("give back", 1)]


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

    assert _outcomes(backend) == [("finish", 1, 1), ("finish", 2, 2)]
    assert backend.log.count("close") == 2


def test_a_signal_ends_a_pause() -> None:
    """A paused worker that is told to end does so at once."""
    backend = FakeBackend([1])

    async def handler(_: int) -> None:
        worker.pause()
        asyncio.get_running_loop().call_later(0.02, _send)

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

    failed, finished = _outcomes(backend)
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
        arrive = arrive or _all_there(2)
        await arrive()
        if number == 1:
            worker.stop()
            worker._overrun(guilty.id, Overrun(MemoryError("too much")))
        await asyncio.Event().wait()

    worker = Worker("w", backend, handler, concurrency=2)
    worker.run()

    assert sorted(_outcomes(backend)) == [("fail", "MemoryError", "too much"), ("give back", 2)]


@pytest.mark.parametrize("layer", [RateLimit(1000), CircuitBreaker(), Tracing()])
def test_layers_of_ours_await(layer: Any) -> None:
    """A rate, a breaker: they see the end of a coroutine, and others go on meanwhile."""
    backend = FakeBackend([1, 2, 3])
    Worker("w", backend, double, layers=[layer], concurrency=3).run(until_empty=True)
    assert sorted(_outcomes(backend)) == [("finish", n, 2 * n) for n in (1, 2, 3)]


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

    failed, finished = _outcomes(backend)
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
        assert _outcomes(backend)[0][1] == "ipcq.errors.TaskTimeout"
        assert backend.log[-1] == "leave"
    finally:
        go.set()
        for thread in threading.enumerate():
            if thread.name.startswith(("ipcq-to-thread", "ipcq-ending")):
                thread.join(10)


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

    assert _outcomes(backend) == [("finish", 2, 4)]


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

    assert sorted(_outcomes(backend)) == [("fail", "SystemExit", "3"), ("finish", 2, 2)]
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
