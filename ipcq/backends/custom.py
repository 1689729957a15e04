"""`CustomBackend`: a queue in whatever a user brings, a store or plain functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, overload

from ..codec import Codec
from ..polling import PollStrategy
from .functions import Ack, Fetch, FetchingBackend, FunctionBackend, GiveBack, Push, PushingBackend
from .store.contract import TaskStore
from .store.storage import StoreBackend

__all__ = ["CustomBackend", "CustomQueue", "CustomSink", "CustomSource", "CustomStore"]


class CustomBackend:
    """A queue in something of your own: a store has every capability, functions have what they can do.

    From a `TaskStore` (get, put, compare-and-set and scan) every capability follows. With ``fetch`` alone it
    hands tasks out, with ``push`` alone it takes them in; what it cannot do raises `NotSupported`.

    Of functions: a task that fails is run again by the same process, as often as its ``max_attempts`` says;
    its end is told once. That of a process that was killed is told by nobody: whoever ``fetch`` asks has to
    hand such a task out again (what queues call a visibility timeout), or it is lost.

    Args:
        store: a `TaskStore`; several queues, and several processes, may share it. To be used by a `Monitor`
            it must be picklable, and mean the same records in the other process; so must functions.
        queue: the queue's name. In a store it is made when it does not exist.
        capacity: of a store: tasks it holds (default 65,536), finished ones included until they give way.
        result_ttl: of a store: seconds that a result nobody fetched is kept (default 1 hour).
        dead_after: of a store: seconds of silence after which a worker on another machine is dead (default
            10).
        codec: of a store: a codec or its name (default ``msgpack``); the queue remembers it.
        create: of a store: False raises `QueueNotFound` instead of making it.
        fetch: returns the arguments of the next task, or a `Task` with parts of its own, or None when there
            is nothing now; or an iterator of these, which is taken from until its end. It does not wait,
            and may be called by several threads. Instead of a function an iterable, which the workers of one
            process share.
        push: called with each `Task` that is pushed.
        ack: called with each task that is DONE or KILLED, and its `TaskResult`, before it counts: where it
            raises, the worker ends and the task is run again.
        give_back: called with each task that was fetched and is neither done nor killed when its worker, or
            at `close` its process, has done with it. Without it another worker of this process gets it.
        poll: when to look again where ``fetch`` found nothing. Default: when something is pushed in this
            process, and else less and less often, once a second at least.

    Raises:
        ValueError: the name or a setting is out of bounds.
        TypeError: neither a store nor a function was given, or both; or a coroutine function.
        ConfigMismatch: the queue exists with another value of a setting.
        QueueNotFound, StorageError.
    """

    @overload
    def __new__(
        cls,
        *,
        store: TaskStore,
        queue: str = "default",
        capacity: int | None = None,
        result_ttl: float | None = None,
        dead_after: float | None = None,
        codec: str | Codec | None = None,
        create: bool = True,
    ) -> CustomStore: ...
    @overload
    def __new__(
        cls,
        *,
        fetch: Fetch | Iterable[Any],
        push: Push,
        ack: Ack | None = None,
        give_back: GiveBack | None = None,
        poll: PollStrategy | None = None,
        queue: str = "default",
    ) -> CustomQueue: ...
    @overload
    def __new__(
        cls,
        *,
        fetch: Fetch | Iterable[Any],
        ack: Ack | None = None,
        give_back: GiveBack | None = None,
        poll: PollStrategy | None = None,
        queue: str = "default",
    ) -> CustomSource: ...
    @overload
    def __new__(cls, *, push: Push, queue: str = "default") -> CustomSink: ...
    def __new__(cls, **given: Any) -> CustomBackend:
        """Make the kind of backend that the arguments are for."""
        return super().__new__(_kind(given) if cls is CustomBackend else cls)


class CustomStore(CustomBackend, StoreBackend):
    """In a store: every capability."""


class CustomSource(CustomBackend, FetchingBackend):
    """Of functions: hands tasks out."""


class CustomSink(CustomBackend, PushingBackend):
    """Of functions: takes tasks in."""


class CustomQueue(CustomBackend, FunctionBackend):
    """Of functions: takes tasks in and hands them out."""


def _kind(given: dict[str, Any]) -> type[CustomBackend]:
    store, fetch, push = (given.get(name) is not None for name in ("store", "fetch", "push"))
    if store == (fetch or push):
        raise TypeError("CustomBackend takes either store=, or fetch= and push=, or one of these two")
    if store:
        return CustomStore
    return CustomQueue if fetch and push else CustomSource if fetch else CustomSink
