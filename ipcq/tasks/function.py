"""A function whose calls can be pushed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from .arguments import pack, signature_of
from .handle import TaskHandle
from .parts import Parts, check_parts
from .place import Place

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Pushing", "TaskFunction"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
V = TypeVar("V")


class Pushing(Generic[P, R_co]):
    """Pushes calls of one function, with the same parts for each."""

    def __init__(self, function: TaskFunction[P, R_co], parts: Parts) -> None:
        self._function = function
        self._parts = parts

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in self._parts.items())
        return f"<{self._function.name}.options({parts})>"

    @overload  # as `TaskFunction.push`
    def push(
        self: Pushing[P, Coroutine[Any, Any, V]], *args: P.args, **kwargs: P.kwargs
    ) -> TaskHandle[V]: ...
    @overload
    def push(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R_co]: ...

    def push(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[Any]:
        """As `TaskFunction.push`."""
        function = self._function
        packed = pack(function.name, function.signature, args, kwargs)
        task_id = function.place.backend.weak().push(packed, function.name, **self._parts)
        return TaskHandle(function.place, function.name, task_id)


class TaskFunction(Generic[P, R_co]):
    """A function of a `TaskQueue`: called, it runs here and now; pushed, in a worker.

    Made by `TaskQueue.task`.

    Attributes:
        name: under which workers find it.
        function: as it was defined.
        parts: what each push says about its task.
    """

    __name__: str
    __qualname__: str

    def __init__(self, place: Place, name: str, function: Callable[P, R_co], parts: Parts) -> None:
        update_wrapper(self, function)
        self.__qualname__ = getattr(function, "__qualname__", name)  # a partial has none
        self.place = place
        self.name = name
        self.function = function
        self.parts = check_parts(parts)
        self.signature = signature_of(function)

    def __repr__(self) -> str:
        return f"<TaskFunction {self.name} of {self.place}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function here, as if it were no task."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> str:
        return self.__qualname__  # of its module, as pickle has it for functions

    @overload  # a coroutine function's coroutine is run: what is given is what that returns
    def push(
        self: TaskFunction[P, Coroutine[Any, Any, V]], *args: P.args, **kwargs: P.kwargs
    ) -> TaskHandle[V]: ...
    @overload
    def push(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R_co]: ...

    def push(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[Any]:
        """Store one call, to be run by a worker; it is stored when this returns.

        Raises:
            TypeError: the function does not take these arguments.
            TaskSinkError: as `TaskSink.push`.
        """
        return Pushing(self, self.parts).push(*args, **kwargs)

    def options(self, **parts: Unpack[Parts]) -> Pushing[P, R_co]:
        """The same function with other parts: ``make.options(priority=2).push("a.png")``."""
        return Pushing(self, {**self.parts, **check_parts(parts)})
