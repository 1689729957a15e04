"""`MemoryStorage`: a queue in shared memory, by its name."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import add
from types import TracebackType
from typing import Any

from ...backend import Turn, WorkerExit, WorkerLease, WorkerRequest
from ...codec import Codec
from ...codecs import get_codec
from ...errors import QueueClosed, QueueInUse, StorageError
from ...expose import Filter, Page, QueueInfo, RunningWorker, Statistic
from ...layer import Layer, acknowledge
from ...result import ErrorInfo, TaskResult
from ...status import Status
from ...task import Queue, Task, TaskId
from ..capabilities import EVERY_CAPABILITY
from ..completions import AwaitedResults
from ..liveness import Identity, own_identity
from ..namespace import base_directory, queue_names
from ..parts import DEFAULTS, Terms, bulk_parts, ids_for, microseconds, moment_of, read_parts
from ..streams import push_stream
from ..turnstile import LIMIT, HeldPermit, Turnstile
from ..unknown_codec import codec_or_unknown
from ..weak import Weak
from .amending import Amender
from .connection import Connection
from .layout import L_KEEP, ROLE_CLIENT
from .leasing import MemoryLease, MemoryStream
from .listing import list_tasks, list_workers, matching, queue_info, stored_tasks
from .metrics import counts, figures
from .participant import Participant, Place, ask_worker, reclaim_abandoned, reclaim_dead, sweep_blobs
from .parts import Codecs, status_of
from .pushing import BATCH, Pusher, Staged
from .reading import Reader
from .settings import Wishes
from .updating import Updater
from .waiting import Inbox

__all__ = ["MemoryStorage"]


class MemoryStorage:
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

    def _open(
        self,
        queue: Queue,
        own: Codec | None,
        wishes: Wishes,
        create: bool,
        base: str,
        codec_named: Callable[[str], Codec] = get_codec,
    ) -> None:
        self._queue, self._own, self._base = queue, own, base
        self._mutex = threading.RLock()
        self._client: Participant | None = None
        self._leases: weakref.WeakSet[MemoryLease] = weakref.WeakSet()
        self._closed = False
        connection = self._connection = Connection(queue, wishes, create=create, base=base)
        try:
            self._codecs = Codecs(own or codec_named(connection.settings.codec))
            self._reader = Reader(connection, queue, self._codecs)
            self._pusher = Pusher(connection, queue, self._codecs, self._me)
            self._inbox = Inbox(self._reader, self._me)
            self._amender = Amender(connection, queue)
            self._updater = Updater(connection, queue, self._reader, self._pusher)
            if reclaim_abandoned(connection):
                sweep_blobs(connection)
        except BaseException:
            connection.close()
            raise

    def __repr__(self) -> str:
        if self._closed:
            return f"<MemoryStorage {self._queue!r} [closed]>"
        try:
            self._connection.check_open()
            tasks = counts(self._connection)
        except QueueClosed:
            return f"<MemoryStorage {self._queue!r} [destroyed, or another process's]>"
        shown = ", ".join(f"{count} {status.name.lower()}" for status, count in tasks.items() if count)
        return f"<MemoryStorage {self._queue!r} [{shown or 'empty'}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (str(self._queue), self._own, self._base)

    def __enter__(self) -> MemoryStorage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def beside(self, queue: str) -> MemoryStorage:
        """Another queue in the same place with the same settings; made where there is none."""
        self._attached()
        made = MemoryStorage.__new__(MemoryStorage)
        made._open(Queue(queue), self._own, Wishes(**self.config), True, self._base)
        return made

    def reopened(self, codec: Codec) -> MemoryStorage:
        """Another handle on the same queue, which reads and writes payloads by ``codec``."""
        self._attached()
        return _reopen(str(self._queue), codec, self._base)

    # --- this process's hold on it --------------------------------------------------------------

    def _attached(self) -> Connection:
        """The connection; made anew in a forked child, which has none of its parent's locks."""
        if self._closed:
            raise QueueClosed(f"queue {self._queue!r}: this handle was closed; open it again")
        if self._connection.lock.fd < 0:  # forked: see `lockfile`
            self._open(self._queue, self._own, Wishes(), False, self._base)
        return self._connection

    def _me(self) -> Participant:
        """This handle's row, taken when it is needed first."""
        self._attached()
        me = self._client
        if me is None or me.lost:
            with self._mutex:  # `close` has it while it gives everything back
                connection = self._attached()
                me = self._client
                if me is None or me.lost:
                    me = self._client = Participant(connection, ROLE_CLIENT)
        return me

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        return self._closed

    def close(self) -> None:
        """Detach. Results that this handle did not fetch stay, for whoever has their ids."""
        if self._closed:
            return
        self._connection.ensure_outside()
        self._closed = True
        if self._connection.lock.fd < 0:
            return  # a forked child has nothing to give back
        with self._mutex, self._connection.turn:  # no other thread takes anything in between
            try:
                for lease in list(self._leases):
                    lease.close()
                if self._client is not None:
                    self._client.close()
            except StorageError:  # damaged: whatever it had is found by the next one
                pass
            except QueueClosed:
                pass
            finally:
                self._connection.close()
                self._pusher.close()  # they know us: what is mapped is to go with the last who uses it
                self._inbox.close()

    def destroy(self, *, force: bool = False) -> None:
        """Remove the queue with all its tasks, and close this handle.

        Args:
            force: though others are attached; their next call raises `QueueClosed`.

        Raises:
            QueueInUse: others are attached.
        """
        connection = self._attached()
        lock = connection.lock
        if force:
            connection.destroy()
        elif lock.try_exclusive():
            try:
                connection.destroy()
            finally:
                lock.unexclusive()
        else:
            raise QueueInUse(
                f"queue {self._queue!r} has other processes or handles attached; close those, or"
                " destroy(force=True)"
            )
        self.close()

    # --- ConfigExt ------------------------------------------------------------------------------

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        return self._queue

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings in force, read from the queue itself."""
        return self._connection.settings.as_mapping()

    def capabilities(self) -> frozenset[str]:
        """Names of the Protocols that this backend fulfils."""
        return EVERY_CAPABILITY

    # --- TaskSink -------------------------------------------------------------------------------

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

    def heartbeat(self, worker: WorkerLease) -> None:
        """The same as ``worker.heartbeat()``."""
        worker.heartbeat()

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

    def wait_for(self, ids: Iterable[TaskId], timeout: float | None = None) -> AwaitedResults:
        """Results in completion order, each id once."""
        self._attached()
        return AwaitedResults(self._inbox, ids, timeout)

    def wait(self, task_id: TaskId | str, timeout: float | None = None) -> TaskResult[Any]:
        """The result of one task."""
        return next(self.wait_for((TaskId.parse(task_id),), timeout))

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

    # --- what can be seen -----------------------------------------------------------------------

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

    def _other(self, queue: str | None) -> _Borrowed:
        self._attached().check_open()
        if queue is None or queue == self._queue:
            return _Borrowed(self, False)
        return _Borrowed(_reopen(queue, None, self._base, codec_or_unknown), True)

    def _each(self, names: Collection[Queue] | None = None) -> Iterable[MemoryStorage]:
        """Every queue of the namespace (or of these) that can be opened, one after the other."""
        for name in queue_names(self._base) if names is None else names:
            try:
                with self._other(name) as storage:
                    yield storage
            except (StorageError, QueueClosed):
                continue  # removed, or damaged: what can be seen of it is nothing


class _Borrowed:
    """A storage that is closed at the end of a ``with``, or not."""

    def __init__(self, storage: MemoryStorage, closes: bool) -> None:
        self._storage = storage
        self._closes = closes

    def __enter__(self) -> MemoryStorage:
        return self._storage

    def __exit__(self, *_: object) -> None:
        if self._closes:
            self._storage.close()


def _reopen(
    name: str, own: Codec | None, base: str, codec_named: Callable[[str], Codec] = get_codec
) -> MemoryStorage:
    """Attach to an existing queue in a known place."""
    storage = MemoryStorage.__new__(MemoryStorage)
    storage._open(Queue(name), own, Wishes(), False, base, codec_named)
    return storage
