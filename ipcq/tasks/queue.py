"""A queue of named functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

from ..layer import CallNext
from ..task import Task
from ..worker import Router
from ..worker.handler import check_handler
from ..worker.injection import Injector
from .arguments import spread
from .function import TaskFunction
from .parts import Parts, check_parts
from .place import Place, TaskBackend

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["TaskQueue"]

P = ParamSpec("P")
R = TypeVar("R")


class _Registering(Protocol):
    """What ``@queue.task(...)`` leads to."""

    def __call__(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...


class TaskQueue:
    """Several functions in one queue, each under its name; also the handler that runs them.

    ::

        thumbs = TaskQueue("memory://thumbs")

        @thumbs.task
        def make(path: str, width: int = 128) -> str: ...

        make.push("a.png", width=64).wait()
        Monitor(thumbs.backend, thumbs).run()  # in this or in another program

    A task with a name that the worker does not know is KILLED with that reason.

    Args:
        source: a URL as for `connect`, connected when it is first needed; or a backend, which stays whose
            it is.

    Raises:
        NotSupported: that backend takes no tasks of several types.
    """

    def __init__(self, source: str | TaskBackend) -> None:
        self._place = Place(source)
        self._tasks: dict[str, TaskFunction[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<TaskQueue {self._place}: {', '.join(sorted(self._tasks)) or 'no tasks yet'}>"

    def __reduce__(self) -> tuple[Callable[..., TaskQueue], tuple[Any, ...]]:
        return _again, (self._place.source, tuple(self._tasks.values()))

    @property
    def backend(self) -> TaskBackend:
        """Where its tasks live; connected now if it is not yet."""
        return self._place.backend

    @property
    def tasks(self) -> frozenset[str]:
        """The names that it knows."""
        return frozenset(self._tasks)

    @overload
    def task(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...
    @overload
    def task(
        self, function: None = None, /, *, name: str | None = None, **parts: Unpack[Parts]
    ) -> _Registering: ...

    def task(self, function: Any = None, /, *, name: str | None = None, **parts: Any) -> Any:
        """Register a function; ``@queue.task``, or ``@queue.task(max_attempts=3)``.

        Parameters with a default whose annotation names what workers provide (`TaskId`, `Attempt`, `Task`,
        `WorkerContext`, ``provide=``; also ``| None``) are filled where it runs, unless the push gives them.

        Args:
            function: the function, of a module where worker processes find it.
            name: under which it is known; None for the function's own.
            parts: what each push says about its task, as for `TaskSink.push`.

        Raises:
            ValueError: there is a function of this name.
            TypeError: it is no plain function, or that is no part of a task.
        """
        given = check_parts(cast("Parts", parts))

        def register(function: Callable[P, R], /) -> TaskFunction[P, R]:
            return self._register(function, name, given)

        return register if function is None else register(function)

    def prepared(self, injector: Injector) -> CallNext:
        """What runs a task of any of its functions; for workers."""
        return self._router().prepared(injector)

    def awaits(self) -> bool:
        """Whether its functions are coroutine functions; for workers."""
        return self._router().awaits()

    def __call__(self, task: Task[Any]) -> Any:
        """Run a task, of a function that wants no more than its arguments.

        Raises:
            Abort: the task has no name, or one that is not known here.
        """
        return self._router()(task)

    def close(self) -> None:
        """Close what was connected by URL; the next use connects anew."""
        self._place.close()

    def __enter__(self) -> TaskQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _register(self, function: Callable[P, R], name: str | None, parts: Parts) -> TaskFunction[P, R]:
        if not callable(function):
            raise TypeError(f"{function!r} is no function; write @queue.task, or @queue.task(name=...)")
        check_handler(function)
        tag = name or getattr(function, "__name__", "")
        if not tag:
            raise ValueError(f"{function!r} has no name; pass name=")
        if tag in self._tasks:
            other = self._tasks[tag]
            raise ValueError(
                f"{self!r} has a task {tag!r} already, {other.__module__}.{other.__qualname__};"
                " give this one another name: @queue.task(name=...)"
            )
        made = TaskFunction(self._place, tag, function, parts)
        self._tasks[tag] = made
        return made

    def _router(self) -> Router:
        if not self._tasks:
            raise ValueError(f"{self!r}: nothing to run; import the modules that register functions by @task")
        return Router({name: spread(name, task.function) for name, task in self._tasks.items()})


def _again(source: str | TaskBackend, tasks: Iterable[TaskFunction[..., Any]]) -> TaskQueue:
    """The same queue in another process."""
    made = TaskQueue(source)
    made._tasks.update((task.name, task) for task in tasks)
    return made
