"""Where tasks go in: `TaskSink` on a function."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from typing import Any

from ...errors import PushError, TaskSinkError
from ...task import Queue, Task, TaskId
from ..parts import Parts, bulk_parts, read_parts, refuse
from ..streams import push_stream
from ..weak import Weak
from .source import Push

__all__ = ["FunctionSink"]


class FunctionSink:
    """Fulfils `TaskSink` and `WeakTaskSink`. How long a push may wait is up to the function."""

    _store: Push
    _name: Queue
    _pushed: Callable[[], object]

    def push(self, args: Any, *, timeout: float | None = None, block: bool = True, **parts: Any) -> TaskId:
        """Store one task and return its id."""
        return self._push_each([_task(args, read_parts(**parts))])[0]

    def push_bulk(
        self, iterable: Iterable[Any], *, timeout: float | None = None, block: bool = True, **parts: Any
    ) -> list[TaskId]:
        """Store tasks in order."""
        read = bulk_parts(parts)
        return self._push_each([_task(args, read) for args in iterable])

    def push_stream(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        batch: int = 64,
        timeout: float | None = None,
        block: bool = True,
        **parts: Any,
    ) -> Any:
        """Store what ``source`` yields, ``batch`` tasks at a time, in bounded memory."""
        return push_stream(partial(self.push_bulk, timeout=timeout, block=block, **parts), source, batch)

    def push_task(self, task: Task[Any], *, timeout: float | None = None, block: bool = True) -> TaskId:
        """Store one task with its own parts; only a PENDING task without attempts is accepted."""
        return self.push_all((task,))[0]

    def push_all(
        self, tasks: Iterable[Task[Any]], *, timeout: float | None = None, block: bool = True
    ) -> list[TaskId]:
        """Store many tasks with their own parts, in order."""
        given = list(tasks)
        for task in given:
            refuse(task.status, task.attempts + task.deaths)
        return self._push_each(given)

    def weak(self) -> Weak:
        """A sink for any type."""
        return Weak(self)

    def _push_each(self, tasks: list[Task[Any]]) -> list[TaskId]:
        accepted: list[TaskId] = []
        for task in tasks:
            task.queue = self._name
            try:
                self._store(task)
            except TaskSinkError as error:
                error.accepted = accepted
                raise
            except Exception as error:
                refused = PushError(
                    f"queue {self._name!r}: the function for push= raised {type(error).__name__}: {error}"
                )
                refused.accepted = accepted
                raise refused from error
            accepted.append(task.id)
        self._pushed()
        return accepted


def _task(args: Any, parts: Parts) -> Task[Any]:
    return Task.of(
        args,
        id=parts.id or TaskId.new(),
        run_at=parts.run_at / 1e6,
        priority=parts.priority,
        max_attempts=parts.max_attempts,
        max_deaths=parts.max_deaths,
        timeout=parts.timeout / 1e6 if parts.timeout else None,
        keep_result=parts.keep,
        metadata=parts.metadata,
    )
