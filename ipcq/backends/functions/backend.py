"""The backends that functions make: one that hands out, one that takes in, and one that does both."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import Any, TypeVar

from ...backend import WorkerLease
from ...errors import QueueClosed, WorkerExists
from ...layer import Layer, acknowledge
from ...polling import Backoff, Notify, PollStrategy, Race
from ...task import Queue, TaskId
from ..refusing import Refusing
from .lease import FunctionLease
from .plain import check_plain, done
from .sink import FunctionSink
from .source import Ack, Fetch, GiveBack, Push, Rows, Source
from .stream import FunctionStream

__all__ = ["DEFAULT_POLL", "FetchingBackend", "FunctionBackend", "PushingBackend"]

Self = TypeVar("Self", bound="_Base")

DEFAULT_POLL = Race(Notify(), Backoff(max=1.0))


class _Base(Refusing):
    """What all three have: the functions, a name, an end."""

    CAPABILITIES: frozenset[str]

    def __init__(
        self,
        *,
        queue: str = "default",
        fetch: Fetch | Iterable[Any] | None = None,
        push: Push | None = None,
        ack: Ack | None = None,
        give_back: GiveBack | None = None,
        poll: PollStrategy | None = None,
    ) -> None:
        self._given = {
            "queue": queue, "fetch": fetch, "push": push, "ack": ack, "give_back": give_back, "poll": poll,
        }  # fmt: skip
        for name, function in {"push": push, "ack": ack, "give_back": give_back}.items():
            if function is not None:
                check_plain(name, function)
        if callable(fetch):
            check_plain("fetch", fetch)
        self._name = Queue(queue)
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """Make what each part needs."""

    def __repr__(self) -> str:
        functions = [
            f"{name}={getattr(function, '__name__', function)}"
            for name, function in self._given.items()
            if function is not None and name not in ("queue", "poll")
        ]
        state = "closed" if self._closed else self._state()
        return f"<{type(self).__name__} {str(self._name)!r} of {', '.join(functions)} [{state}]>"

    def _state(self) -> str:
        return "open"

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self._given)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        return self._name

    @property
    def config(self) -> Mapping[str, Any]:
        """The strategy by which it is looked at, if it is."""
        return {"poll": self._given["poll"]}

    def capabilities(self) -> frozenset[str]:
        """Names of the Protocols that this backend fulfils."""
        return self.CAPABILITIES

    def close(self) -> None:
        """Give back what this process has."""
        self._closed = True


class PushingBackend(FunctionSink, _Base):
    """Takes tasks in."""

    CAPABILITIES = frozenset({"ConfigExt", "TaskSink", "WeakTaskSink"})

    def _begin(self) -> None:
        super()._begin()
        self._push: Any = self._given["push"]

    def _store(self, task: Any) -> None:
        if self._closed:
            raise QueueClosed(f"queue {self._name!r}: this handle was closed; make another one")
        done(self._push(task))

    def _pushed(self) -> None:
        """Nobody waits here."""


class FetchingBackend(_Base):
    """Hands tasks out."""

    CAPABILITIES = frozenset({"Backend", "ConfigExt", "RegisterWorker"})

    def _begin(self) -> None:
        super()._begin()
        fetch: Any = self._given["fetch"]
        given: Any = self._given
        self._source = Source(
            self._name, fetch if callable(fetch) else Rows(fetch), given["ack"], given["give_back"]
        )
        self._strategy: PollStrategy = given["poll"] or DEFAULT_POLL
        self._mutex = threading.Lock()
        self._numbers = count(1)
        self._leases: dict[str, FunctionLease] = {}

    def _state(self) -> str:
        return f"{len(self._leases)} workers"

    def register_worker(self, worker_id: str, *, layers: Iterable[str] = ()) -> FunctionLease:
        """Enter a worker; `WorkerExists` while another with this id lives in this process."""
        if self._closed:
            raise QueueClosed(f"queue {self._name!r}: this handle was closed; make another one")
        with self._mutex:
            if worker_id in self._leases:
                raise WorkerExists(f"queue {self._name!r} has a worker {worker_id!r}; choose another name")
            lease = FunctionLease(worker_id, next(self._numbers), self._source, self._leave)
            self._leases[worker_id] = lease
        return lease

    def _leave(self, lease: FunctionLease) -> None:
        with self._mutex:
            self._leases.pop(lease.worker_id, None)

    def poll(self, worker: str | WorkerLease, *, prefetch: int = 1) -> FunctionStream:
        """Tasks for one worker; an id is registered for the stream's life. One is fetched at a time."""
        if prefetch < 1:
            raise ValueError(f"prefetch must be 1 or more, not {prefetch!r}")
        if isinstance(worker, str):
            return FunctionStream(self.register_worker(worker), self._strategy, owned=True)
        if not isinstance(worker, FunctionLease):
            raise TypeError(f"poll takes a worker id or a lease of this backend, not {worker!r}")
        return FunctionStream(worker, self._strategy, owned=False)

    def heartbeat(self, worker: WorkerLease) -> list[TaskId]:
        """The same as ``worker.heartbeat()``."""
        return worker.heartbeat()

    def middleware(self) -> Layer:
        """The outermost layer: tells what a run gave, whatever the layers inside it do."""
        return acknowledge

    def close(self) -> None:
        """Give back what this process has."""
        if not self._closed:
            super().close()
            with ExitStack() as last:
                last.callback(self._source.close)
                for lease in list(self._leases.values()):
                    last.callback(lease.close)


class FunctionBackend(FetchingBackend, PushingBackend):
    """Takes tasks in and hands them out."""

    CAPABILITIES = FetchingBackend.CAPABILITIES | PushingBackend.CAPABILITIES

    def _pushed(self) -> None:
        self._source.notify()


def _make(kind: type[_Base], given: Mapping[str, Any]) -> _Base:
    return kind(**given)
