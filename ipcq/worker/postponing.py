"""Tasks that are put off before they ran, at no charge."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..backend import Backend, WorkerLease
from ..errors import IllegalTransition, NotSupported, QueueFull, TaskNotFound
from ..task import Task
from .stopping import Stop

__all__ = ["Postponing"]

_NEEDED = {"FetchById", "Reschedule"}
_PAUSE = 0.1
"""Seconds between two looks at a store that is full."""


class Postponing:
    """Makes a task that a worker has PENDING again, due later, attempts and deaths as before.

    In one step of the backend, so that no other worker takes it in between, and whoever dies has it PENDING
    or RUNNING.

    Args:
        backend: whose task it is.
        lease: of the worker that has it.
        stop: whether that is to end.
        told: called with the task and the seconds once it is put off.
        sleep: waits so many seconds; for tests.
    """

    def __init__(
        self,
        backend: Backend,
        lease: WorkerLease,
        stop: Stop,
        *,
        told: Callable[[Task[Any], float], object] = lambda _task, _seconds: None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._backend: Any = backend
        self._lease, self._stop, self._told, self._sleep = lease, stop, told, sleep

    def __repr__(self) -> str:
        return f"<Postponing for {self._lease!r}>"

    def __call__(self, task: Task[Any], seconds: float) -> None:
        """Put it off by so much from now; one that is not this worker's any more is left alone.

        A store that is full is waited for, as for the end of a run; without room when the worker is to end,
        the task is given back as it is.

        Raises:
            NotSupported: the backend cannot reschedule.
        """
        if not self._backend.capabilities() >= _NEEDED:
            raise NotSupported("Reschedule", self._backend)
        while not self._moved(task, seconds) and not self._stop.requested:
            self._sleep(_PAUSE)
        self._lease.give_back(task)  # so that the lease knows, too, that it is gone

    def _moved(self, task: Task[Any], seconds: float) -> bool:
        """Whether there is nothing more to do."""
        stored = self._backend.fetch_by_id(task.id)
        if stored is None or _epoch(stored) != _epoch(task):
            return True
        try:
            self._backend.reschedule(task.id, seconds, force=True)
        except QueueFull:
            return False
        except (IllegalTransition, TaskNotFound):
            return True  # it ended, or was removed, in this moment
        self._told(task, seconds)
        return True


def _epoch(task: Task[Any]) -> int | None:
    return None if task.lease is None else task.lease.epoch
