"""Tasks that are put off before they ran, at no charge."""

from __future__ import annotations

from typing import Any

from ..backend import Backend, WorkerLease
from ..errors import IllegalTransition, NotSupported, QueueFull, TaskNotFound
from ..task import Task

__all__ = ["Postponing"]

_NEEDED = {"FetchById", "Reschedule"}


class Postponing:
    """Makes a task that a worker has PENDING again, due later, attempts and deaths as before.

    In one step of the backend, so that no other worker takes it in between, and whoever dies has it PENDING
    or RUNNING.

    Args:
        backend: whose task it is.
        lease: of the worker that has it.
    """

    def __init__(self, backend: Backend, lease: WorkerLease) -> None:
        self._backend: Any = backend
        self._lease = lease

    def __repr__(self) -> str:
        return f"<Postponing for {self._lease!r}>"

    def __call__(self, task: Task[Any], seconds: float) -> None:
        """Put it off by so much from now; one that is not this worker's any more is left alone.

        Raises:
            NotSupported: the backend cannot reschedule.
        """
        if not self._backend.capabilities() >= _NEEDED:
            raise NotSupported("Reschedule", self._backend)
        stored = self._backend.fetch_by_id(task.id)
        if stored is not None and _epoch(stored) == _epoch(task):
            try:
                self._backend.reschedule(task.id, seconds, force=True)
            except (IllegalTransition, TaskNotFound, QueueFull):
                pass  # it ended, or was removed, in this moment; or there is no room for now: it comes back
        self._lease.give_back(task)  # so that the lease knows, too, that it is gone


def _epoch(task: Task[Any]) -> int | None:
    return None if task.lease is None else task.lease.epoch
