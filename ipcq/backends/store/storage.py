"""`StoreBackend`: a queue in a `TaskStore`, with every capability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ...backend import OnProgress, WorkerExit, WorkerLease, WorkerRequest
from ...codec import Codec
from ...codecs import get_codec
from ...layer import Layer, acknowledge
from ...result import ErrorInfo, TaskResult
from ...status import TERMINAL, Status
from ...task import Progress, Queue, Task, TaskId
from ..capabilities import EVERY_CAPABILITY
from ..completions import AwaitedResults
from ..liveness import Identity, own_identity
from ..parts import microseconds, moment_of
from ..progress import ProgressWatch
from .contract import TaskStore
from .handle import reopen
from .leasing import Place, StoreLease
from .limiting import Limiting
from .seeing import Seeing
from .settings import Wishes
from .sinking import Sinking
from .streaming import StoreStream
from .view import View

__all__ = ["StoreBackend"]


class StoreBackend(Sinking, Seeing, Limiting):
    """A queue whose tasks are records of a `TaskStore`.

    Threads may share one object; a forked child is a client of its own. A pickled one opens the same queue
    where it is unpickled, for which its store must be picklable, too.

    Args:
        store: where the records are; several queues may share it.
        queue: the queue's name. It is made when it does not exist.
        capacity: tasks it holds (default 65,536), finished ones included until they give way.
        result_ttl: seconds that a result nobody fetched is kept (default 1 hour).
        dead_after: seconds of silence after which a worker on another machine is dead (default 10).
        codec: a codec or its name (default ``msgpack``); the queue remembers it.
        create: False raises `QueueNotFound` instead of making it.

    Raises:
        ValueError: the name or a setting is out of bounds.
        ConfigMismatch: it exists with another value of a setting.
        QueueNotFound, StorageError.
    """

    def __init__(
        self,
        store: TaskStore,
        queue: str = "default",
        *,
        capacity: int | None = None,
        result_ttl: float | None = None,
        dead_after: float | None = None,
        codec: str | Codec | None = None,
        create: bool = True,
    ) -> None:
        own = get_codec(codec) if codec is not None else None
        wishes = Wishes(capacity, result_ttl, dead_after, own.name if own else None)
        self._open(View(store), Queue(queue), own, wishes, create)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen, (type(self), self._store, str(self._queue), self._own, self._base)

    def reopened(self, codec: Codec) -> StoreBackend:
        """Another handle on the same queue, which reads and writes payloads by ``codec``."""
        self._use()
        return reopen(type(self), self._store, str(self._queue), codec, self._base)

    # --- ConfigExt --------------------------------------------------------------------------------

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        return self._queue

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings in force, read from the queue itself."""
        return self._tools.desk.settings.as_mapping()

    def capabilities(self) -> frozenset[str]:
        """Names of the Protocols that this backend fulfils."""
        return EVERY_CAPABILITY

    # --- Backend ----------------------------------------------------------------------------------

    def register_worker(
        self,
        worker_id: str,
        *,
        layers: Iterable[str] = (),
        identity: Identity | None = None,
        place: Place | None = None,
    ) -> StoreLease:
        """Enter a worker; `WorkerExists` while another with this id provably lives.

        Args:
            identity: the process by which this worker is judged; None for this one. What another process has
                stays that one's when this handle is closed.
            place: `StoreLease.place` of a registration for the same identity by a process that is gone: the
                worker goes on with it, and with the tasks that it has; where it is gone, too, it enters anew.
        """
        self._use()  # first: a forked child gets a mutex of its own
        with self._mutex:  # `close` has it while it gives everything back
            tools = self._use()
            lease = StoreLease(tools.desk, tools.recovery, worker_id, layers, identity, place)
            if identity is None or identity == own_identity():
                self._leases.add(lease)
        return lease

    def poll(self, worker: str | WorkerLease, *, prefetch: int = 1) -> StoreStream:
        """Tasks for one worker; an id is registered for the stream's life."""
        if prefetch < 1:
            raise ValueError(f"prefetch must be 1 or more, not {prefetch!r}")
        recovery = self._use().recovery
        if isinstance(worker, str):
            return StoreStream(self.register_worker(worker), recovery, prefetch, owned=True)
        if not isinstance(worker, StoreLease):
            raise TypeError(f"poll takes a worker id or a lease of this backend, not {worker!r}")
        return StoreStream(worker, recovery, prefetch, owned=False)

    def heartbeat(self, worker: WorkerLease) -> list[TaskId]:
        """The same as ``worker.heartbeat()``."""
        return worker.heartbeat()

    def middleware(self) -> Layer:
        """The outermost layer: stores what a run gave, whatever the layers inside it do."""
        return acknowledge

    def resume_abandoned(self, *, exits: Iterable[WorkerExit] = ()) -> list[TaskId]:
        """Return the tasks of dead owners to the queue, and tell which."""
        return self._use().recovery.resume(exits)

    def ask_worker(self, worker_id: str, request: WorkerRequest) -> bool:
        """Have a worker pause, go on, or stop; whether there is one who can."""
        return self._use().steering.ask_worker(worker_id, WorkerRequest(request))

    # --- FetchById, Update, Reschedule, ResumeById, Cancel ----------------------------------------

    def fetch_by_id(self, task_id: TaskId | str) -> Task[Any] | None:
        """The task in whatever status, or None."""
        desk = self._use().desk
        held = desk.load(TaskId.parse(task_id))
        return desk.task(held.task) if held is not None else None

    def update(self, task: Task[Any], *, expect: Status | None = None) -> Task[Any]:
        """Store the parts of ``task`` that may change, all of them or none."""
        tools = self._use()
        return tools.desk.task(tools.updater.update(task, expect))

    def reschedule(
        self, task: TaskId | str | Task[Any], wait: float | timedelta | datetime, *, force: bool = False
    ) -> None:
        """Make a task PENDING, due ``wait`` from now (seconds, or a timedelta) or at a datetime."""
        task_id = TaskId.parse(task.id if isinstance(task, Task) else task)
        self._use().steering.reschedule(task_id, moment_of(wait), force=force)

    def resume_by_id(self, task_id: TaskId | str, *, reset: bool = False) -> bool:
        """Make a task PENDING and due now."""
        return self._use().steering.resume(TaskId.parse(task_id), reset=reset)

    def end_run(self, task_id: TaskId | str, error: ErrorInfo, *, pid: int, retry_in: float = 0.0) -> bool:
        """End the run of a task in the place of its worker, which is about to be killed."""
        return self._use().steering.end_run(TaskId.parse(task_id), error, pid, round(retry_in * 1e6))

    def cancel(self, task_id: TaskId | str, *, running: bool = False) -> bool:
        """Make a task KILLED, with the error ``Cancelled``."""
        return self._use().steering.cancel(TaskId.parse(task_id), running=running)

    # --- WaitForCompletion ------------------------------------------------------------------------

    def running_progress(self, since: int = 0) -> tuple[int, dict[TaskId, Progress]]:
        """How far each run is that tells it, if anything changed since an earlier answer."""
        desk = self._use().desk
        desk.view.refresh()
        with desk.view.mutex:
            return desk.view.seen, desk.index.progress() if desk.view.seen != since else {}

    def wait_for(
        self, ids: Iterable[TaskId], timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> AwaitedResults:
        """Results in completion order, each id once."""
        watch = ProgressWatch(self.running_progress, on_progress) if on_progress is not None else None
        return AwaitedResults(self._use().inbox, ids, timeout, watch)

    def wait(
        self, task_id: TaskId | str, timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> TaskResult[Any]:
        """The result of one task."""
        return next(self.wait_for((TaskId.parse(task_id),), timeout, on_progress=on_progress))

    def check_status(self, ids: Iterable[TaskId]) -> dict[TaskId, Status]:
        """The status of each id; unknown ones are left out."""
        desk = self._use().desk
        desk.view.refresh()
        with desk.view.mutex:
            tasks = desk.index.tasks
            return {task_id: tasks[task_id].status for task_id in ids if task_id in tasks}

    # --- Vacuum -----------------------------------------------------------------------------------

    def vacuum(
        self, *, older_than: float = 0, statuses: Iterable[Status] = (Status.DONE, Status.KILLED)
    ) -> int:
        """Remove finished tasks of ``statuses`` that ended ``older_than`` seconds ago or earlier."""
        tools, wanted = self._use(), frozenset(statuses)
        if not wanted <= TERMINAL:
            raise ValueError("vacuum removes DONE and KILLED tasks only: the others are owed a run")
        if not older_than >= 0:
            raise ValueError(f"older_than must be seconds, 0 or more; not {older_than!r}")
        before = microseconds() - round(min(older_than, 1e12) * 1e6)
        tools.desk.view.refresh()
        with tools.desk.view.mutex:
            tasks = tools.desk.index.tasks
            ids = [i for i, e in tasks.items() if e.ended and e.status in wanted and e.ended.at <= before]
        removed = tools.desk.remove(ids, lambda task: task.status in wanted and task.done <= before)
        tools.recovery.abandoned()
        return removed
