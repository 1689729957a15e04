"""Tells listeners what happens to a worker; where there are none, nothing of this is in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, cast

from ..backend import WorkerLease
from ..layer import CallNext
from ..result import ErrorInfo
from ..status import Status
from ..task import Task, TaskId
from .events import (
    Error,
    Event,
    GivenBack,
    HeartBeat,
    Killed,
    Postponed,
    Recovered,
    Retry,
    Success,
    TaskStart,
)

__all__ = ["Listener", "Teller"]

log = logging.getLogger("ipcq.worker")

Listener = Callable[[Event], object]
"""Called with each event, in the order in which they happen; what it raises is logged."""


class Teller:
    """The listeners of one worker."""

    def __init__(self, worker: str, queue: str) -> None:
        self._names: dict[str, Any] = {"worker": worker, "queue": queue}
        self.listeners: list[Listener] = []

    def __repr__(self) -> str:
        return f"<Teller of {self._names['worker']!r} to {len(self.listeners)}>"

    def __call__(self, kind: type[Event], **what: Any) -> None:
        """Tell that it happened; a listener that fails keeps nobody from going on."""
        if not self.listeners:
            return
        event = kind(**self._names, **what)
        for listener in self.listeners:
            try:
                listener(event)
            except BaseException:  # SystemExit, too: it is the listener's, not the worker's
                log.exception("listener %r failed on %r", listener, event)

    def around(self, lease: WorkerLease) -> WorkerLease:
        """The same lease, where ends of runs are told as soon as they are stored."""
        return cast("WorkerLease", _ToldLease(lease, self)) if self.listeners else lease

    def beaten(self, returned: Iterable[TaskId]) -> None:
        """There was a heartbeat, which returned these tasks of dead owners."""
        self(HeartBeat)
        self.recovered(returned)

    def recovered(self, returned: Iterable[TaskId]) -> None:
        """Tasks of dead owners were returned, if there were any."""
        ids = tuple(returned)
        if ids:
            self(Recovered, task_ids=ids)

    def begin(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """A layer: a run begins."""
        self(TaskStart, task=task)
        return call_next(task, context)


class _ToldLease:
    """A lease where what becomes of a task is told; what is not this worker's any more is not."""

    def __init__(self, lease: WorkerLease, tell: Teller) -> None:
        self._lease, self._tell = lease, tell

    def __repr__(self) -> str:
        return f"<{self._lease!r}, told>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lease, name)

    def finish(self, task: Task[Any], value: Any) -> None:
        self._lease.finish(task, value)
        self._tell(Success, task=task, value=value)

    def give_back(self, task: Task[Any]) -> bool:
        given_back = self._lease.give_back(task)
        if given_back:
            self._tell(GivenBack, task=task)
        return given_back

    def postpone(self, task: Task[Any], seconds: float) -> bool:
        postponed = self._lease.postpone(task, seconds)
        if postponed:
            self._tell(Postponed, task=task, seconds=seconds)
        return postponed

    def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        status = self._lease.fail(task, error, retry_in=retry_in, final=final)
        self._tell(Error, task=task, error=error)
        if status is Status.FAILED:
            self._tell(Retry, task=task, error=error, retry_in=retry_in)
        else:
            self._tell(Killed, task=task, error=error)
        return status
