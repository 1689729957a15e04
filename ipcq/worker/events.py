"""What happens to a worker, as values: what `Worker.on_event` listeners get."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ..result import ErrorInfo
from ..task import Task, TaskId

__all__ = [
    "Custom",
    "Error",
    "Event",
    "GivenBack",
    "HeartBeat",
    "Idle",
    "Killed",
    "Pause",
    "Postponed",
    "Recovered",
    "Resume",
    "Retry",
    "Start",
    "Stop",
    "Success",
    "TaskStart",
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """What all of them have.

    Attributes:
        worker: the worker's id.
        queue: name of its queue; empty if the backend does not tell.
        at: when, in Unix seconds.
    """

    worker: str
    queue: str
    at: float = field(default_factory=time.time)


class Start(Event):
    """It is about to take its first task."""


class Idle(Event):
    """It looked for a task and found none; told once until there is one again."""


class HeartBeat(Event):
    """It told its queue that it lives; told in a thread of its own."""


class Pause(Event):
    """It takes no tasks from now on."""


class Resume(Event):
    """It takes tasks again."""


class Stop(Event):
    """It has ended, and given back what it had."""


@dataclass(frozen=True, kw_only=True)
class Custom(Event):
    """What a handler or a layer told by `WorkerContext.tell`.

    Attributes:
        name: what it is.
        data: whatever belongs to it.
    """

    name: str
    data: Any = None


@dataclass(frozen=True, kw_only=True)
class Recovered(Event):
    """Tasks of dead owners were returned to the queue.

    Told by whoever returned them: a worker, in the thread of its heartbeats, or a Monitor whose worker ended;
    then ``worker`` is the Monitor's name. What a process that pushes or waits returned is told by nobody.

    Attributes:
        task_ids: which; those that are KILLED because of that death are not among them.
    """

    task_ids: tuple[TaskId, ...]


@dataclass(frozen=True, kw_only=True)
class _OfTask(Event):
    task: Task[Any]


class TaskStart(_OfTask):
    """A task is RUNNING, and its handler about to be called."""


@dataclass(frozen=True, kw_only=True)
class Success(_OfTask):
    """A task is DONE: its value is stored.

    Attributes:
        value: what was stored.
    """

    value: Any


@dataclass(frozen=True, kw_only=True)
class Error(_OfTask):
    """A run failed; followed by `Retry` or `Killed`.

    Attributes:
        error: what is stored.
    """

    error: ErrorInfo


@dataclass(frozen=True, kw_only=True)
class Retry(_OfTask):
    """A task is FAILED: another run is owed to it.

    Attributes:
        error: of the run that failed.
        retry_in: seconds until it is due.
    """

    error: ErrorInfo
    retry_in: float


@dataclass(frozen=True, kw_only=True)
class Killed(_OfTask):
    """A task is KILLED: it is not run again.

    Attributes:
        error: of its last run.
    """

    error: ErrorInfo


class GivenBack(_OfTask):
    """A task is PENDING again at its old place: a forced stop broke its run off, or there was none yet."""


@dataclass(frozen=True, kw_only=True)
class Postponed(_OfTask):
    """A task is PENDING again, due later, nothing charged: a layer raised `PutOff`.

    Attributes:
        seconds: until it is due.
    """

    seconds: float
