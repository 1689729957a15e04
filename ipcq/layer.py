"""The contract of a layer, a plain callable around the handler, and the outermost one of all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any

from .errors import Abort, LeaseLost, NotSupported, QueueClosed, RetryAfter, StorageError
from .result import ErrorInfo
from .task import Task

__all__ = [
    "CallNext",
    "ForcedStop",
    "GivenUp",
    "Layer",
    "Overrun",
    "PutOff",
    "acknowledge",
    "compose",
    "failure_of",
]

log = logging.getLogger("ipcq.worker")

LONGEST_DELAY = 9e9
"""Seconds: what every backend takes."""
_NOBODY = (LeaseLost, QueueClosed, StorageError)  # there is no task, or no queue, to tell it to

CallNext = Callable[[Task[Any], Any], Any]
"""``call_next(task, context)`` runs what is inside and returns what the handler returned."""

Layer = Callable[[Task[Any], Any, CallNext], Any]
"""``layer(task, context, call_next)`` returns what ``call_next`` gave, or something else."""


class ForcedStop(BaseException):
    """Raised inside a handler by a forced stop; layers and handlers let it pass.

    Also by a lease that was told to `hurry` while it waited for room.
    """


class Overrun(ForcedStop):
    """Raised inside a handler whose run is ended by a limit: the run has failed.

    Args:
        error: what is stored.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class PutOff(ForcedStop):
    """Raised by a layer instead of a run: the task is to be run later, and nothing is charged to it.

    Where `WorkerLease.postpone` is not supported, it is stored as a failed run, as for `RetryAfter`.

    Args:
        seconds: from now on, 0 or more.
        reason: what is stored, if anything is.

    Raises:
        ValueError: there are fewer.
    """

    def __init__(self, seconds: float, reason: str) -> None:
        if not seconds >= 0:
            raise ValueError(f"a task is put off by 0 seconds or more, not {seconds!r}")
        super().__init__(reason)
        self.seconds = seconds


class GivenUp(Abort):
    """Raised by a layer from an error that must not be tried again: that error is stored."""


def compose(layers: Iterable[Layer], innermost: CallNext) -> CallNext:
    """One callable out of all, the first layer outermost."""
    chain = innermost
    for layer in reversed(list(layers)):
        chain = _around(layer, chain)
    return chain


def _around(layer: Layer, call_next: CallNext) -> CallNext:
    method = type(layer).__call__
    # The method of an object is called in half the time of the object.
    call = MethodType(method, layer) if isinstance(method, FunctionType) else layer

    def run(task: Task[Any], context: Any) -> Any:
        return call(task, context, call_next)

    return run


def acknowledge(task: Task[Any], context: Any, call_next: CallNext) -> None:
    """Store how the run ended, whatever the layers inside do: what `Backend.middleware` returns.

    A value makes the task DONE, an exception of any kind a failed run, `RetryAfter` one that is run again
    later, `Abort` or arguments that cannot be decoded KILLED. A forced stop gives the task back, `PutOff`
    puts it off.

    Args:
        context: its attribute ``lease`` is the `WorkerLease` that has the task.
    """
    lease = context.lease
    try:
        try:
            _ = task.args
        except Exception as error:
            lease.fail(task, ErrorInfo.from_exception(error), final=True)
            return
        try:
            value = call_next(task, context)
        except ForcedStop as stop:
            _break_off(lease, task, stop)
        except BaseException as error:  # SystemExit too: a task must not end its worker
            _fail(lease, task, error)
        else:
            try:
                lease.finish(task, value)
            except _NOBODY:
                raise
            except Exception as error:  # the value has no encoded form, or no room
                _fail(lease, task, error)
    except ForcedStop:  # while it waited for room
        lease.give_back(task)
    except LeaseLost as lost:
        log.info("task %s: %s", task.id, lost)


def _break_off(lease: Any, task: Task[Any], stop: ForcedStop) -> None:
    if isinstance(stop, Overrun):
        _fail(lease, task, stop.error.with_traceback(stop.__traceback__))
    elif isinstance(stop, PutOff):
        _put_off(lease, task, stop)
    else:
        lease.give_back(task)


def _put_off(lease: Any, task: Task[Any], later: PutOff) -> None:
    try:
        lease.postpone(task, min(later.seconds, LONGEST_DELAY))
    except NotSupported:
        _fail(lease, task, RetryAfter(later.seconds, str(later)))


def _fail(lease: Any, task: Task[Any], error: BaseException) -> None:
    later = _delay_of(error) if isinstance(error, RetryAfter) else 0.0
    told = ErrorInfo.from_exception(failure_of(error))
    lease.fail(task, told, retry_in=later, final=isinstance(error, Abort))


def _delay_of(error: RetryAfter) -> float:
    """Seconds that every backend takes; 0 where a subclass has left none."""
    try:
        return min(max(0.0, float(error.seconds)), LONGEST_DELAY)  # not a number: 0
    except (AttributeError, TypeError, ValueError):
        return 0.0


def failure_of(error: BaseException) -> BaseException:
    """The error that a run failed with: where a layer says what becomes of it, the one that it speaks of."""
    if isinstance(error, (RetryAfter, GivenUp)) and error.__cause__ is not None:
        return error.__cause__
    return error
