"""What a board shows of queues, workers and tasks: from the index, and the records of one page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import Any

from ...backend import WorkerRequest
from ...expose import Filter, Page, QueueInfo, RunningWorker
from ...status import Status
from ...task import Task, TaskId
from ..parts import microseconds
from .desk import Desk
from .index import Entry, Index
from .living import is_dead
from .members import WorkerRecord

__all__ = ["list_all_tasks", "list_tasks", "list_workers", "queue_info"]

_Found = tuple[int, int, int, Desk]


def list_tasks(desk: Desk, filter: Filter) -> Page[Task[Any]]:
    """One page of a queue's tasks, newest first."""
    return _page([desk], filter, decode=True)


def list_all_tasks(desks: Iterable[Desk], filter: Filter) -> Page[Task[bytes]]:
    """One page of the tasks of several queues, newest first; payloads are not decoded."""
    return _page(list(desks), filter, decode=False)


def _page(desks: list[Desk], filter: Filter, *, decode: bool) -> Page[Task[Any]]:
    end = filter.offset() + filter.limit()
    found: list[_Found] = []
    total = 0
    for desk in desks:
        with desk.view.mutex:
            matching = list(_matching(desk, filter))
        total += len(matching)
        found += nlargest(end, matching, key=lambda each: each[:3])
    page = nlargest(end, found, key=lambda each: each[:3])[filter.offset() :]
    tasks = [_task(desk, task_id, decode=decode) for _, _, task_id, desk in page]
    return Page([task for task in tasks if task is not None], filter.page, filter.page_size, total)


def _matching(desk: Desk, filter: Filter) -> Iterator[_Found]:
    """When it came, its place in the order, and its id, of each task that matches."""
    for task_id, entry in _candidates(desk.index, filter):
        if filter.status is not None and entry.status is not filter.status:
            continue
        if filter.worker is not None and entry.worker != filter.worker:
            continue
        yield entry.created, entry.seq, task_id, desk


def _candidates(index: Index, filter: Filter) -> Iterable[tuple[int, Entry]]:
    """All that may match: a worker's are few."""
    if filter.worker is None:
        return index.tasks.items()
    return [(task_id, index.tasks[task_id]) for owned in index.owned.values() for task_id in owned]


def _task(desk: Desk, task_id: int, *, decode: bool) -> Task[Any] | None:
    held = desk.load(TaskId(task_id))
    return desk.task(held.task, decode=decode) if held is not None else None


def list_workers(desk: Desk, backend: str) -> list[RunningWorker]:
    """The workers of one queue, by start."""
    with desk.view.mutex:
        workers = [worker for _, worker in desk.index.workers.values()]
        found = [_worker(desk, backend, worker) for worker in workers]
    return sorted(found, key=lambda worker: worker.started_at)


def _worker(desk: Desk, backend: str, worker: WorkerRecord) -> RunningWorker:
    tasks, owned = desk.index.tasks, desk.index.owned.get(worker.number, ())
    return RunningWorker(
        id=worker.id,
        queue=desk.queue,
        backend=backend,
        pid=worker.identity.pid,
        host=worker.host,
        started_at=worker.started / 1e6,
        last_heartbeat=worker.beat / 1e6,
        layers=worker.layers,
        state="PAUSED" if worker.request == WorkerRequest.PAUSE else "RUNNING",
        running=sum(tasks[task_id].status is Status.RUNNING for task_id in owned),
        alive=not is_dead(worker, microseconds(), round(desk.settings.dead_after * 1e6)),
        rss=worker.rss,
    )


def queue_info(desk: Desk, backend: str) -> QueueInfo:
    """One queue, as a board shows it."""
    now = microseconds()
    workers = tuple(worker.id for worker in list_workers(desk, backend) if worker.alive)
    with desk.view.mutex:
        figures, activity = desk.index.figures(now), desk.index.sums().activity(now)
    return QueueInfo(desk.queue, tuple(figures.statistics()), workers, activity)
