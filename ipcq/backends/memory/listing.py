"""What a board shows of queues, workers and tasks. Looks without stopping anybody."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Any

from ...expose import Filter, Page, QueueInfo, RunningWorker
from ...task import Task
from .connection import Connection
from .layout import (
    FRESH,
    M_CREATED,
    M_NEXT,
    M_SEQ,
    META_WORDS,
    P_BEAT,
    P_LAYERS,
    P_NAME,
    P_OWNED,
    P_PID,
    P_REQUEST,
    P_ROLE,
    P_RSS,
    P_STARTED,
    P_STATE,
    PART_ACTIVE,
    PART_HIGH,
    REQUEST_PAUSE,
    ROLE_WORKER,
    ST_KILLED,
    ST_PENDING,
    ST_RUNNING,
    STATUS_MASK,
)
from .liveness import is_dead
from .metrics import activity, figures
from .participant import LAYERS_END, read_text
from .reading import Reader
from .slots import owner

__all__ = ["list_tasks", "list_workers", "matching", "queue_info", "stored_tasks"]


# --- tasks ----------------------------------------------------------------------------------------


def list_tasks(reader: Reader, filter: Filter) -> Page[Task[Any]]:
    """One page of the tasks that match, newest first."""
    numbers = sorted(matching(reader, filter), reverse=True)
    page = numbers[filter.offset() : filter.offset() + filter.limit()]
    tasks = [_task(reader, number) for _, _, number in page]
    return Page([task for task in tasks if task is not None], filter.page, filter.page_size, len(numbers))


def stored_tasks(reader: Reader, numbers: Iterable[int]) -> dict[int, Task[bytes]]:
    """The tasks in these slots, their payloads as they were stored; those removed since are left out."""
    found = {}
    for number in numbers:
        task = _task(reader, number)
        if task is not None:
            task._decode = bytes
            found[number] = task
    return found


def matching(reader: Reader, filter: Filter) -> Iterator[tuple[int, int, int]]:
    """When it came, its place in the order, and its slot, of each task that matches."""
    connection = reader.connection
    core, words = connection.core, connection.words
    used = min(words[FRESH], core.capacity)
    wanted = None if filter.status is None else filter.status + ST_PENDING
    for number, word in enumerate(words[core.state_at : core.state_at + used]):
        status = word & STATUS_MASK
        if not ST_PENDING <= status <= ST_KILLED or (wanted is not None and status != wanted):
            continue
        if filter.worker is not None and reader.worker_name(owner(word)) != filter.worker:
            continue
        m = core.meta_at + number * META_WORDS
        yield words[m + M_CREATED], words[m + M_SEQ], number


def _task(reader: Reader, number: int) -> Task[Any] | None:
    """The task in a slot; None if it was removed since."""
    slot = reader.slot(number)
    if slot.word & STATUS_MASK < ST_PENDING:
        return None
    task = reader.task(slot)
    return task if reader.unchanged(slot) else reader.task_by_id(slot.id)


# --- workers --------------------------------------------------------------------------------------


def list_workers(connection: Connection) -> list[RunningWorker]:
    """The workers of one queue, by start."""
    w, core = connection.words, connection.core
    found = []
    for index in range(min(w[PART_HIGH], core.participants)):
        row = core.row(index)
        if w[row + P_STATE] == PART_ACTIVE and w[row + P_ROLE] == ROLE_WORKER:
            found.append(_worker(connection, index, row))
    return sorted(found, key=lambda worker: worker.started_at)


def _worker(connection: Connection, index: int, row: int) -> RunningWorker:
    w = connection.words
    layers = read_text(connection, row + P_LAYERS)
    return RunningWorker(
        id=read_text(connection, row + P_NAME),
        queue=connection.queue,
        backend="MemoryStorage",
        pid=w[row + P_PID],
        host=socket.gethostname(),
        started_at=w[row + P_STARTED] / 1e6,
        last_heartbeat=w[row + P_BEAT] / 1e6,
        layers=tuple(layers.split(LAYERS_END)) if layers else (),
        state="PAUSED" if w[row + P_REQUEST] == REQUEST_PAUSE else "RUNNING",
        running=connection.call(_running, connection, row),
        alive=not is_dead(w, connection.lock, index),
        rss=w[row + P_RSS],
    )


def _running(connection: Connection, row: int) -> int:
    """How many of a row's slots are RUNNING; with the lock."""
    w, core = connection.words, connection.core
    count = 0
    at = w[row + P_OWNED]
    for _ in range(core.capacity):
        if not at:
            break
        count += w[core.state_at + at - 1] & STATUS_MASK == ST_RUNNING
        at = w[core.meta_at + (at - 1) * META_WORDS + M_NEXT]
    return count


# --- the queue ------------------------------------------------------------------------------------


def queue_info(connection: Connection) -> QueueInfo:
    """One queue, from the counters that are kept as tasks move."""
    workers = tuple(worker.id for worker in list_workers(connection) if worker.alive)
    return QueueInfo(connection.queue, tuple(figures(connection).statistics()), workers, activity(connection))
