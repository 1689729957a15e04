"""What `CustomBackend`, `SharedConnection` and poll strategies are to a type checker. Never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ipcq import (
    Backend,
    Backoff,
    CustomBackend,
    Expose,
    Interval,
    MemoryStorage,
    Notify,
    PollStrategy,
    Race,
    RegisterWorker,
    Router,
    SharedConnection,
    Signal,
    TaskSink,
    TaskStore,
    Waiter,
    WeakTaskSink,
    Worker,
)
from ipcq.backends.custom import CustomQueue, CustomSink, CustomSource, CustomStore

if TYPE_CHECKING:
    from typing_extensions import assert_type


def what_is_given_decides_what_it_can(store: TaskStore) -> None:
    whole = CustomBackend(store=store)
    source = CustomBackend(fetch=lambda: None)
    sink = CustomBackend(push=lambda task: None)
    queue = CustomBackend(fetch=[1], push=lambda task: None, ack=lambda task, result: None, poll=Interval(1))
    assert_type(whole, CustomStore)
    assert_type(source, CustomSource)
    assert_type(sink, CustomSink)
    assert_type(queue, CustomQueue)
    _expose: Expose = whole
    _backend: Backend = source
    _register: RegisterWorker = queue
    _sink: TaskSink = sink
    _weak: WeakTaskSink = queue


def a_function_with_a_store_is_an_error(store: TaskStore) -> None:
    CustomBackend(store=store, fetch=lambda: None)  # type: ignore[call-overload]
    CustomBackend(fetch=lambda: None).push(1)  # type: ignore[attr-defined]


def shared_queues_are_of_the_same_class(storage: MemoryStorage) -> None:
    assert_type(SharedConnection(storage).make("words", str), MemoryStorage)


def strategies_are_interchangeable() -> list[PollStrategy]:
    return [Interval(1), Backoff(), Notify(), Waiter(bool), Signal(_signs), Race(Interval(1))]


async def _signs() -> AsyncIterator[int]:
    yield 1


def a_router_is_a_handler(storage: MemoryStorage) -> Worker:
    return Worker("w", storage, Router({int: abs, "word": "module:function"}))
