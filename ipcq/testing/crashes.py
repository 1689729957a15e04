"""A worker process that is killed at a chosen point of a run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable
from enum import Enum
from typing import Any

from ..layer import CallNext, Layer
from ..monitor.job import Job
from ..task import Task
from ..worker import Worker
from ..worker.handler import Handler
from ..worker.injection import Provide
from ..worker.worker import WorkerBackend

__all__ = ["CrashPoint", "run_and_die"]


class CrashPoint(Enum):
    """Where the process is killed."""

    TAKEN = "taken"
    """The task is RUNNING, its handler has not begun."""
    HANDLED = "handled"
    """The handler returned or raised, with all its effects; nothing of it is stored."""
    STORED = "stored"
    """How the run ended is stored."""


def run_and_die(
    point: CrashPoint,
    backend: WorkerBackend,
    handler: Handler | str,
    layers: Iterable[Layer],
    provide: Provide | None,
) -> int:
    """Run a task in a new process, which is killed at that point; its process id, 0 where there was no task.

    Raises:
        HandlerNotFound: it could not be found there.
        RuntimeError: the process did not come so far.
    """
    job = Job.pack(backend, handler, layers, prefetch=1, provide=provide)
    context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    process = context.Process(target=_work, args=(job, point), name="ipcq-crash")
    process.start()
    try:
        process.join()
        pid, exitcode = process.pid, process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()
    if exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a worker that was to crash ended with {exitcode}; see its standard error")
    return pid if exitcode else 0


def _work(job: Job, point: CrashPoint) -> None:
    backend, handler, layers, provide = job.open()
    worker = _Doomed(None, backend, handler, layers=layers, provide=provide)
    worker.point, worker.guards = point, (worker.die_around,)
    worker.run(until_empty=True)
    backend.close()


class _Doomed(Worker):
    """Runs one task, or a part of it."""

    point: CrashPoint

    def progressed(self) -> None:
        """Have the first look be one that does not wait; die after the first task."""
        if self.tasks:
            _die()
        elif self._stream is not None:
            self._stream.wake()

    def die_around(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The layer just inside the acknowledgement."""
        if self.point is CrashPoint.TAKEN:
            _die()
        try:
            return call_next(task, context)
        finally:
            if self.point is CrashPoint.HANDLED:
                _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
