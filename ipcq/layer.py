"""The contract of a layer, a plain callable around the handler, and the outermost one of all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .errors import Abort, LeaseLost, QueueClosed, StorageError
from .result import ErrorInfo
from .task import Task

__all__ = ["CallNext", "ForcedStop", "Layer", "acknowledge", "compose"]

log = logging.getLogger("ipcq.worker")

CallNext = Callable[[Task[Any], Any], Any]
"""``call_next(task, context)`` runs what is inside and returns what the handler returned."""

Layer = Callable[[Task[Any], Any, CallNext], Any]
"""``layer(task, context, call_next)`` returns what ``call_next`` gave, or something else."""


class ForcedStop(BaseException):
    """Raised inside a handler by a forced stop; layers and handlers let it pass."""


def compose(layers: Iterable[Layer], innermost: CallNext) -> CallNext:
    """One callable out of all, the first layer outermost."""
    chain = innermost
    for layer in reversed(list(layers)):
        chain = partial(_inside, layer, chain)
    return chain


def _inside(layer: Layer, call_next: CallNext, task: Task[Any], context: Any) -> Any:
    return layer(task, context, call_next)


def acknowledge(task: Task[Any], context: Any, call_next: CallNext) -> None:
    """Store how the run ended, whatever the layers inside do: what `Backend.middleware` returns.

    A value makes the task DONE, an exception of any kind a failed run, `Abort` or arguments that
    cannot be decoded KILLED. A forced stop gives the task back.

    Args:
        context: its attribute ``lease`` is the `WorkerLease` that has the task.
    """
    store = _run(task, context, call_next)
    try:
        store()
    except LeaseLost as lost:
        log.info("task %s: %s", task.id, lost)
    except (QueueClosed, StorageError):
        raise  # there is no queue to tell it to
    except Exception as error:  # the value has no encoded form, or no room
        _fail(task, context.lease, error)


def _run(task: Task[Any], context: Any, call_next: CallNext) -> Callable[[], object]:
    """Run the task; return what is to be stored, so that no error of the one is taken for the other's."""
    lease = context.lease
    try:
        _ = task.args
    except Exception as error:
        return partial(lease.fail, task, ErrorInfo.from_exception(error), final=True)
    try:
        value = call_next(task, context)
    except ForcedStop:
        return partial(lease.give_back, task)
    except BaseException as error:  # SystemExit too: a task must not end its worker
        return partial(lease.fail, task, ErrorInfo.from_exception(error), final=isinstance(error, Abort))
    return partial(lease.finish, task, value)


def _fail(task: Task[Any], lease: Any, error: Exception) -> None:
    try:
        lease.fail(task, ErrorInfo.from_exception(error))
    except LeaseLost as lost:
        log.info("task %s: %s", task.id, lost)
