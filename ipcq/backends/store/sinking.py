"""Where tasks go in: `TaskSink` and `WeakTaskSink` on a store."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from functools import partial
from typing import Any

from ...sink import WeakSink
from ...task import Task, TaskId
from ..parts import DEFAULTS, Terms, bulk_parts, ids_for, read_parts
from ..streams import push_stream
from ..weak import Weak
from .handle import Handle

__all__ = ["Sinking"]


class Sinking(Handle):
    """Fulfils `TaskSink` and `WeakTaskSink`."""

    def push(self, args: Any, *, timeout: float | None = None, block: bool = True, **parts: Any) -> TaskId:
        """Store one task and return its id."""
        pusher = self._use().pusher
        staged = pusher.stage(args, read_parts(**parts) if parts else DEFAULTS, TaskId.new())
        pusher.push((staged,), Terms.of(timeout, block))
        return staged.id

    def push_bulk(
        self,
        iterable: Iterable[Any],
        *,
        timeout: float | None = None,
        block: bool = True,
        ids: Sequence[TaskId] | None = None,
        **parts: Any,
    ) -> list[TaskId]:
        """Encode all first (if one fails, none is pushed), then store them in order.

        Args:
            ids: of the tasks; None for new ones.
        """
        pusher, read = self._use().pusher, bulk_parts(parts)
        many = list(iterable)
        ids = ids_for(len(many), ids)
        staged = [pusher.stage(args, read, task_id) for args, task_id in zip(many, ids, strict=True)]
        pusher.push(staged, Terms.of(timeout, block))
        return list(ids)

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
        self._use()
        return push_stream(partial(self.push_bulk, timeout=timeout, block=block, **parts), source, batch)

    def push_task(self, task: Task[Any], *, timeout: float | None = None, block: bool = True) -> TaskId:
        """Store one task with its own parts; only a PENDING task without attempts is accepted."""
        return self.push_all((task,), timeout=timeout, block=block)[0]

    def push_all(
        self, tasks: Iterable[Task[Any]], *, timeout: float | None = None, block: bool = True
    ) -> list[TaskId]:
        """Store many tasks with their own parts, in order; all are encoded first."""
        pusher = self._use().pusher
        staged = [pusher.stage_task(task) for task in tasks]
        pusher.push(staged, Terms.of(timeout, block))
        return [each.id for each in staged]

    def weak(self) -> WeakSink:
        """A sink for objects of any types; a worker's `Router` finds their handlers."""
        return Weak(self)
