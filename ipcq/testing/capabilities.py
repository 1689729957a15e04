"""Every capability: its Protocol, and a call that a backend without it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import backend, expose, sink
from ..backends.capabilities import Every
from ..errors import NotSupported
from ..result import ErrorInfo
from ..task import Task, TaskId
from .expecting import Broken, expect_equal, expect_raises

__all__ = ["CALLS", "PARTS", "PROTOCOLS", "WITH", "check_refusal"]

PROTOCOLS: Mapping[str, Any] = {
    name: getattr(module, name) for module in (backend, expose, sink) for name in module.__all__
}

CALLS: Mapping[str, Callable[[Every], object]] = {
    "AskWorker": lambda it: it.ask_worker("nobody", backend.WorkerRequest.PAUSE),
    "Cancel": lambda it: it.cancel(TaskId.new()),
    "ConfigExt": lambda it: it.config,
    "EndRun": lambda it: it.end_run(TaskId.new(), ErrorInfo("Late", "late"), pid=1),
    "FetchById": lambda it: it.fetch_by_id(TaskId.new()),
    "Histograms": lambda it: it.queue_histograms(),
    "ListAllTasks": lambda it: it.list_all_tasks(),
    "ListQueues": lambda it: it.list_queues(),
    "ListTasks": lambda it: it.list_tasks(),
    "ListWorkers": lambda it: it.list_workers(),
    "Metrics": lambda it: it.queue_stats(),
    "RegisterWorker": lambda it: it.register_worker("worker"),
    "Reschedule": lambda it: it.reschedule(TaskId.new(), 1.0),
    "ResumeAbandoned": lambda it: it.resume_abandoned(),
    "ResumeById": lambda it: it.resume_by_id(TaskId.new()),
    "ShareLimits": lambda it: it.take_permit("limit", 1),
    "ShowProgress": lambda it: it.running_progress(),
    "TaskSink": lambda it: it.push(1),
    "Update": lambda it: it.update(Task.of(1)),
    "Vacuum": lambda it: it.vacuum(),
    "WaitForCompletion": lambda it: it.check_status([]),
    "WeakTaskSink": lambda it: it.weak(),
}

PARTS: Mapping[str, frozenset[str]] = {
    "Expose": frozenset(base.__name__ for base in expose.Expose.__mro__ if base.__name__ in CALLS)
}
"""Capabilities that are others together: what is missing of those says so itself."""

WITH: Mapping[str, str] = {"Codec": "TaskSink", "TaskResult": "WaitForCompletion", "TaskStream": "Backend"}
"""Rows of the capability table that come with another one."""


def check_refusal(it: Every, capability: str) -> None:
    """Raise `Broken` unless a call of this capability raises `NotSupported` naming it."""
    has = it.capabilities()
    if capability in PARTS:
        if PARTS[capability] <= has:
            raise Broken(f"it has all parts of {capability} and does not name {capability}")
    elif capability in CALLS:
        error = expect_raises(NotSupported, CALLS[capability], it)
        expect_equal(error.capability, capability, "the capability that NotSupported names")
    elif WITH.get(capability) in has:
        raise Broken(f"a backend with {WITH[capability]} has {capability}, too")
