"""Several queues over one connection: one base directory, one file, one store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar, get_origin

from ..errors import NotSupported, QueueExists
from ..task import Queue, Task

__all__ = ["Shareable", "SharedConnection"]

Self = TypeVar("Self", bound="Shareable")


class Shareable(Protocol):
    """A backend whose place can hold more queues than its own."""

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        ...

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        ...

    def beside(self: Self, queue: str) -> Self:
        """Another queue in the same place with the same settings; made where there is none."""
        ...

    def close(self) -> None:
        """Detach; give back what this process has."""
        ...


B = TypeVar("B", bound=Shareable)


class SharedConnection(Generic[B]):
    """Makes queues in the place of one that is open, with the same settings, each for one type of arguments.

    Args:
        backend: a `MemoryStorage`, `JsonStorage` or `CustomBackend` of a store; it stays whose it is.

    Raises:
        NotSupported: its place cannot hold several queues.
    """

    def __init__(self, backend: B) -> None:
        if not hasattr(backend, "beside"):
            raise NotSupported("SharedConnection", backend)
        self._backend = backend
        self._made: dict[str, B] = {}
        self._mutex = threading.Lock()

    def __repr__(self) -> str:
        there = ", ".join(sorted(name for name, made in self._made.items() if not made.closed))
        return f"<SharedConnection of {self._backend!r} [{there or 'no queues yet'}]>"

    def make(self, queue: str, args_type: type[Any] | None = None) -> B:
        """Open a queue, which is made where there is none.

        Args:
            queue: its name.
            args_type: what the queue takes; pushing anything else here is a `TypeError`. None for anything.

        Raises:
            QueueExists: this connection has that queue open already.
            ValueError: the name is no name of a queue.
            IpcqError: as the backend's class.
        """
        name = Queue(queue)
        with self._mutex:
            found = self._made.get(name, self._backend if name == self._backend.queue else None)
            if found is not None and not found.closed:
                raise QueueExists(
                    f"this connection has queue {queue!r} open already; use that object, or close it first"
                )
            made = self._made[name] = self._backend.beside(name)
        if args_type is not None:
            _restrict(made, args_type)
        return made

    def close(self) -> None:
        """Close the queues that were made; the backend itself stays open."""
        with self._mutex:
            for made in self._made.values():
                made.close()

    def __enter__(self) -> SharedConnection[B]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _restrict(backend: Any, args_type: type[Any]) -> None:
    """Have one object refuse other arguments, at no cost to those that take any.

    All ways to push lead through these three, those of streams and of single tasks, too.
    """
    base = get_origin(args_type) or args_type
    wanted = base.__qualname__

    def checked(args: Any) -> Any:
        if not isinstance(args, base):
            got = type(args).__qualname__
            raise TypeError(f"queue {str(backend.queue)!r} takes {wanted}, not {got}: {args!r:.60}")
        return args

    def checked_task(task: Task[Any]) -> Task[Any]:
        checked(task.args)
        return task

    def one(push: Callable[..., Any]) -> Callable[..., Any]:
        return lambda args, **options: push(checked(args), **options)

    def many(push: Callable[..., Any], check: Callable[[Any], Any]) -> Callable[..., Any]:
        def push_many(iterable: Iterable[Any], **options: Any) -> Any:
            return push([check(each) for each in iterable], **options)

        return push_many

    restricted = {
        "push": one(backend.push),
        "push_bulk": many(backend.push_bulk, checked),
        "push_all": many(backend.push_all, checked_task),
    }
    for name, push in restricted.items():
        setattr(backend, name, push)
