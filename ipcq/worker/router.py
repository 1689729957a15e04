"""One handler for each type of arguments, in one queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from ..errors import Abort
from ..layer import CallNext
from ..sink import TAG, tag_of
from ..task import Task
from .handler import Handler, check_handler, resolve
from .injection import Injector
from .kinds import awaits

__all__ = ["Router"]


class Router:
    """The handler of a queue with tasks of several types, pushed by `WeakTaskSink.weak`.

    A task with a tag that is not here is KILLED with that reason and not run again, whatever its
    ``max_attempts``; the worker goes on.

    Args:
        handlers: by tag or by class; functions, or names such as ``module:function``. The handler of a
            dataclass gets an object of it, made from what arrived.

    Raises:
        HandlerNotFound: one is no handler.
        ValueError: two have the same tag, or there is none.
    """

    def __init__(self, handlers: Mapping[str | type[Any], Handler | str]) -> None:
        self._handlers: dict[str, Handler | str] = {}
        self._classes: dict[str, type[Any]] = {}
        if not handlers:
            raise ValueError("a Router needs one handler at least")
        for type_, handler in handlers.items():
            check_handler(handler)
            tag = tag_of(type_)
            if tag in self._handlers:
                raise ValueError(f"a Router has one handler for each tag, and two for {tag!r}")
            self._handlers[tag] = handler
            if isinstance(type_, type):
                self._classes[tag] = type_

    def __repr__(self) -> str:
        return f"<Router of {', '.join(sorted(self._handlers))}>"

    @property
    def tags(self) -> frozenset[str]:
        """The tags that it knows."""
        return frozenset(self._handlers)

    def awaits(self) -> bool:
        """Whether its handlers are coroutine functions; `TypeError` where some are and some are not."""
        kinds = {tag: awaits(handler) for tag, handler in self._found().items()}
        if len(set(kinds.values())) > 1:
            plain = ", ".join(sorted(tag for tag, each in kinds.items() if not each))
            raise TypeError(
                f"the handlers of a Router are coroutine functions or plain ones, not both; plain: {plain}"
            )
        return any(kinds.values())

    def _found(self) -> dict[str, Handler]:
        return {tag: resolve(h) if isinstance(h, str) else h for tag, h in self._handlers.items()}

    def prepared(self, injector: Injector) -> CallNext:
        """What runs a task of any of its types; `HandlerNotFound`, `TypeError` where one cannot be called."""
        found = self._found()
        calls = {tag: injector.prepare(handler) for tag, handler in found.items()}

        def run(task: Task[Any], context: Any) -> Any:
            tag = self._tag_of(task)
            args, call = self._arguments(tag, task.args), calls[tag]
            return found[tag](args) if call is None else call(args, task, context)

        return run

    def __call__(self, task: Task[Any]) -> Any:
        """Run a task by a handler that wants no more than its arguments.

        Raises:
            Abort: the task has no tag, or one that nobody here knows.
        """
        return self.prepared(Injector({}))(task, None)

    def _tag_of(self, task: Task[Any]) -> str:
        """The tag of a task; `Abort` where it has none, or one that nobody here knows."""
        tag = task.metadata.get(TAG)
        handler = self._handlers.get(tag) if isinstance(tag, str) else None
        if tag is None:
            raise Abort(f"task {task.id} has no type, which a Router needs; push it by weak().push(...)")
        if handler is None:
            raise Abort(
                f"no handler for tasks of type {tag!r}; the Router knows {', '.join(sorted(self._handlers))}"
            )
        return str(tag)

    def _arguments(self, tag: str, args: Any) -> Any:
        made = self._classes.get(tag)
        if made is None or not is_dataclass(made) or not isinstance(args, dict):
            return args
        try:
            return made(**args)
        except TypeError as error:
            raise Abort(f"what arrived does not make a {tag}: {error}") from error
