"""Workers behind the pipe, as the server knows them: their leases, their streams, and whether they live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any, NamedTuple, Protocol, cast

from ...backend import ResumeAbandoned, TaskStream, WorkerLease
from ...errors import IpcqError, LeaseLost, QueueFull, StorageError, WorkerExists
from ...expose import LARGEST_PAGE, Filter, Page
from ...result import ErrorInfo
from ...status import Status
from ...task import Lease, Progress, Task, TaskId
from ..liveness import Identity, identity_is_gone, own_identity
from ..memory.parts import HeldTask
from ..returned import Returned
from .bounds import WORKERS, Quota
from .failures import NotRegistered

__all__ = ["Held", "Member", "Members"]

_MOST_HANDED = 1 << 16  # tasks in the hands of one worker
_GONE_FOR = 0.5  # seconds that a Monitor has, who knows how its worker ended, to return what it had


class _Lease(WorkerLease, Protocol):
    """A worker that another process can go on with."""

    @property
    def place(self) -> tuple[int, ...]: ...

    def has_finished(self, task_id: TaskId, lease: Lease) -> bool: ...

    def finish(self, task: Task[Any], value: Any, *, patience: float | None = None) -> None: ...

    def finish_many(
        self, tasks: Sequence[Task[Any]], values: Iterable[Any], *, patience: float | None = None
    ) -> None: ...

    def fail(
        self,
        task: Task[Any],
        error: ErrorInfo,
        *,
        retry_in: float = 0.0,
        final: bool = False,
        patience: float | None = None,
    ) -> Status: ...

    def postpone(self, task: Task[Any], seconds: float, *, patience: float | None = None) -> bool: ...


class _Stream(TaskStream, Protocol):
    """Tasks, and many of them at once."""

    def take_many(self, most: int) -> list[Task[Any]]: ...


class _Judging(ResumeAbandoned, Protocol):
    """Backends of which a worker can be another process's."""

    def register_worker(
        self,
        worker_id: str,
        *,
        layers: Iterable[str] = (),
        identity: Identity | None = None,
        place: tuple[int, ...] | None = None,
    ) -> _Lease: ...

    def list_tasks(self, queue: str | None = None, filter: Filter | None = None) -> Page[Task[Any]]: ...


class Held(NamedTuple):
    """As much of a task as it takes to end its run."""

    id: TaskId
    lease: Lease


@dataclass
class Member:
    """A worker behind the pipe.

    Attributes:
        client: whose it is.
        identity: its process; None where that cannot be seen from here.
        handed: the tasks that it was handed, with their leases: it can end these, and no others, however
            well it guesses where those are.
        heard: when it last said anything, by `time.monotonic`.
        gone: when its process was first found to be gone.
    """

    client: bytes
    lease: _Lease
    identity: Identity | None
    handed: dict[TaskId, Lease]
    stream: _Stream | None = None
    heard: float = field(default_factory=time.monotonic)
    gone: float | None = None

    @property
    def lives(self) -> bool:
        """Whether it can still be handed a task."""
        return self.identity is None or not identity_is_gone(self.identity)

    def take(self, most: int) -> list[Task[Any]]:
        """Tasks that are there; one who was woken before looks once and does not wait."""
        if self.stream is None:
            return []
        if len(self.handed) >= _MOST_HANDED:
            raise StorageError(
                f"worker {self.lease.worker_id!r} has {len(self.handed)} tasks in its hands; end some of them"
            )
        self.stream.wake()
        if most > 1:
            tasks = self.stream.take_many(most)
        else:
            task = next(self.stream, None)
            tasks = [task] if task is not None else []
        # Read whole: that is faster than to ask a task for each of its parts.
        read = [task.read() if isinstance(task, HeldTask) else task for task in tasks]
        self.handed.update((task.id, task.lease) for task in read if task.lease is not None)
        return read

    def finish(self, tasks: Sequence[Held], values: Sequence[Any], *, again: bool) -> None:
        """Each with its value; `QueueFull` where there is no room for one now.

        Args:
            again: whether a server that is gone may have done so; then who is done is no lost lease.

        Raises:
            LeaseLost: at least one was not this worker's, or not any more; the others are DONE.
        """
        ours, lost = list[tuple[Held, Any]](), list[Held]()
        for task, value in zip(tasks, values, strict=True):
            if self.has(task):
                ours.append((task, value))
            elif not (again and self.lease.has_finished(task.id, task.lease)):
                lost.append(task)
        if ours:
            self._finish([task for task, _ in ours], [value for _, value in ours])
        if lost:
            raise self._lost(lost[0])

    def _finish(self, tasks: Sequence[Any], values: Sequence[Any]) -> None:
        try:
            if len(tasks) == 1:
                self.lease.finish(tasks[0], values[0], patience=0.0)
            else:
                self.lease.finish_many(tasks, values, patience=0.0)
        except QueueFull as full:
            self._is_rid_of(full.accepted)
            raise
        except LeaseLost:
            self._is_rid_of(task.id for task in tasks)
            raise
        self._is_rid_of(task.id for task in tasks)

    def fail(self, task: Held, error: ErrorInfo, retry_in: float, final: bool) -> Status:
        """As `WorkerLease.fail`; `QueueFull` where there is no room now."""
        if not self.has(task):
            raise self._lost(task)
        told: Any = task
        try:
            status = self.lease.fail(told, error, retry_in=retry_in, final=final, patience=0.0)
        except LeaseLost:
            self._is_rid_of([task.id])
            raise
        self._is_rid_of([task.id])
        return status

    def give_back(self, task: Held) -> bool:
        """As `WorkerLease.give_back`."""
        if not self.has(task):
            return False
        told: Any = task
        given = self.lease.give_back(told)
        self._is_rid_of([task.id])
        return given

    def postpone(self, task: Held, seconds: float) -> bool:
        """As `WorkerLease.postpone`; `QueueFull` where there is no room now."""
        if not self.has(task):
            return False
        told: Any = task
        put_off = self.lease.postpone(told, seconds, patience=0.0)
        self._is_rid_of([task.id])
        return put_off

    def tell(self, task: Held, progress: Progress) -> None:
        """As `TellsProgress.progress`."""
        if self.has(task):
            told: Any = task
            self.lease.progress(told, progress)

    def has(self, task: Held) -> bool:
        """Whether it was handed that task, under that lease."""
        return self.handed.get(task.id) == task.lease

    def _is_rid_of(self, ids: Iterable[TaskId]) -> None:
        for task_id in ids:
            self.handed.pop(task_id, None)

    def _lost(self, task: Held) -> LeaseLost:
        return LeaseLost(f"task {task.id} is not held by worker {self.lease.worker_id!r}")

    def close(self) -> None:
        """Give back what it has."""
        self._give_back(self.lease.close)

    def part(self) -> None:
        """Give back what it was not handed yet; one in a process of its own may go on with a next server."""
        goes_on = self.identity is not None and self.identity != own_identity()
        self._give_back(_nothing if goes_on else self.lease.close)

    def _give_back(self, and_then: Callable[[], None]) -> None:
        try:
            if self.stream is not None:
                self.stream.close()
            and_then()
        except IpcqError:  # it went with the queue, or was taken back already
            pass


class Members:
    """All workers of one server, by the token that each of them got.

    Attributes:
        returned: the tasks of dead ones that went back to the queue, of which no worker was told yet.
    """

    def __init__(self, backend: Any, dead_after: float) -> None:
        self._backend = cast(_Judging, backend)
        self._dead_after = dead_after
        self._all: dict[int, Member] = {}
        self._quota = Quota(WORKERS)
        self.returned = Returned()

    def __repr__(self) -> str:
        return f"<Members: {len(self._all)}>"

    def __iter__(self) -> Iterator[Member]:
        return iter(self._all.values())

    def enter(
        self,
        client: bytes,
        worker_id: str,
        layers: list[str],
        told: list[int],
        place: list[int] | None,
        has: set[TaskId],
    ) -> tuple[int, tuple[int, ...]]:
        """Register a worker with the backend, judged by its own process where that can be seen.

        Args:
            place: which it had with a server that is gone.
            has: ids of the tasks that it was handed there; all others go back.

        Returns:
            Its token, and its place.

        Raises:
            WorkerExists: a live worker has this id; or another client of ours that place.
            StorageError: too many workers.
        """
        identity = Identity(*told)
        seen = identity if identity.can_be_seen else None
        before = tuple(place) if place is not None and seen is not None else None
        self._check_place(client, worker_id, before)
        self._quota.take(client)
        try:
            lease = self._backend.register_worker(worker_id, layers=layers, identity=seen, place=before)
            handed = self._go_on(lease, has) if lease.place == before else {}
        except BaseException:
            self._quota.give(client)
            raise
        token = randbits(62)
        self._all[token] = Member(client, lease, seen, handed)
        return token, lease.place

    def _check_place(self, client: bytes, worker_id: str, place: tuple[int, ...] | None) -> None:
        """A place can be guessed: while we serve the worker there, only its own client goes on with it."""
        if place is None:
            return
        for token, member in list(self._all.items()):
            if member.lease.place == place:
                if member.client != client:
                    raise WorkerExists(f"worker {worker_id!r} is another client's; choose another name")
                self._drop(token)  # its client never heard of it: the answer was lost

    def _go_on(self, lease: _Lease, has: set[TaskId]) -> dict[TaskId, Lease]:
        """What it was handed; what a server took for it and died before that one had it is given back."""
        handed: dict[TaskId, Lease] = {}
        for status in (Status.QUEUED, Status.RUNNING):
            page, full = 1, True
            while full:
                wanted = Filter(status, page, LARGEST_PAGE, lease.worker_id)
                tasks = self._backend.list_tasks(filter=wanted).items
                handed.update((t.id, t.lease) for t in tasks if t.id in has and t.lease is not None)
                lost = sum(lease.give_back(task) for task in tasks if task.id not in has)
                full = len(tasks) == LARGEST_PAGE
                page += not lost  # what was given back is on no page any more, and others moved up
        return handed

    def get(self, token: int) -> Member:
        """Whose token that is, heard of now; `NotRegistered` for one that is not known, or not any more."""
        member = self._all.get(token)
        if member is None:
            raise NotRegistered(
                "this worker left, or was taken for dead, or the server is another; register again"
            )
        member.heard = time.monotonic()
        return member

    def leave(self, token: int) -> None:
        """Give back what one has; `NotRegistered` as `get`."""
        member = self.get(token)
        self._drop(token)
        member.close()

    def _drop(self, token: int) -> None:
        self._quota.give(self._all.pop(token).client)

    def tend(self, now: float) -> None:
        """Let go those who died: where the process is gone, what it had is charged, as the backend does.

        One that cannot be seen is dead after ``dead_after`` seconds of silence; what it had is given back.
        """
        for token, member in list(self._all.items()):
            if member.identity is None:
                if now - member.heard > self._dead_after:
                    self.leave(token)
            elif not member.lives:
                member.gone = member.gone or now
                if now - member.gone > _GONE_FOR:
                    self.returned.add(self._backend.resume_abandoned())
                    self._drop(token)


def _nothing() -> None:
    pass
