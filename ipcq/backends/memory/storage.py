"""`MemoryStorage`: a queue in shared memory, by its name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from ...backend import OnProgress, Turn, WorkerExit, WorkerLease, WorkerRequest
from ...codec import Codec
from ...codecs import get_codec
from ...directory import base_directory
from ...layer import Layer, acknowledge
from ...result import ErrorInfo, TaskResult
from ...status import Status
from ...task import Progress, Queue, Task, TaskId
from ..capabilities import EVERY_CAPABILITY
from ..completions import AwaitedResults
from ..liveness import Identity, own_identity
from ..parts import microseconds, moment_of
from ..progress import ProgressWatch
from ..turnstile import LIMIT, HeldPermit, Turnstile
from .leasing import MemoryLease
from .participant import Place, ask_worker, reclaim_abandoned, reclaim_dead, sweep_blobs
from .parts import status_of
from .progress import runs
from .seeing import Seeing
from .settings import Wishes
from .sinking import Sinking
from .streaming import MemoryStream

__all__ = ["MemoryStorage"]


class MemoryStorage(Sinking, Seeing):
    """A queue in shared memory that every process of the user can attach to by name.

    Made when it does not exist. It stays when all who are attached leave, until `destroy`,
    ``ipcq gc`` or a reboot. Threads may share one object; a forked child attaches anew when it
    uses it first; a pickled one opens the same queue where it is unpickled.

    Args:
        name: see `Queue`.
        capacity: tasks it holds (default 65,536); memory is committed as it is used.
        arena_bytes: room for payloads and results up to 256 KiB (default 32 MiB).
        blob_bytes: most that larger ones may take (default: half of the file system).
        result_ttl: seconds that a result nobody fetched is kept (default 1 hour).
        codec: a codec or its name (default ``msgpack``); the queue remembers it.
        ephemeral: ``ipcq gc`` may remove it, unfinished tasks too, once nobody is attached.
        create: False raises `QueueNotFound` instead of making it.

    Raises:
        ValueError: the name or a setting is out of bounds.
        ConfigMismatch: it exists with another value of a setting.
        QueueNotFound, CorruptQueue, VersionMismatch, UnsafeDirectory, QueueFull, StorageError.
    """

    def __init__(
        self,
        name: str,
        *,
        capacity: int | None = None,
        arena_bytes: int | None = None,
        blob_bytes: int | None = None,
        result_ttl: float | None = None,
        codec: str | Codec | None = None,
        ephemeral: bool = False,
        create: bool = True,
    ) -> None:
        own = get_codec(codec) if codec is not None else None
        wishes = Wishes(
            capacity, arena_bytes, blob_bytes, result_ttl, own.name if own else None, ephemeral or None
        )
        self._open(Queue(name), own, wishes, create, base_directory())

    def capabilities(self) -> frozenset[str]:
        """Names of the Protocols that this backend fulfils."""
        return EVERY_CAPABILITY

    # --- Backend --------------------------------------------------------------------------------

    def register_worker(
        self,
        worker_id: str,
        *,
        layers: Iterable[str] = (),
        identity: Identity | None = None,
        place: Place | None = None,
    ) -> MemoryLease:
        """Enter a worker; `WorkerExists` while another with this id provably lives.

        Args:
            identity: the process by which this worker is judged; None for this one. What another process has
                stays that one's when this handle is closed.
            place: `MemoryLease.place` of a registration for the same identity by a process that is gone: the
                worker goes on with it, and with the tasks that it has; where it is gone, too, it enters anew.
        """
        self._attached()  # first: a forked child gets a mutex of its own
        with self._mutex:  # `close` has it while it gives everything back
            self._attached()
            lease = MemoryLease(self._reader, worker_id, layers, identity, place)
            if identity is None or identity == own_identity():
                self._leases.add(lease)
        return lease

    def poll(self, worker: str | WorkerLease, *, prefetch: int = 1) -> MemoryStream:
        """Tasks for one worker; an id is registered for the stream's life."""
        if prefetch < 1:
            raise ValueError(f"prefetch must be 1 or more, not {prefetch!r}")
        if isinstance(worker, str):
            return MemoryStream(self.register_worker(worker), prefetch, owned=True)
        if not isinstance(worker, MemoryLease):
            raise TypeError(f"poll takes a worker id or a lease of this backend, not {worker!r}")
        return MemoryStream(worker, prefetch, owned=False)

    def heartbeat(self, worker: WorkerLease) -> list[TaskId]:
        """The same as ``worker.heartbeat()``."""
        return worker.heartbeat()

    def middleware(self) -> Layer:
        """The outermost layer: stores what a run gave, whatever the layers inside it do."""
        return acknowledge

    def resume_abandoned(self, *, exits: Iterable[WorkerExit] = ()) -> list[TaskId]:
        """Return the tasks of dead owners to the queue, and tell which."""
        connection = self._attached()
        connection.check_open()
        back = reclaim_dead(connection, exits)
        if back:
            sweep_blobs(connection)
        return back

    # --- FetchById, WaitForCompletion -----------------------------------------------------------

    def fetch_by_id(self, task_id: TaskId | str) -> Task[Any] | None:
        """The task in whatever status, or None."""
        self._attached()
        return self._reader.task_by_id(TaskId.parse(task_id))

    def running_progress(self, since: int = 0) -> tuple[int, dict[TaskId, Progress]]:
        """How far each run is that tells it, if any told something since an earlier answer."""
        return runs(self._attached(), since)

    def wait_for(
        self, ids: Iterable[TaskId], timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> AwaitedResults:
        """Results in completion order, each id once."""
        self._attached()
        watch = ProgressWatch(self.running_progress, on_progress) if on_progress is not None else None
        return AwaitedResults(self._inbox, ids, timeout, watch)

    def wait(
        self,
        task_id: TaskId | str,
        timeout: float | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> TaskResult[Any]:
        """The result of one task."""
        return next(self.wait_for((TaskId.parse(task_id),), timeout, on_progress=on_progress))

    def check_status(self, ids: Iterable[TaskId]) -> dict[TaskId, Status]:
        """The status of each id; unknown ones are left out."""
        self._attached()
        wanted = list(ids)
        found = self._inbox.look_up(wanted)
        return {task_id: status_of(place[1]) for task_id, place in zip(wanted, found, strict=True) if place}

    # --- changes from outside -------------------------------------------------------------------

    def ask_worker(self, worker_id: str, request: WorkerRequest) -> bool:
        """Have a worker pause, go on, or stop; whether there is one who can."""
        return ask_worker(self._attached(), worker_id, WorkerRequest(request))

    def end_run(self, task_id: TaskId | str, error: ErrorInfo, *, pid: int, retry_in: float = 0.0) -> bool:
        """End the run of a task in the place of its worker, which is about to be killed."""
        self._attached()
        run_at = microseconds() + round(retry_in * 1e6)
        return self._amender.end_run(TaskId.parse(task_id), error, pid, run_at)

    def cancel(self, task_id: TaskId | str, *, running: bool = False) -> bool:
        """Make a task KILLED, with the error ``Cancelled``; whether it will not run, or was ended."""
        self._attached()
        return self._amender.cancel(TaskId.parse(task_id), running=running)

    def update(self, task: Task[Any], *, expect: Status | None = None) -> Task[Any]:
        """Store the parts of ``task`` that may change, all of them or none; the task as it is stored now."""
        self._attached()
        return self._updater.update(task, expect)

    def reschedule(
        self, task: TaskId | str | Task[Any], wait: float | timedelta | datetime, *, force: bool = False
    ) -> None:
        """Make a task PENDING, due ``wait`` from now or at a datetime; leases on it are void."""
        self._attached()
        task_id = task.id if isinstance(task, Task) else TaskId.parse(task)
        self._amender.reschedule(task_id, moment_of(wait), force=force)

    def resume_by_id(self, task_id: TaskId | str, *, reset: bool = False) -> bool:
        """Make a task PENDING and due now; whether it was moved."""
        self._attached()
        return self._amender.resume_by_id(TaskId.parse(task_id), reset=reset)

    # --- ShareLimits ----------------------------------------------------------------------------

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """Ask for a moment to begin at, of which there are only so many."""
        return self._turnstile().take_turn(name, per_second, burst)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> HeldPermit | None:
        """One of ``limit`` permits, or None."""
        return self._turnstile().take_permit(name, limit, waited=waited)

    def _turnstile(self) -> Turnstile:
        connection = self._attached()
        connection.check_open()
        return Turnstile(os.path.join(connection.segment.directory, LIMIT))

    # --- Vacuum ---------------------------------------------------------------------------------

    def vacuum(
        self, *, older_than: float = 0, statuses: Iterable[Status] = (Status.DONE, Status.KILLED)
    ) -> int:
        """Remove finished tasks of ``statuses`` that ended ``older_than`` seconds ago or earlier."""
        connection = self._attached()
        wanted = frozenset(statuses)
        if not wanted <= {Status.DONE, Status.KILLED}:
            raise ValueError("vacuum removes DONE and KILLED tasks only: the others are owed a run")
        if not older_than >= 0:
            raise ValueError(f"older_than must be seconds, 0 or more; not {older_than!r}")
        before = max(0, microseconds() - round(min(older_than, 1e12) * 1e6))
        removed: int = 0
        start: int = 0
        while True:
            with connection.turn:
                removed += connection.run(
                    connection.collect.vacuum, start, before, Status.DONE in wanted, Status.KILLED in wanted
                )
                start = connection.out[0]
            if not start:
                break
        reclaim_abandoned(connection)
        sweep_blobs(connection)
        return removed
