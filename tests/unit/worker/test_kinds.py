"""What goes together: handlers, layers and providers, plain ones and coroutine functions."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ipcq import Router, Task
from ipcq.layer import CallNext
from ipcq.layers import Retry
from ipcq.sink import TAG
from ipcq.worker import Worker, WorkerContext

from .awaited import double
from .fakes import FakeBackend, outcomes


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

    assert outcomes(backend) == [("finish", 0, ["known"]), ("finish", 1, [3])]


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
    assert outcomes(backend) == [("finish", 3, [0, 1, 2])]


def test_a_router_of_coroutine_functions() -> None:
    """Each tag has its own; they run together."""
    backend = FakeBackend()
    for args in (1, 2):
        backend.tasks.put(Task.of(args, metadata={TAG: "double"}))
    Worker("w", backend, Router({"double": double}), concurrency=2).run(until_empty=True)

    assert sorted(outcomes(backend)) == [("finish", 1, 2), ("finish", 2, 4)]


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
