"""Where tasks go in: the contract of everything that accepts tasks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, Protocol, runtime_checkable

from .task import Task, TaskId

__all__ = ["TAG", "TaskSink", "WeakSink", "WeakTaskSink", "tag_of"]

TAG = "ipcq.type"
"""Where the type's tag is in a task's `metadata`."""


def tag_of(type_: str | type[Any]) -> str:
    """The tag of a class: its name with its module; a tag is its own."""
    return type_ if isinstance(type_, str) else f"{type_.__module__}.{type_.__qualname__}"


@runtime_checkable
class TaskSink(Protocol):
    """Accepts tasks. A call that returned has stored its tasks: they will be run.

    ``parts`` are attributes of `Task`: ``id, priority, run_at, max_attempts, max_deaths,
    metadata, keep_result``, and ``run_timeout`` for `Task.timeout` (here ``timeout`` is how long
    the call itself may wait).

    A call that raises has stored those of its tasks that came before the one at fault, and no other:
    `TaskSinkError.accepted` lists them (of a stream, those of its last batch).

    All of them raise `QueueFull` when there is no room within ``timeout`` seconds (None: as long
    as it takes; ``block=False``: at once), `CodecError` for what cannot be encoded,
    `DuplicateTask` for an id that is in the queue, and `QueueClosed` when the queue is gone.
    """

    def push(self, args: Any, *, timeout: float | None = None, block: bool = True, **parts: Any) -> TaskId:
        """Store one task and return its id."""
        ...

    def push_bulk(
        self, iterable: Iterable[Any], *, timeout: float | None = None, block: bool = True, **parts: Any
    ) -> list[TaskId]:
        """Encode all first (if one fails, none is pushed), then store them in order.

        A queue that is full half-way keeps those before: see `TaskSinkError.accepted`.
        """
        ...

    def push_stream(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        batch: int = 64,
        timeout: float | None = None,
        block: bool = True,
        **parts: Any,
    ) -> Any:
        """Store what ``source`` yields, ``batch`` tasks at a time, in bounded memory.

        Returns:
            How many were stored; for an async iterable an awaitable of that number.
        """
        ...

    def push_task(self, task: Task[Any], *, timeout: float | None = None, block: bool = True) -> TaskId:
        """Store one task with its own parts; only a PENDING task without attempts is accepted."""
        ...

    def push_all(
        self, tasks: Iterable[Task[Any]], *, timeout: float | None = None, block: bool = True
    ) -> list[TaskId]:
        """Store many tasks with their own parts, in order; all are encoded first."""
        ...


class WeakSink(Protocol):
    """Accepts objects of any types into one queue; what `WeakTaskSink.weak` returns."""

    def push(
        self,
        obj: Any,
        type: str | type[Any] | None = None,  # noqa: A002 - the name that the specification gives it
        *,
        timeout: float | None = None,
        block: bool = True,
        **parts: Any,
    ) -> TaskId:
        """Store one task; the tag of its type travels with it, and a `Router` finds the handler by that.

        Args:
            obj: the arguments; of a dataclass its fields, from which a `Router` that knows the class makes
                another one.
            type: a tag, or a class whose tag is its name with its module; None for the class of ``obj``.
        """
        ...


@runtime_checkable
class WeakTaskSink(Protocol):
    """Can take tasks of different types of arguments into one queue."""

    def weak(self) -> WeakSink:
        """A sink for any type."""
        ...
