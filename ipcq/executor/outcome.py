"""What a task that ended means for its future: a value, or what to raise."""

from __future__ import annotations

from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from threading import current_thread, main_thread
from typing import Any

from ..errors import MonitorFailed, TaskFailed, TaskTimeout
from ..result import TaskResult
from ..worker_died import WorkerDied
from .encoding import Call, NotPicklable, Raised, decode

__all__ = ["ExecutorFailed", "error_of", "value_of"]


class ExecutorFailed(MonitorFailed, BrokenProcessPool):
    """No worker process can be kept alive: the initializer raises, or they end before they get to work."""


def value_of(result: TaskResult[Any]) -> Any:
    """What a call returned, or `Raised`.

    Raises:
        KeyboardInterrupt: of the user.
    """
    try:
        return decode(result.value or b"")
    except BaseException as error:  # SystemExit, too: of an object's own methods
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise
        told = NotPicklable(f"the result cannot be unpickled here: {type(error).__name__}: {error}")
        told.__cause__ = error
        return Raised(told)


def error_of(result: TaskResult[Any], call: Call | None) -> BaseException:
    """What to raise for a task that ended without a value.

    Args:
        call: that was made, to be named.
    """
    assert result.error is not None
    what = f" The call was {call}." if call is not None else ""
    if result.error.type == "Cancelled":
        return CancelledError()
    cause = result.error.cause()
    if isinstance(cause, TaskTimeout):
        late = TimeoutError(f"it ran for longer than its timeout, and was ended.{what}")
        late.__cause__ = cause
        return late
    if isinstance(cause, WorkerDied):
        return WorkerDied(f"{result.error.message}.{what}", **result.error.details)
    try:
        result.unwrap()
    except TaskFailed as error:
        return error
    return cause
