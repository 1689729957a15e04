"""Where a check acts: a backend in one process, the workers it has there, and the tasks they hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..backend import Permit, TaskStream, WorkerLease
from ..backends.capabilities import Every
from ..status import Status
from ..task import Progress, Task, TaskId
from .expecting import PATIENCE, Broken

__all__ = ["Hands", "Seen", "Stage"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Seen:
    """A task as it was seen at one moment: plain values, for another process too."""

    id: TaskId
    status: Status
    args: Any
    attempts: int
    deaths: int
    max_attempts: int
    max_deaths: int
    priority: int
    run_at: float
    timeout: float | None
    metadata: Mapping[str, Any]
    lock_by: str | None
    lock_at: float | None
    done_at: float | None
    progress: Progress | None

    @classmethod
    def of(cls, task: Task[Any]) -> Seen:
        """Look at a task."""
        return cls(
            task.id,
            task.status,
            task.args,
            task.attempts,
            task.deaths,
            task.max_attempts,
            task.max_deaths,
            task.priority,
            task.run_at,
            task.timeout,
            dict(task.metadata),
            task.lock_by,
            task.lock_at,
            task.done_at,
            task.progress,
        )


class Hands:
    """A registered worker and its stream, used one step at a time."""

    def __init__(self, backend: Every, name: str, prefetch: int) -> None:
        self.lease: WorkerLease = backend.register_worker(name)
        self.stream: TaskStream = backend.poll(self.lease, prefetch=prefetch)

    def __repr__(self) -> str:
        return f"<Hands of {self.lease.worker_id!r} with {self.stream!r}>"

    def take(self) -> Task[Any]:
        """The next task, which is RUNNING then."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            task = next(self.stream)
            if task is not None:
                return task
        raise Broken(f"worker {self.lease.worker_id!r} was handed no task within {PATIENCE:g} s")

    def leave(self) -> None:
        """End the stream and the worker."""
        self.stream.close()
        self.lease.close()


class Stage:
    """A backend in this process, with its workers by name, the tasks that they run by id, and its permits."""

    def __init__(self, backend: Every) -> None:
        self.backend = backend
        self.workers: dict[str, Hands] = {}
        self.running: dict[TaskId, tuple[Hands, Task[Any]]] = {}
        self.permits: list[Permit] = []

    def __repr__(self) -> str:
        return f"<Stage of {self.backend!r}: {sorted(self.workers)} run {len(self.running)}>"

    def do(self, act: Callable[Concatenate[Stage, P], R], *args: P.args, **options: P.kwargs) -> R:
        """Do one act here."""
        return act(self, *args, **options)

    def close(self) -> None:
        """Close what was opened here, the backend last."""
        for hands in self.workers.values():
            hands.leave()
        self.workers.clear()
        self.running.clear()
        while self.permits:
            self.permits.pop().release()
        self.backend.close()
