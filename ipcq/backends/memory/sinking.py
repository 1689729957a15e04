"""Where tasks go in: `TaskSink` and `WeakTaskSink` in shared memory."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from functools import partial
from typing import Any

from ...task import Task, TaskId
from ..parts import DEFAULTS, Terms, bulk_parts, ids_for, read_parts
from ..streams import push_stream
from ..weak import Weak
from .handle import Handle
from .layout import L_KEEP
from .pushing import BATCH, Staged

__all__ = ["Sinking"]


class Sinking(Handle):
    """Fulfils `TaskSink` and `WeakTaskSink`."""

    def push(self, args: Any, *, timeout: float | None = None, block: bool = True, **parts: Any) -> TaskId:
        """Store one task and return its id."""
        self._attached()
        read = read_parts(**parts) if parts else DEFAULTS
        ids = [read.id or TaskId.new()]
        self._store(self._pusher.stage((args,), read, ids), Terms.of(timeout, block))
        return ids[0]

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
        self._attached()
        read = bulk_parts(parts)
        many = list(iterable)
        if ids:
            read = read._replace(id=ids[0])  # so it is looked whether one of them is there already
        ids = ids_for(len(many), ids)
        self._store(self._pusher.stage(many, read, ids), Terms.of(timeout, block))
        return list(ids)

    def push_stream(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        batch: int = BATCH,
        timeout: float | None = None,
        block: bool = True,
        **parts: Any,
    ) -> Any:
        """Store what ``source`` yields, ``batch`` tasks at a time, in bounded memory."""
        self._attached()
        return push_stream(partial(self.push_bulk, timeout=timeout, block=block, **parts), source, batch)

    def push_task(self, task: Task[Any], *, timeout: float | None = None, block: bool = True) -> TaskId:
        """Store one task with its own parts; only a PENDING task without attempts is accepted."""
        return self.push_all((task,), timeout=timeout, block=block)[0]

    def push_all(
        self, tasks: Iterable[Task[Any]], *, timeout: float | None = None, block: bool = True
    ) -> list[TaskId]:
        """Store many tasks with their own parts, in order; all are encoded first."""
        self._attached()
        staged = [self._pusher.stage_task(task) for task in tasks]
        self._store(staged, Terms.of(timeout, block))
        return [TaskId(each[0]) for each in staged]

    def forget_fetched(self, most: int = BATCH) -> int:
        """Remove up to ``most`` results that were fetched, the oldest first, as a full queue does; how many.

        For who fetches large results and wants their memory back before it is needed.
        """
        connection = self._attached()
        removed: int = connection.call(connection.accept.make_room, most)
        return removed

    def weak(self) -> Weak:
        """A sink for any type."""
        return Weak(self)

    def _store(self, staged: list[Staged], terms: Terms) -> None:
        """Expected before they are stored: another thread may see one finish before we are back."""
        ids = [number for number, _, words in staged if words[1] & L_KEEP]
        self._inbox.expect(ids)
        try:
            self._pusher.push(staged, terms)
        except BaseException:
            self._inbox.unexpect(ids)
            raise
