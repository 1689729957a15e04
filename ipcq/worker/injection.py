"""What a handler wants to know beside its arguments: found by the annotations of its parameters."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from types import GeneratorType, UnionType
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints, runtime_checkable

from ..layer import CallNext
from ..task import Attempt, Task, TaskId
from .context import WorkerContext
from .handler import Handler
from .kinds import is_coroutine_function, is_generator_function

__all__ = ["Injector", "Prepares", "Provide"]

Provide = Mapping[type[Any], Callable[[], Any]]
"""From a class to what makes the object that handlers get where they name that class."""

_Source = Callable[[Task[Any], WorkerContext], Any]

_KNOWN: dict[Any, _Source] = {
    TaskId: lambda task, _: task.id,
    Attempt: lambda task, _: Attempt(task.attempts + task.deaths + 1),
    Task: lambda task, _: task,
    WorkerContext: lambda task, context: context.of(task),
}


@runtime_checkable
class Prepares(Protocol):
    """A handler that looks at the whole task itself, to find out what to call with which arguments."""

    def prepared(self, injector: Injector) -> CallNext:
        """What runs a task; raises for what cannot be called."""
        ...


class Injector:
    """Calls handlers with what they want.

    Args:
        provide: what there is beside `TaskId`, `Attempt`, `Task` and `WorkerContext`.
    """

    def __init__(self, provide: Provide) -> None:
        self._provide = dict(provide)
        self._wanted: dict[type[Any], None] = {}
        self._made: dict[type[Any], Any] = {}

    def __repr__(self) -> str:
        return f"<Injector of {', '.join(each.__name__ for each in self._provide) or 'nothing'}>"

    def prepare(self, handler: Handler) -> Callable[[Any, Task[Any], WorkerContext], Any] | None:
        """What calls it with arguments, task and context; None where it takes its arguments only.

        Raises:
            TypeError: nothing provides one of its parameters, or it takes no arguments.
        """
        wanted = {name: self._source(kind, handler) for name, kind in self._parameters(handler)}
        if not wanted:
            return None

        def call(args: Any, task: Task[Any], context: WorkerContext) -> Any:
            return handler(args, **{name: source(task, context) for name, source in wanted.items()})

        return call

    def _parameters(self, handler: Handler) -> Iterator[tuple[str, Any]]:
        try:
            parameters = list(inspect.signature(handler).parameters.values())
        except ValueError:  # of C: it is called as it is
            return
        if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"{_name(handler)} takes no argument, and so cannot be a handler")
        others = parameters[1:]
        kinds = _annotations(handler, others)
        for parameter in others:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            kind = _bare(kinds.get(parameter.name))
            if self._is_known(kind) and parameter.kind is not parameter.POSITIONAL_ONLY:
                yield parameter.name, kind
            elif parameter.default is parameter.empty:
                raise TypeError(
                    f"{_name(handler)}: nothing provides its parameter {parameter.name!r} ({_kind(kind)});"
                    " give it a default, a class that provide= has, or TaskId, Attempt, Task, WorkerContext"
                )

    def _is_known(self, kind: Any) -> bool:
        return (get_origin(kind) or kind) in _KNOWN or kind in self._provide

    def _source(self, kind: Any, handler: Handler) -> _Source:
        known = _KNOWN.get(get_origin(kind) or kind)
        if known is not None:
            return known
        _check_maker(self._provide[kind], kind, handler)
        self._wanted[kind] = None
        return lambda _task, _context: self._made[kind]

    @contextmanager
    def providing(self) -> Iterator[None]:
        """While entered, there is what handlers want; it is closed in the end, the last one first."""
        with ExitStack() as stack:
            try:
                for kind in self._wanted:
                    self._made[kind] = _opened(self._provide[kind](), stack)
                yield
            finally:
                self._made.clear()

    @asynccontextmanager
    async def providing_in_loop(self) -> AsyncIterator[None]:
        """The same where the handler is a coroutine function: what is asynchronous is awaited."""
        async with AsyncExitStack() as stack:
            try:
                for kind in self._wanted:
                    made = self._provide[kind]()
                    self._made[kind] = await _opened_in_loop(
                        await made if hasattr(type(made), "__await__") else made, stack
                    )
                yield
            finally:
                self._made.clear()


def _check_maker(make: Callable[[], Any], kind: type[Any], handler: Handler) -> None:
    """Raise for what would give the handler something else than it names."""
    told = f"what provides {_kind(kind)}, {make!r},"
    if is_generator_function(make) and isinstance(kind, type) and not issubclass(GeneratorType, kind):
        raise TypeError(f"{told} is a generator function; put @contextmanager of contextlib before it")
    if is_coroutine_function(make) and not is_coroutine_function(handler):
        raise TypeError(
            f"{told} is a coroutine function, and {_name(handler)} is not, so that nobody would await it;"
            " make the handler an async def, or this a plain function"
        )


def _opened(made: Any, stack: ExitStack) -> Any:
    """Entered, if it is a context manager; else it is closed in the end, if it can be."""
    kind = type(made)
    if hasattr(kind, "__aenter__") and not hasattr(kind, "__enter__"):
        raise TypeError(
            f"what provide= made, {made!r}, is an asynchronous context manager, which only a handler that is"
            " a coroutine function can have; make the handler an async def"
        )
    if hasattr(kind, "__enter__"):
        return stack.enter_context(made)
    close = getattr(made, "close", None)
    if callable(close):
        stack.callback(close)
    return made


async def _opened_in_loop(made: Any, stack: AsyncExitStack) -> Any:
    """The same; what can be entered in both ways is entered in the asynchronous one."""
    if hasattr(type(made), "__aenter__"):
        return await stack.enter_async_context(made)
    if hasattr(type(made), "__enter__"):
        return stack.enter_context(made)
    close = getattr(made, "aclose", None) or getattr(made, "close", None)
    if callable(close):
        stack.push_async_callback(_closed, close)
    return made


async def _closed(close: Callable[[], Any]) -> None:
    found = close()
    if hasattr(type(found), "__await__"):
        await found


def _annotations(handler: Handler, parameters: Iterable[inspect.Parameter]) -> dict[str, Any]:
    """The classes that parameters name; those of others than these are not looked for."""
    if all(parameter.annotation is parameter.empty for parameter in parameters):
        return {}
    function: Any = handler
    if isinstance(handler, partial):
        function = handler.func
    elif not inspect.isroutine(handler):
        function = getattr(handler, "__wrapped__", type(handler).__call__)
    try:
        return get_type_hints(function)
    except NameError as error:
        raise TypeError(
            f"{_name(handler)}: an annotation means nothing where the function was defined: {error}"
        ) from error


def _bare(kind: Any) -> Any:
    """The class in ``Class | None``, which is how a parameter with a default names one."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    others = [each for each in get_args(kind) if each is not type(None)]
    return others[0] if len(others) == 1 else kind


def _name(handler: Handler) -> str:
    return f"handler {getattr(handler, '__qualname__', None) or repr(handler)}"


def _kind(kind: Any) -> str:
    if kind is None:
        return "without an annotation"
    return kind.__name__ if isinstance(kind, type) else str(kind)
