"""What can be seen of queues in shared memory from outside: the listings and the figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import reduce
from operator import add
from typing import Any, Generic, TypeVar

from ...errors import QueueClosed, StorageError
from ...expose import Filter, Histogram, Page, QueueInfo, RunningWorker, Statistic
from ...task import Queue, Task
from ..unknown_codec import codec_or_unknown
from .handle import Handle, reopen
from .listing import list_tasks, list_workers, matching, queue_info, stored_tasks
from .metrics import figures
from .namespace import queue_names

__all__ = ["Seeing"]

Self = TypeVar("Self", bound="Seeing")


class Seeing(Handle):
    """Fulfils `ListQueues`, `ListWorkers`, `ListTasks`, `ListAllTasks`, `Metrics` and `Histograms`."""

    def list_tasks(self, queue: str | None = None, filter: Filter | None = None) -> Page[Task[Any]]:
        """One page of tasks, newest first; an undecodable payload does not fail the call."""
        with self._other(queue) as storage:
            return list_tasks(storage._reader, filter or Filter())

    def list_all_tasks(self, filter: Filter | None = None) -> Page[Task[bytes]]:
        """One page of the tasks of every queue of the namespace, newest first; payloads are not decoded."""
        wanted = filter or Filter()
        found = [(*key, each.queue) for each in self._each() for key in matching(each._reader, wanted)]
        found.sort(reverse=True)
        page = found[wanted.offset() : wanted.offset() + wanted.limit()]
        tasks: dict[tuple[Queue, int], Task[bytes]] = {}
        for storage in self._each({queue for *_, queue in page}):
            numbers = [number for _, _, number, queue in page if queue == storage.queue]
            there = stored_tasks(storage._reader, numbers)
            tasks |= {(storage.queue, number): task for number, task in there.items()}
        places = [(queue, number) for _, _, number, queue in page]
        items = [tasks[place] for place in places if place in tasks]
        return Page(items, wanted.page, wanted.page_size, len(found))

    def list_workers(self, queue: str | None = None) -> list[RunningWorker]:
        """The workers of ``queue`` (None: of this one), by start."""
        with self._other(queue) as storage:
            return list_workers(storage._connection)

    def list_all_workers(self) -> list[RunningWorker]:
        """The workers of every queue of the namespace."""
        return [worker for storage in self._each() for worker in list_workers(storage._connection)]

    def list_queues(self) -> list[QueueInfo]:
        """All queues of the namespace, by name."""
        return [queue_info(storage._connection) for storage in self._each()]

    def global_stats(self) -> list[Statistic]:
        """Figures about all queues of the namespace together, the ones shown first in front."""
        others = (figures(storage._connection) for storage in self._each() if storage is not self)
        return reduce(add, others, figures(self._attached())).statistics()

    def queue_stats(self, queue: str | None = None) -> list[Statistic]:
        """Figures about ``queue`` (None: this one); `QueueNotFound` where there is none of that name."""
        with self._other(queue) as storage:
            return figures(storage._connection).statistics()

    def queue_histograms(self, queue: str | None = None) -> dict[str, Histogram]:
        """How long runs took, and how long tasks waited, in ``queue`` (None: this one)."""
        with self._other(queue) as storage:
            return figures(storage._connection).histograms()

    def _other(self: Self, queue: str | None) -> _Borrowed[Self]:
        self._attached().check_open()
        if queue is None or queue == self._queue:
            return _Borrowed(self, False)
        return _Borrowed(reopen(type(self), queue, None, self._base, codec_or_unknown), True)

    def _each(self: Self, names: Collection[Queue] | None = None) -> Iterable[Self]:
        """Every queue of the namespace (or of these) that can be opened, one after the other."""
        for name in queue_names(self._base) if names is None else names:
            try:
                with self._other(name) as storage:
                    yield storage
            except (StorageError, QueueClosed):
                continue  # removed, or damaged: what can be seen of it is nothing


class _Borrowed(Generic[Self]):
    """A handle that is closed at the end of a ``with``, or not."""

    def __init__(self, storage: Self, closes: bool) -> None:
        self._storage = storage
        self._closes = closes

    def __enter__(self) -> Self:
        return self._storage

    def __exit__(self, *_: object) -> None:
        if self._closes:
            self._storage.close()
