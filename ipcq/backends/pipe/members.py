"""Workers behind the pipe, as the server knows them: their leases, their streams, and whether they live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any, Protocol, cast

from ...backend import ResumeAbandoned, TaskStream, TellsProgress, WorkerLease
from ...errors import IpcqError
from ...expose import LARGEST_PAGE, Filter, Page
from ...result import ErrorInfo
from ...status import Status
from ...task import Task
from ..liveness import Identity, identity_is_gone, own_identity
from ..returned import Returned
from .failures import NotRegistered

__all__ = ["Member", "Members"]

_GONE_FOR = 0.5  # seconds that a Monitor has, who knows how its worker ended, to return what it had


class _Lease(WorkerLease, TellsProgress, Protocol):
    """A worker that another process can go on with."""

    @property
    def place(self) -> tuple[int, ...]: ...

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


@dataclass
class Member:
    """A worker behind the pipe.

    Attributes:
        identity: its process; None where that cannot be seen from here.
        heard: when it last said anything, by `time.monotonic`.
        gone: when its process was first found to be gone.
    """

    lease: _Lease
    identity: Identity | None
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
        self.stream.wake()
        if most > 1:
            return self.stream.take_many(most)
        task = next(self.stream, None)
        return [task] if task is not None else []

    def finish(self, tasks: Sequence[Task[Any]], values: Sequence[Any]) -> None:
        """Each with its value; `QueueFull` where there is no room for one now."""
        if len(tasks) == 1:
            self.lease.finish(tasks[0], values[0], patience=0.0)
        else:
            self.lease.finish_many(tasks, values, patience=0.0)

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
        self.returned = Returned()

    def __repr__(self) -> str:
        return f"<Members: {len(self._all)}>"

    def __iter__(self) -> Iterator[Member]:
        return iter(self._all.values())

    def enter(
        self, worker_id: str, layers: list[str], told: list[int], place: list[int] | None, has: set[int]
    ) -> tuple[int, tuple[int, ...]]:
        """Register a worker with the backend, judged by its own process where that can be seen.

        Args:
            place: which it had with a server that is gone.
            has: ids of the tasks that it was handed there; all others go back.

        Returns:
            Its token, and its place.
        """
        identity = Identity(*told)
        seen = identity if identity.can_be_seen else None
        before = tuple(place) if place is not None and seen is not None else None
        lease = self._backend.register_worker(worker_id, layers=layers, identity=seen, place=before)
        if lease.place == before:
            self._return_what_was_lost(lease, has)
        token = randbits(62)
        self._all[token] = Member(lease, seen)
        return token, lease.place

    def _return_what_was_lost(self, lease: _Lease, has: set[int]) -> None:
        """Give back what a server took for a worker and died before that one had it."""
        for status in (Status.QUEUED, Status.RUNNING):
            wanted = Filter(status, page_size=LARGEST_PAGE, worker=lease.worker_id)
            lost = True
            while lost:  # page by page: what is given back is on none any more
                tasks = self._backend.list_tasks(filter=wanted).items
                lost = sum(lease.give_back(task) for task in tasks if task.id not in has) > 0

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
        del self._all[token]
        member.close()

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
                    del self._all[token]


def _nothing() -> None:
    pass
