"""Split CPU work across local processes; kill any of them and lose nothing.

::

    args --push--> Sink -> Backend (queue of Tasks) -> Worker (layers -> handler) -> TaskResult --wait-->
                                  ^ Monitor keeps N workers alive, returns abandoned tasks
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .backend import (
    AskWorker,
    Backend,
    Cancel,
    Completions,
    ConfigExt,
    EndRun,
    FetchById,
    Permit,
    RegisterWorker,
    Reschedule,
    ResumeAbandoned,
    ResumeById,
    ShareLimits,
    ShowProgress,
    TaskStream,
    Turn,
    Update,
    Vacuum,
    WaitForCompletion,
    WorkerExit,
    WorkerLease,
    WorkerRequest,
)
from .codec import Codec
from .errors import (
    Abort,
    CodecError,
    ConfigMismatch,
    Conflict,
    CorruptQueue,
    DuplicateTask,
    HandlerNotFound,
    IllegalTransition,
    IpcqError,
    LeaseLost,
    MemoryExceeded,
    MonitorFailed,
    NotSupported,
    PushError,
    QueueClosed,
    QueueExists,
    QueueFull,
    QueueInUse,
    QueueNotFound,
    QueueStalled,
    ResultExpired,
    RetryAfter,
    StorageError,
    TaskFailed,
    TaskNotFound,
    TaskSinkError,
    TaskTimeout,
    UnsafeDirectory,
    UnsupportedPlatform,
    VersionMismatch,
    WaitTimeout,
    WorkerExists,
)
from .expose import (
    Expose,
    Filter,
    Histogram,
    Histograms,
    ListAllTasks,
    ListQueues,
    ListTasks,
    ListWorkers,
    Metrics,
    Page,
    QueueInfo,
    RunningWorker,
    Statistic,
    StatType,
)
from .layer import CallNext, Layer
from .result import ErrorInfo, TaskResult
from .sink import TaskSink, WeakSink, WeakTaskSink
from .status import TERMINAL, TRANSITIONS, Status, Transition
from .task import Attempt, Lease, Progress, Queue, Task, TaskId

if sys.platform == "win32":  # here, because every way in leads through here
    raise UnsupportedPlatform("ipcq needs Linux or macOS; on Windows, run it inside WSL 2")

if TYPE_CHECKING:
    from .backends.custom import CustomBackend
    from .backends.json import JsonStorage
    from .backends.memory import MemoryStorage
    from .backends.pipe import Pipe
    from .backends.shared import SharedConnection
    from .backends.store import Record, TaskStore, Write
    from .codecs import JsonCodec, MsgpackCodec, PickleCodec, RawCodec, get_codec
    from .executor import Executor, ExecutorFailed, NotPicklable, Shared, share
    from .feeding import pipe_to
    from .limits import Limits
    from .logs import LogReceiver
    from .monitor import Monitor, RestartPolicy
    from .polling import Backoff, Interval, Notify, PollStrategy, Race, Signal, Waiter
    from .tasks import TaskFunction, TaskHandle, TaskQueue
    from .urls import connect
    from .worker import Router, Worker, WorkerContext
    from .worker_died import WorkerDied

__version__ = "0.1.0"

__all__ = [
    # what is sent
    "Task",
    "TaskId",
    "Queue",
    "Lease",
    "Progress",
    "Status",
    "Transition",
    "TRANSITIONS",
    "TERMINAL",
    "Codec",
    "MsgpackCodec",
    "JsonCodec",
    "RawCodec",
    "PickleCodec",
    "get_codec",
    # where it goes in
    "TaskSink",
    "WeakTaskSink",
    "WeakSink",
    "pipe_to",
    "TaskQueue",
    "TaskFunction",
    "TaskHandle",
    # where it lives
    "Backend",
    "ConfigExt",
    "FetchById",
    "Update",
    "Reschedule",
    "ResumeById",
    "ResumeAbandoned",
    "Cancel",
    "EndRun",
    "AskWorker",
    "WorkerRequest",
    "RegisterWorker",
    "ShareLimits",
    "Vacuum",
    "WaitForCompletion",
    "ShowProgress",
    "TaskStream",
    "Completions",
    "WorkerLease",
    "WorkerExit",
    "Turn",
    "Permit",
    "MemoryStorage",
    "JsonStorage",
    "Pipe",
    "SharedConnection",
    "connect",
    "CustomBackend",
    "TaskStore",
    "Record",
    "Write",
    # what can be seen of it
    "ListQueues",
    "ListTasks",
    "ListAllTasks",
    "ListWorkers",
    "Metrics",
    "Histograms",
    "Expose",
    "Filter",
    "Page",
    "QueueInfo",
    "RunningWorker",
    "Statistic",
    "StatType",
    "Histogram",
    # who runs it
    "Worker",
    "WorkerContext",
    "Attempt",
    "Router",
    "Layer",
    "CallNext",
    "PollStrategy",
    "Interval",
    "Backoff",
    "Waiter",
    "Signal",
    "Race",
    "Notify",
    # who watches
    "Monitor",
    "RestartPolicy",
    "Limits",
    "LogReceiver",
    # who takes the place of a pool
    "Executor",
    "ExecutorFailed",
    "NotPicklable",
    "share",
    "Shared",
    # what comes back
    "TaskResult",
    "ErrorInfo",
    # what goes wrong, as the tree in errors.py
    "IpcqError",
    "TaskSinkError",
    "PushError",
    "CodecError",
    "QueueFull",
    "QueueClosed",
    "DuplicateTask",
    "TaskNotFound",
    "ResultExpired",
    "WaitTimeout",
    "TaskFailed",
    "WorkerDied",
    "WorkerExists",
    "Conflict",
    "LeaseLost",
    "TaskTimeout",
    "MemoryExceeded",
    "IllegalTransition",
    "NotSupported",
    "HandlerNotFound",
    "MonitorFailed",
    "Abort",
    "RetryAfter",
    "StorageError",
    "ConfigMismatch",
    "CorruptQueue",
    "VersionMismatch",
    "UnsafeDirectory",
    "QueueNotFound",
    "QueueInUse",
    "QueueExists",
    "QueueStalled",
    "UnsupportedPlatform",
    "__version__",
]

# Imported when first used: these need msgpack, multiprocessing, the operating system's calls, or much time.
_LAZY = {
    "MsgpackCodec": ".codecs",
    "JsonCodec": ".codecs",
    "RawCodec": ".codecs",
    "PickleCodec": ".codecs",
    "get_codec": ".codecs",
    "MemoryStorage": ".backends.memory",
    "connect": ".urls",
    "SharedConnection": ".backends.shared",
    "CustomBackend": ".backends.custom",
    "JsonStorage": ".backends.json",
    "Pipe": ".backends.pipe",
    "pipe_to": ".feeding",
    "TaskQueue": ".tasks",
    "TaskFunction": ".tasks",
    "TaskHandle": ".tasks",
    "TaskStore": ".backends.store",
    "Record": ".backends.store",
    "Write": ".backends.store",
    "Worker": ".worker",
    "WorkerContext": ".worker",
    "Router": ".worker",
    "WorkerDied": ".worker_died",
    "Executor": ".executor",
    "ExecutorFailed": ".executor",
    "NotPicklable": ".executor",
    "share": ".executor",
    "Shared": ".executor",
    "Monitor": ".monitor",
    "RestartPolicy": ".monitor",
    "Limits": ".limits",
    "LogReceiver": ".logs",
    **dict.fromkeys(
        ["Backoff", "Interval", "Notify", "PollStrategy", "Race", "Signal", "Waiter"], ".polling"
    ),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name], __name__), name)
    globals()[name] = value  # the next use finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
