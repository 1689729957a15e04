"""Workers behind the pipe, as the server knows them: their leases, their streams, and whether they live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any, Protocol, cast

from ...backend import RegisterWorker, ResumeAbandoned, TaskStream, WorkerLease
from ...errors import IpcqError, QueueClosed
from ..liveness import Identity, identity_is_gone

__all__ = ["Member", "Members"]

_GONE_FOR = 0.5  # seconds that a Monitor has, who knows how its worker ended, to return what it had


class _Judging(RegisterWorker, ResumeAbandoned, Protocol):
    """Backends of which a worker can be another process's."""


@dataclass
class Member:
    """A worker behind the pipe.

    Attributes:
        identity: its process; None where that cannot be seen from here.
        heard: when it last said anything, by `time.monotonic`.
        gone: when its process was first found to be gone.
    """

    lease: WorkerLease
    identity: Identity | None
    stream: TaskStream | None = None
    heard: float = field(default_factory=time.monotonic)
    gone: float | None = None

    @property
    def lives(self) -> bool:
        """Whether it can still be handed a task."""
        return self.identity is None or not identity_is_gone(self.identity)

    def close(self) -> None:
        """Give back what it has."""
        try:
            if self.stream is not None:
                self.stream.close()
            self.lease.close()
        except IpcqError:  # it went with the queue, or was taken back already
            pass


class Members:
    """All workers of one server, by the token that each of them got."""

    def __init__(self, backend: Any, dead_after: float) -> None:
        self._backend = cast(_Judging, backend)
        self._dead_after = dead_after
        self._all: dict[int, Member] = {}

    def __repr__(self) -> str:
        return f"<Members: {len(self._all)}>"

    def __iter__(self) -> Iterator[Member]:
        return iter(self._all.values())

    def enter(self, worker_id: str, layers: list[str], told: list[int]) -> int:
        """Register a worker with the backend, judged by its own process where that can be seen; its token."""
        identity = Identity(*told)
        register: Callable[..., WorkerLease] = self._backend.register_worker
        seen = identity if identity.can_be_seen else None
        token = randbits(62)
        self._all[token] = Member(register(worker_id, layers=layers, identity=seen), seen)
        return token

    def find(self, token: int) -> Member | None:
        """Whose token that is; heard of now."""
        member = self._all.get(token)
        if member is not None:
            member.heard = time.monotonic()
        return member

    def get(self, token: int) -> Member:
        """The same; `QueueClosed` for one that is not known, or not any more."""
        member = self.find(token)
        if member is None:
            raise QueueClosed(
                "this worker left, or was taken for dead, or the server is another; register again"
            )
        return member

    def leave(self, token: int) -> None:
        """Give back what one has; nothing where it left before."""
        member = self._all.pop(token, None)
        if member is not None:
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
                    self._backend.resume_abandoned()
                    del self._all[token]
