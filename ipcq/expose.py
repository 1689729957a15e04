"""What can be seen of a backend from outside: values and the contracts that return them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from .sink import TaskSink
from .status import Status
from .task import Task

__all__ = [
    "Expose",
    "Filter",
    "Histogram",
    "Histograms",
    "ListAllTasks",
    "ListQueues",
    "ListTasks",
    "ListWorkers",
    "Metrics",
    "Page",
    "QueueInfo",
    "RunningWorker",
    "StatType",
    "Statistic",
]

T = TypeVar("T")

LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks to list, and which page of them.

    Attributes:
        status: only this status; None for all.
        page: from 1.
        page_size: 1 to 1000.
        worker: only tasks that this worker has; None for all.

    Raises:
        ValueError: page or page_size is out of bounds.
    """

    status: Status | None = None
    page: int = 1
    page_size: int = 10
    worker: str | None = None

    def __post_init__(self) -> None:
        if self.page < 1:
            raise ValueError(f"page must be 1 or more, not {self.page}")
        if not 1 <= self.page_size <= LARGEST_PAGE:
            raise ValueError(f"page_size must be 1 to {LARGEST_PAGE}, not {self.page_size}")

    def offset(self) -> int:
        """How many matching tasks come before this page."""
        return (self.page - 1) * self.page_size

    def limit(self) -> int:
        """How many tasks this page holds at the most."""
        return self.page_size


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing: ``items`` of ``total`` matching ones."""

    items: Sequence[T]
    page: int
    page_size: int
    total: int


class StatType(Enum):
    """How to read the value of a `Statistic`."""

    TIMESTAMP = "Timestamp"
    NUMBER = "Number"
    DECIMAL = "Decimal"
    PERCENTAGE = "Percentage"


@dataclass(frozen=True, slots=True)
class Statistic:
    """One figure about a queue; a smaller ``priority`` is shown first."""

    title: str
    stat_type: StatType
    value: float
    priority: int = 0


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A worker known to a queue.

    Attributes:
        id: unique in its queue while it lives.
        queue: the queue it takes tasks from.
        backend: the backend's class name.
        pid: its process.
        host: the machine it runs on.
        started_at: Unix seconds.
        last_heartbeat: Unix seconds; for people only, liveness is `alive`.
        layers: names of its layers.
        state: ``RUNNING``, ``PAUSED`` or ``STOPPED``.
        running: tasks it is running now.
        alive: whether its process provably lives.
        rss: resident memory at the last heartbeat, in bytes.
    """

    id: str
    queue: str
    backend: str
    pid: int
    host: str
    started_at: float
    last_heartbeat: float
    layers: tuple[str, ...]
    state: str
    running: int
    alive: bool
    rss: int = 0


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as a board shows it.

    Attributes:
        name: the queue's name.
        stats: figures about it.
        workers: ids of its live workers.
        activity: tasks finished per day (UTC) of the last 7, oldest first.
    """

    name: str
    stats: tuple[Statistic, ...]
    workers: tuple[str, ...]
    activity: tuple[int, ...]


@runtime_checkable
class ListQueues(Protocol):
    """Can list the queues beside it."""

    def list_queues(self) -> list[QueueInfo]:
        """All queues of the namespace, by name."""
        ...


@runtime_checkable
class ListWorkers(Protocol):
    """Can list workers."""

    def list_workers(self, queue: str | None = None) -> list[RunningWorker]:
        """The workers of ``queue`` (None: of this one), by start."""
        ...

    def list_all_workers(self) -> list[RunningWorker]:
        """The workers of every queue of the namespace."""
        ...


@runtime_checkable
class ListTasks(Protocol):
    """Can list tasks."""

    def list_tasks(self, queue: str | None = None, filter: Filter | None = None) -> Page[Task[Any]]:
        """One page of tasks, newest first; an undecodable payload does not fail the call."""
        ...


@runtime_checkable
class ListAllTasks(Protocol):
    """Can list the tasks of all queues beside it."""

    def list_all_tasks(self, filter: Filter | None = None) -> Page[Task[bytes]]:
        """One page of the tasks of every queue of the namespace, newest first; payloads are not decoded."""
        ...


@runtime_checkable
class Metrics(Protocol):
    """Keeps figures as tasks move; asking for them costs the same however many tasks there are."""

    def global_stats(self) -> list[Statistic]:
        """Figures about all queues of the namespace together, the ones shown first in front."""
        ...

    def queue_stats(self, queue: str | None = None) -> list[Statistic]:
        """Figures about ``queue`` (None: this one); `QueueNotFound` where there is none of that name."""
        ...


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long many things took; one that is counted stays counted.

    Attributes:
        buckets: for each bound in seconds, growing, the last one infinite: how many took no longer.
        sum: seconds that all of them took together.
    """

    buckets: tuple[tuple[float, int], ...]
    sum: float


@runtime_checkable
class Histograms(Protocol):
    """Keeps durations by classes, so that percentiles can be made of those of many queues and of any time."""

    def queue_histograms(self, queue: str | None = None) -> dict[str, Histogram]:
        """Those of ``queue`` (None: this one); `QueueNotFound` where there is none of that name.

        ``RUN_TIME``: how long runs took; ``WAIT_TIME``: how long after their task was due they began.
        """
        ...


@runtime_checkable
class Expose(ListQueues, ListWorkers, ListTasks, ListAllTasks, Metrics, TaskSink, Protocol):
    """What a board or an exporter needs of a backend."""
