"""Kills a worker of a queue in the middle of its work, for tests of what happens then."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from ..expose import RunningWorker

__all__ = ["kill_worker"]

_PATIENCE = 10.0  # seconds until there is one
_MOMENT = 0.001


def kill_worker(
    backend: Any, worker: str | int | None = None, *, patience: float = _PATIENCE
) -> RunningWorker:
    """SIGKILL a worker process, and wait until the queue has returned what it had.

    Args:
        backend: with `ListWorkers` and `ResumeAbandoned`.
        worker: its id, or its process id; None for any, as soon as one runs a task.
        patience: seconds to wait for it.

    Returns:
        The worker, as it was listed last.

    Raises:
        TimeoutError: there was none, or it did not go.
    """
    until = time.monotonic() + patience

    def waiting_for(what: str, found: Callable[[], Any]) -> Any:
        while not (it := found()):
            if time.monotonic() >= until:
                raise TimeoutError(f"{what} within {patience:g} s, in {backend!r}")
            time.sleep(_MOMENT)
        return it

    victim: RunningWorker = waiting_for(_missing(worker), lambda: _find(backend, worker))
    os.kill(victim.pid, signal.SIGKILL)
    waiting_for(f"worker {victim.id!r} was not gone", lambda: not _is_listed(backend, victim))
    return victim


def _missing(worker: str | int | None) -> str:
    return (
        "no other process ran a task"
        if worker is None
        else f"there was no worker {worker!r} of another process"
    )


def _find(backend: Any, worker: str | int | None) -> RunningWorker | None:
    others = [row for row in backend.list_workers() if row.pid != os.getpid() and row.alive]
    for row in others:
        if row.running if worker is None else worker in (row.id, row.pid):
            return row  # type: ignore[no-any-return]
    return None


def _is_listed(backend: Any, victim: RunningWorker) -> bool:
    """Whether it is still there; if it is dead, what it had is returned first."""
    there = [row for row in backend.list_workers() if (row.id, row.pid) == (victim.id, victim.pid)]
    if there and not there[0].alive:
        backend.resume_abandoned()
    return bool(there)
