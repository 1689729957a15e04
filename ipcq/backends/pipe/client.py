"""`Pipe`: a queue behind a ZeroMQ socket, by its endpoint."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any

from ...backend import OnProgress, Turn, WorkerExit, WorkerLease, WorkerRequest
from ...codec import Codec
from ...codecs import get_codec
from ...errors import IpcqError, QueueClosed
from ...expose import Filter, Histogram, Page, QueueInfo, RunningWorker, Statistic
from ...layer import Layer, acknowledge
from ...result import ErrorInfo, TaskResult
from ...sink import WeakSink
from ...status import TERMINAL, Status
from ...task import Progress, Queue, Task, TaskId
from ..completions import AwaitedResults
from ..parts import DEFAULTS, Terms, bulk_parts, moment_of, parts_of, read_parts
from ..progress import ProgressWatch
from ..store.codecs import Codecs
from ..streams import push_stream
from ..weak import Weak
from .channels import Channels, Response
from .endpoints import check_codec, check_directory, check_endpoint
from .frames import Verb
from .inbox import PipeInbox
from .keys import KEYS, SERVER_KEY, ClientKeys
from .permits import Permits, PipePermit
from .pushing import Pusher, parts_row
from .server import DEAD_AFTER, Server
from .streaming import PipeStream
from .wire import (
    pack_error,
    pack_filter,
    pack_id,
    pack_ids,
    unpack_histograms,
    unpack_id,
    unpack_ids,
    unpack_info,
    unpack_stats,
    unpack_task,
    unpack_worker,
)
from .working import LAST_PATIENCE, PipeLease

__all__ = ["Pipe"]

_FIRST_PATIENCE = 5.0  # seconds that opening waits for a server
_LOOK_PATIENCE = 2.0  # the same of a look that comes again and again


class Pipe:
    """A queue behind a ZeroMQ socket, which `Pipe.serve` put there; with all that the backend can do.

    Threads may share one object; a forked child makes its own connection when it uses it first; a pickled one
    connects where it is unpickled. While no server answers, calls wait for one, up to half a minute.

    Args:
        endpoint: ``ipc:///PATH``, in a directory that only you can use; ``tcp://127.0.0.1:PORT``; with keys
            ``tcp://HOST:PORT``.
        codec: None for the one that the queue was made with, by its name.
        keys: path of this client's secret key, which `make_keys` or ``ipcq keygen`` made; None for what the
            environment variable ``IPCQ_KEYS`` says, over ``tcp://``.
        server: path of the server's public key; None for what ``IPCQ_SERVER_KEY`` says.

    Raises:
        ValueError: it is no endpoint; or one of both keys is missing.
        UnsafeDirectory: others could have put that server there, or can read the secret key.
        StorageError: no server answers there, or it refused our key; or it is on another machine, and there
            are no keys; or the codec, of the queue or given, is pickle, and the endpoint is no ``ipc://``.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        codec: str | Codec | None = None,
        keys: str | os.PathLike[str] | None = None,
        server: str | os.PathLike[str] | None = None,
    ) -> None:
        self._keys = _keys(endpoint, keys, server)
        self._endpoint = check_endpoint(endpoint, keys=self._keys is not None)
        check_directory(endpoint)
        self._own = get_codec(codec) if codec is not None else None
        if self._own is not None:
            check_codec(self._endpoint, self._own)
        self._closed = False
        self._connect()

    def _connect(self) -> None:
        self._mutex = threading.RLock()
        self._leases: weakref.WeakSet[PipeLease] = weakref.WeakSet()
        channels = Channels(self._endpoint, self._keys)
        try:
            told = channels.call(Verb.HELLO, patience=_FIRST_PATIENCE).body
            queue, config, codec, capabilities = told
            check_codec(self._endpoint, codec)
        except BaseException:
            channels.close()
            raise
        self._queue, self._config, self._capabilities = Queue(queue), config, frozenset(capabilities)
        self._codecs = Codecs(self._own or get_codec(codec))
        self._channels = channels
        self._pusher = Pusher(self._use, self._codecs.own)
        self._permits = Permits(channels)

    @staticmethod
    def serve(
        backend: Any,
        endpoint: str,
        *,
        dead_after: float = DEAD_AFTER,
        keys: str | os.PathLike[str] | None = None,
        clients: str | os.PathLike[str] | None = None,
    ) -> Server:
        """Put a backend behind a socket for as long as the returned object is entered.

        Args:
            backend: it stays whose it is, and open.
            endpoint: ``ipc:///PATH``, in a directory that only you can use, or ``tcp://127.0.0.1:PORT``; with
                ``*`` as the port one is found, see `Server.endpoint`.
            dead_after: seconds of silence after which a worker that cannot be seen from here is dead; one on
                this machine is judged by its process.
            keys: path of the server's secret key, of those that `make_keys` or ``ipcq keygen`` made. With it,
                ``tcp://`` may be reached from other machines, and all is encrypted.
            clients: directory with the public keys of all who may connect, a file ``*.key`` each.

        Raises:
            NotSupported: the backend is not one that can be served.
            ValueError: it is no endpoint; or keys without clients.
            StorageError: it can be reached from other machines, and there are no keys; a key cannot be read;
                the queue's codec is pickle, over tcp.
                When it is entered: `QueueInUse`, a live server is there; `UnsafeDirectory`.
        """
        return Server(backend, endpoint, dead_after=dead_after, keys=keys, clients=clients)

    def __repr__(self) -> str:
        return f"<Pipe to {self._queue!r} at {self._endpoint!r} [{'closed' if self._closed else 'open'}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._endpoint, self._own, *(self._keys.paths if self._keys else (None, None)))

    def __enter__(self) -> Pipe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the connection -----------------------------------------------------------------------------

    def _use(self) -> Channels:
        """The sockets; made anew in a forked child, where those of its parent must not be touched."""
        if self._closed:
            raise QueueClosed(f"queue {self._queue!r}: this pipe was closed; open it again")
        if self._channels.pid != os.getpid():
            self._connect()
        return self._channels

    def _call(self, verb: Verb, *body: Any) -> Response:
        return self._use().call(verb, *body)

    def _decoder(self, codec: str) -> Any:
        return self._codecs.find(codec).decode

    @property
    def endpoint(self) -> str:
        """Where the server is."""
        return self._endpoint

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        return self._closed

    def close(self) -> None:
        """Disconnect; give back what this process has."""
        if self._closed:
            return
        if self._channels.pid == os.getpid():  # else a forked child, which has nothing to give back
            with self._mutex:
                for lease in list(self._leases):
                    self._leave(lease)
                self._permits.close(patience=LAST_PATIENCE)
                self._channels.close()
            self._permits.join()
        self._closed = True

    def _leave(self, lease: PipeLease) -> None:
        try:
            lease.close(patience=LAST_PATIENCE)
        except IpcqError:  # the server is gone, and gave all back; or finds that we are
            pass

    # --- ConfigExt ----------------------------------------------------------------------------------

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        return self._queue

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings in force, read from the queue itself."""
        return dict(self._config)

    def capabilities(self) -> frozenset[str]:
        """Names of the Protocols that the backend behind the pipe fulfils."""
        return self._capabilities

    # --- TaskSink, WeakTaskSink ---------------------------------------------------------------------

    def push(self, args: Any, *, timeout: float | None = None, block: bool = True, **parts: Any) -> TaskId:
        """Store one task and return its id."""
        self._use()
        staged = self._pusher.stage(args, read_parts(**parts) if parts else DEFAULTS, TaskId.new())
        self._pusher.push((staged,), Terms.of(timeout, block))
        return staged.id

    def push_bulk(
        self, iterable: Iterable[Any], *, timeout: float | None = None, block: bool = True, **parts: Any
    ) -> list[TaskId]:
        """Encode all first (if one fails, none is pushed), then store them in order."""
        self._use()
        read, many = bulk_parts(parts), list(iterable)
        ids = TaskId.many(len(many))
        staged = [self._pusher.stage(args, read, task_id) for args, task_id in zip(many, ids, strict=True)]
        self._pusher.push(staged, Terms.of(timeout, block))
        return ids

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
        self._use()
        staged = [self._pusher.stage_task(task) for task in tasks]
        self._pusher.push(staged, Terms.of(timeout, block))
        return [each.id for each in staged]

    def weak(self) -> WeakSink:
        """A sink for objects of any types; a worker's `Router` finds their handlers."""
        return Weak(self)

    # --- Backend, RegisterWorker, ResumeAbandoned ---------------------------------------------------

    def register_worker(self, worker_id: str, *, layers: Iterable[str] = ()) -> PipeLease:
        """Enter a worker; `WorkerExists` while another with this id provably lives."""
        self._use()  # first: a forked child gets a mutex of its own
        with self._mutex:  # `close` has it while it gives everything back
            lease = PipeLease(self._use, worker_id, layers, self._codecs.own)
            self._leases.add(lease)
        return lease

    def poll(self, worker: str | WorkerLease, *, prefetch: int = 1) -> PipeStream:
        """Tasks for one worker; an id is registered for the stream's life."""
        if prefetch < 1:
            raise ValueError(f"prefetch must be 1 or more, not {prefetch!r}")
        if isinstance(worker, str):
            return PipeStream(self.register_worker(worker), prefetch, self._decoder, owned=True)
        if not isinstance(worker, PipeLease):
            raise TypeError(f"poll takes a worker id or a lease of this backend, not {worker!r}")
        return PipeStream(worker, prefetch, self._decoder, owned=False)

    def heartbeat(self, worker: WorkerLease) -> list[TaskId]:
        """The same as ``worker.heartbeat()``."""
        return worker.heartbeat()

    def middleware(self) -> Layer:
        """The outermost layer: stores what a run gave, whatever the layers inside it do."""
        return acknowledge

    def resume_abandoned(self, *, exits: Iterable[WorkerExit] = ()) -> list[TaskId]:
        """Return the tasks of dead owners to the queue, and tell which."""
        return unpack_ids(self._call(Verb.RESUME_ABANDONED, [list(end) for end in exits]).body)

    # --- FetchById, Update, Reschedule, ResumeById, Cancel, Vacuum ----------------------------------

    def _task(self, response: Response) -> Task[Any]:
        return unpack_task(response.body, response.blobs, self._decoder)

    def fetch_by_id(self, task_id: TaskId | str) -> Task[Any] | None:
        """The task in whatever status, or None."""
        response = self._call(Verb.FETCH_BY_ID, pack_id(TaskId.parse(task_id)))
        return self._task(response) if response.body is not None else None

    def update(self, task: Task[Any], *, expect: Status | None = None) -> Task[Any]:
        """Store the parts of ``task`` that may change, all of them or none."""
        row = parts_row(parts_of(task))
        row[0] = task.run_at  # as it was fetched, where nobody changed it
        lease = list(task.lease) if task.lease is not None else None
        told = pack_id(TaskId(task.id)), lease, row, int(expect) if expect is not None else None
        return self._task(self._use().call(Verb.UPDATE, *told, blobs=[self._payload(task)]))

    def _payload(self, task: Task[Any]) -> bytes:
        """The arguments as bytes; as they were fetched if nobody looked at them."""
        own = self._codecs.own
        if task._decode is not None and task.payload is not None and task.codec == own.name:
            return bytes(task.payload)
        return bytes(own.encode(task.args))

    def reschedule(
        self, task: TaskId | str | Task[Any], wait: float | timedelta | datetime, *, force: bool = False
    ) -> None:
        """Make a task PENDING, due ``wait`` from now (seconds, or a timedelta) or at a datetime."""
        task_id = TaskId.parse(task.id if isinstance(task, Task) else task)
        self._call(Verb.RESCHEDULE, pack_id(task_id), moment_of(wait) / 1e6, force)

    def resume_by_id(self, task_id: TaskId | str, *, reset: bool = False) -> bool:
        """Make a task PENDING and due now."""
        return bool(self._call(Verb.RESUME_BY_ID, pack_id(TaskId.parse(task_id)), reset).body)

    def cancel(self, task_id: TaskId | str, *, running: bool = False) -> bool:
        """Make a task KILLED, with the error ``Cancelled``."""
        return bool(self._call(Verb.CANCEL, pack_id(TaskId.parse(task_id)), running).body)

    def ask_worker(self, worker_id: str, request: WorkerRequest) -> bool:
        """Have a worker pause, go on, or stop; whether there is one who can."""
        return bool(self._call(Verb.ASK_WORKER, worker_id, int(request)).body)

    def end_run(self, task_id: TaskId | str, error: ErrorInfo, *, pid: int, retry_in: float = 0.0) -> bool:
        """End the run of a task in the place of its worker, which is about to be killed."""
        told = pack_id(TaskId.parse(task_id)), pack_error(error), pid, retry_in
        return bool(self._call(Verb.END_RUN, *told).body)

    def vacuum(
        self, *, older_than: float = 0, statuses: Iterable[Status] = (Status.DONE, Status.KILLED)
    ) -> int:
        """Remove finished tasks of ``statuses`` that ended ``older_than`` seconds ago or earlier."""
        wanted = frozenset(statuses)
        if not wanted <= TERMINAL:
            raise ValueError("vacuum removes DONE and KILLED tasks only: the others are owed a run")
        return int(self._call(Verb.VACUUM, older_than, sorted(map(int, wanted))).body)

    # --- ShareLimits --------------------------------------------------------------------------------

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """Ask for a moment to begin at, of which there are only so many; by the server's clock."""
        return Turn(*self._call(Verb.TAKE_TURN, name, per_second, burst).body)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> PipePermit | None:
        """One of ``limit`` permits, or None."""
        self._use()
        return self._permits.take(name, limit, waited)

    # --- WaitForCompletion --------------------------------------------------------------------------

    def running_progress(self, since: int = 0) -> tuple[int, dict[TaskId, Progress]]:
        """How far each run is that tells it, if any told something since an earlier answer."""
        seen, rows = self._use().call(Verb.RUNNING_PROGRESS, since, patience=_LOOK_PATIENCE).body
        return seen, {unpack_id(task_id): Progress(*told) for task_id, *told in rows}

    def wait_for(
        self, ids: Iterable[TaskId], timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> AwaitedResults:
        """Results in completion order, each id once."""
        self._use()
        watch = ProgressWatch(self.running_progress, on_progress) if on_progress is not None else None
        return AwaitedResults(PipeInbox(self._use, self._decoder), ids, timeout, watch)

    def wait(
        self, task_id: TaskId | str, timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> TaskResult[Any]:
        """The result of one task."""
        return next(self.wait_for((TaskId.parse(task_id),), timeout, on_progress=on_progress))

    def check_status(self, ids: Iterable[TaskId]) -> dict[TaskId, Status]:
        """The status of each id; unknown ones are left out."""
        rows = self._call(Verb.CHECK_STATUS, pack_ids(ids)).body
        return {unpack_id(task_id): Status(status) for task_id, status in rows}

    # --- what is seen -------------------------------------------------------------------------------

    def list_queues(self) -> list[QueueInfo]:
        """Every queue beside the one behind the pipe, and that."""
        return [unpack_info(row) for row in self._call(Verb.LIST_QUEUES).body]

    def list_workers(self, queue: str | None = None) -> list[RunningWorker]:
        """The workers of ``queue`` (None: of this one), by start."""
        return [unpack_worker(row) for row in self._call(Verb.LIST_WORKERS, queue).body]

    def list_all_workers(self) -> list[RunningWorker]:
        """The workers of every queue of the namespace."""
        return [unpack_worker(row) for row in self._call(Verb.LIST_ALL_WORKERS).body]

    def list_tasks(self, queue: str | None = None, filter: Filter | None = None) -> Page[Task[Any]]:
        """One page of tasks, newest first; an undecodable payload does not fail the call."""
        response = self._call(Verb.LIST_TASKS, queue, pack_filter(filter))
        return self._page(response, self._decoder)

    def list_all_tasks(self, filter: Filter | None = None) -> Page[Task[bytes]]:
        """One page of the tasks of every queue of the namespace, newest first; payloads are not decoded."""
        return self._page(self._call(Verb.LIST_ALL_TASKS, pack_filter(filter)), lambda _codec: bytes)

    def _page(self, response: Response, decoding: Any) -> Page[Task[Any]]:
        rows, page, size, total = response.body
        return Page([unpack_task(row, response.blobs, decoding) for row in rows], page, size, total)

    def global_stats(self) -> list[Statistic]:
        """Figures about all queues of the namespace together, the ones shown first in front."""
        return unpack_stats(self._call(Verb.GLOBAL_STATS).body)

    def queue_stats(self, queue: str | None = None) -> list[Statistic]:
        """Figures about ``queue`` (None: this one); `QueueNotFound` where there is none of that name."""
        return unpack_stats(self._call(Verb.QUEUE_STATS, queue).body)

    def queue_histograms(self, queue: str | None = None) -> dict[str, Histogram]:
        """How long runs took, and how long tasks waited, in ``queue`` (None: this one)."""
        return unpack_histograms(self._call(Verb.QUEUE_HISTOGRAMS, queue).body)


def _reopen(endpoint: str, codec: Codec | None, keys: str | None, server: str | None) -> Pipe:
    return Pipe(endpoint, codec=codec, keys=keys, server=server)


def _keys(
    endpoint: str, own: str | os.PathLike[str] | None, server: str | os.PathLike[str] | None
) -> ClientKeys | None:
    """The keys that were named, or that the environment names."""
    if endpoint.startswith("tcp:"):
        own, server = own or os.environ.get(KEYS) or None, server or os.environ.get(SERVER_KEY) or None
    if own is None and server is None:
        return None
    if own is None or server is None:
        raise ValueError(
            f"{endpoint!r}: a client needs its own secret key (keys=, or {KEYS}) and the server's public key"
            f" (server=, or {SERVER_KEY})"
        )
    return ClientKeys(os.path.abspath(own), os.path.abspath(server))
