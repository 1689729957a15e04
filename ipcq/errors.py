"""Every public error of ipcq, in one tree.

::

    IpcqError
    ├── TaskSinkError                   a task was not accepted; nothing was stored for it
    │   ├── PushError                   the backend refused it
    │   ├── CodecError                  a value cannot be encoded or decoded
    │   ├── QueueFull      (queue.Full) no room, within the time allowed
    │   ├── QueueClosed                 the queue was destroyed or closed
    │   └── DuplicateTask               a task with this id is in the queue already
    ├── TaskNotFound   (LookupError)    no such task, or it was removed
    ├── ResultExpired  (LookupError)    the task finished, but its result is gone
    ├── WaitTimeout    (TimeoutError)   the time allowed for a wait is over; the task goes on
    ├── TaskFailed                      the task ended without a value; the cause is the remote error
    ├── WorkerDied     (BrokenProcessPool)  the process running the task died too often
    ├── TaskTimeout    (TimeoutError)   the task ran for longer than it may, and was ended
    ├── MemoryExceeded (MemoryError)    the process running the task had more memory than it may
    ├── WorkerExists                    a live worker already has this id
    ├── Conflict                        the task is not as was expected; nothing was changed
    ├── LeaseLost                       the task is no longer this worker's; nothing was changed
    ├── IllegalTransition               a task cannot move from this status to that one
    ├── NotSupported                    the backend does not have this capability
    ├── HandlerNotFound                 a "module:function" names nothing that can be called
    ├── MonitorFailed                   the monitor could not keep its workers alive
    ├── Abort                           raised by a handler: do not run this task again
    ├── RetryAfter                      raised by a handler: run it again, not before so many seconds
    └── StorageError                    the storage behind a queue cannot be used
        ├── ConfigMismatch              the queue exists with other settings
        ├── CorruptQueue                damaged bytes, or not a queue at all
        ├── VersionMismatch             written by another version of ipcq
        ├── UnsafeDirectory (PermissionError)  somebody else could write there
        ├── QueueNotFound  (LookupError)  no queue of that name exists
        ├── QueueInUse                  other processes are attached
        ├── QueueExists                 this process has that queue already, over the same connection
        ├── QueueStalled   (TimeoutError)  a live process holds the queue's lock and does not move
        └── UnsupportedPlatform         this operating system is not supported

`WorkerDied` is in a module of its own: the class that it extends takes longer to import than all the others.

Foreign errors (``OSError``, msgpack's) are translated where they enter, with ``from``.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .task import TaskId

__all__ = [
    "Abort",
    "CodecError",
    "ConfigMismatch",
    "Conflict",
    "CorruptQueue",
    "DuplicateTask",
    "HandlerNotFound",
    "IllegalTransition",
    "IpcqError",
    "LeaseLost",
    "MemoryExceeded",
    "MonitorFailed",
    "NotSupported",
    "PushError",
    "QueueClosed",
    "QueueExists",
    "QueueFull",
    "QueueInUse",
    "QueueNotFound",
    "QueueStalled",
    "ResultExpired",
    "RetryAfter",
    "StorageError",
    "TaskFailed",
    "TaskNotFound",
    "TaskSinkError",
    "TaskTimeout",
    "UnsafeDirectory",
    "UnsupportedPlatform",
    "VersionMismatch",
    "WaitTimeout",
    "WorkerExists",
]


class IpcqError(Exception):
    """The root of every error that ipcq raises on purpose."""


class TaskSinkError(IpcqError):
    """A task was not accepted; nothing was stored for it.

    Attributes:
        accepted: ids of the tasks of the same call that were stored before it, in their order: they
            will be run. Push those behind them again, not these.
    """

    accepted: Sequence[TaskId] = ()


class PushError(TaskSinkError):
    """The backend refused the task."""


class CodecError(TaskSinkError):
    """A value cannot be encoded, or bytes cannot be decoded, by the codec named in the message."""


class QueueFull(TaskSinkError, queue.Full):
    """No room in the queue within the time allowed.

    Attributes:
        waiting_helps: False where what fills the queue is the caller's own results, not yet fetched.
    """

    waiting_helps = True


class QueueClosed(TaskSinkError):
    """The queue was destroyed, or this handle on it was closed."""


class DuplicateTask(TaskSinkError):
    """A task with this id is in the queue already."""


class TaskNotFound(IpcqError, LookupError):
    """No task has this id, or it was removed."""


class ResultExpired(IpcqError, LookupError):
    """The task finished, but its result was removed before it was fetched.

    Attributes:
        task_id: whose result it was.
    """

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(
            f"the result of task {task_id} was removed before it was fetched; fetch earlier,"
            " raise result_ttl=, push it with keep_result=True, or look for who calls vacuum()"
        )
        self.task_id = task_id

    def __reduce__(self) -> tuple[type[ResultExpired], tuple[TaskId]]:
        return ResultExpired, (self.task_id,)


class WaitTimeout(IpcqError, TimeoutError):
    """The time allowed for a wait is over; the tasks themselves go on."""


class TaskFailed(IpcqError):
    """The task ended without a value; ``__cause__`` carries the remote error and traceback."""


class TaskTimeout(IpcqError, TimeoutError):
    """The task ran for longer than its ``run_timeout``, or its worker's limit, and was ended."""


class MemoryExceeded(IpcqError, MemoryError):
    """The process running the task had more memory than its worker's limit, and the run was ended."""


class WorkerExists(IpcqError):
    """A live worker already has this id in this queue."""


class Conflict(IpcqError):
    """The task has another status or epoch than the caller expected; nothing was changed."""


class LeaseLost(IpcqError):
    """The task is no longer this worker's (cancelled, or taken over); nothing was changed."""


class IllegalTransition(IpcqError):
    """A task cannot move from one status to the other; nothing was changed.

    Attributes:
        source: the status the task has.
        target: the status that was asked for.
    """

    def __init__(self, source: object, target: object) -> None:
        super().__init__(
            f"a task cannot move from {getattr(source, 'name', source)} to {getattr(target, 'name', target)}"
        )
        self.source = source
        self.target = target


class NotSupported(IpcqError):
    """The backend does not have the capability that a call needs."""

    def __init__(self, capability: str, backend: object) -> None:
        super().__init__(
            f"{backend!r} does not support {capability}; see its capabilities() for what it can do"
        )
        self.capability = capability


class HandlerNotFound(IpcqError):
    """A ``module:function`` names nothing that can be imported and called."""


class MonitorFailed(IpcqError):
    """The monitor could not keep its workers alive."""


class Abort(IpcqError):
    """Raised by a handler: the task failed and must not be run again, whatever is left."""


class RetryAfter(IpcqError):
    """Raised by a handler: the run failed, and the next one is not to begin before some time has passed.

    The time is kept with the task: no worker waits, and it outlives all of them. With no attempt left the
    task is KILLED. Raised ``from`` another error it is that one which is stored.

    Args:
        seconds: from now on; 0 for at once.
        message: what is stored, where it was not raised from another error.
    """

    def __init__(self, seconds: float, message: str = "") -> None:
        if not seconds >= 0:
            raise ValueError(f"a retry comes after 0 seconds or more, not {seconds!r}")
        super().__init__(message or f"again in {seconds:g} s")
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[RetryAfter], tuple[float, str]]:
        return RetryAfter, (self.seconds, str(self))


class StorageError(IpcqError):
    """The storage behind a queue cannot be used."""


class ConfigMismatch(StorageError):
    """The queue exists already with another value of a fixed setting."""


class CorruptQueue(StorageError):
    """The files of the queue are damaged, or are not a queue at all."""


class VersionMismatch(StorageError):
    """The queue was written by a version of ipcq with another layout."""


class UnsafeDirectory(StorageError, PermissionError):
    """Somebody else owns the directory or may write to it."""


class QueueNotFound(StorageError, LookupError):
    """No queue of that name exists, and it was not to be created."""


class QueueInUse(StorageError):
    """Other processes are attached to the queue."""


class QueueExists(StorageError):
    """This process has opened that queue already over the same connection."""


class QueueStalled(StorageError, TimeoutError):
    """A live process holds the queue's lock and does not move (stopped, or in a debugger)."""


class UnsupportedPlatform(StorageError):
    """This operating system is not supported."""
