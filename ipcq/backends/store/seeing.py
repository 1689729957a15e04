"""What can be seen of a store's queues from outside: the listings and the figures."""

from __future__ import annotations

from typing import Any

from ...errors import QueueNotFound
from ...expose import Filter, Histogram, Page, QueueInfo, RunningWorker, Statistic
from ...task import Task
from ..parts import microseconds
from ..unknown_codec import codec_or_unknown
from .codecs import Codecs
from .desk import Desk
from .handle import Handle
from .listing import list_all_tasks, list_tasks, list_workers, queue_info
from .settings import Settings

__all__ = ["Seeing"]


class Seeing(Handle):
    """Fulfils `ListQueues`, `ListWorkers`, `ListTasks`, `ListAllTasks`, `Metrics` and `Histograms`."""

    def list_tasks(self, queue: str | None = None, filter: Filter | None = None) -> Page[Task[Any]]:
        """One page of tasks, newest first; an undecodable payload does not fail the call."""
        return list_tasks(self._desk(queue), filter or Filter())

    def list_all_tasks(self, filter: Filter | None = None) -> Page[Task[bytes]]:
        """One page of the tasks of every queue of the store, newest first; payloads are not decoded."""
        return list_all_tasks(self._desks(), filter or Filter())

    def list_workers(self, queue: str | None = None) -> list[RunningWorker]:
        """The workers of ``queue`` (None: of this one), by start."""
        return list_workers(self._desk(queue), type(self).__name__)

    def list_all_workers(self) -> list[RunningWorker]:
        """The workers of every queue of the store."""
        name = type(self).__name__
        return [worker for desk in self._desks() for worker in list_workers(desk, name)]

    def list_queues(self) -> list[QueueInfo]:
        """All queues of the store, by name."""
        return [queue_info(desk, type(self).__name__) for desk in self._desks()]

    def global_stats(self) -> list[Statistic]:
        """Figures about all queues of the store together, the ones shown first in front."""
        return self._stats(self._desks())

    def queue_stats(self, queue: str | None = None) -> list[Statistic]:
        """Figures about ``queue`` (None: this one)."""
        return self._stats([self._desk(queue)])

    def queue_histograms(self, queue: str | None = None) -> dict[str, Histogram]:
        """How long runs took, and how long tasks waited, in ``queue`` (None: this one)."""
        desk = self._desk(queue)
        with desk.view.mutex:
            return desk.index.figures(microseconds()).histograms()

    def _stats(self, desks: list[Desk]) -> list[Statistic]:
        now = microseconds()
        with self._use().desk.view.mutex:
            first, *others = [desk.index.figures(now) for desk in desks]
        return sum(others, first).statistics()

    def _desk(self, queue: str | None) -> Desk:
        """Where to look at a queue, as it is now."""
        own = self._use().desk
        own.view.refresh()
        return own if queue is None or queue == own.queue else self._other(queue)

    def _desks(self) -> list[Desk]:
        """Every queue of the store, by name."""
        own = self._use().desk
        own.view.refresh()
        with own.view.mutex:
            names = own.view.queues()
        return [own if name == own.queue else self._other(name) for name in names]

    def _other(self, queue: str) -> Desk:
        own = self._use().desk
        with own.view.mutex:
            stored = own.view.index(queue).settings if queue in own.view.queues() else None
        if stored is None:
            raise QueueNotFound(f"there is no queue {queue!r} in {own.store!r}")
        settings = Settings.load(stored)
        return Desk(own.view, own.queue.__class__(queue), settings, Codecs(codec_or_unknown(settings.codec)))
