"""Errors of the backend behind the pipe, as plain values, and as what they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import errors
from ...errors import (
    IllegalTransition,
    IpcqError,
    QueueClosed,
    QueueFull,
    ResultExpired,
    StorageError,
    TaskSinkError,
)
from ...status import Status
from .wire import pack_id, pack_ids, unpack_id, unpack_ids

__all__ = ["NotRegistered", "pack_failure", "unpack_failure"]


class NotRegistered(QueueClosed):
    """The server does not know this worker: it is another server, or took the worker for dead."""


_FOREIGN: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "TypeError": TypeError,
    "NotRegistered": NotRegistered,
}


def pack_failure(error: Exception) -> list[Any]:
    """What happened, and what the error's class adds to that."""
    accepted = pack_ids(error.accepted) if isinstance(error, TaskSinkError) else b""
    helps = error.waiting_helps if isinstance(error, QueueFull) else True
    move = None
    if isinstance(error, IllegalTransition):
        move = [int(error.source), int(error.target)]  # type: ignore[call-overload] # both are Status
    whose = pack_id(error.task_id) if isinstance(error, ResultExpired) else b""
    return [_name_of(error), str(error), accepted, helps, move, whose]


def _name_of(error: Exception) -> str:
    """The nearest class that the other side knows."""
    for kind in type(error).__mro__:
        name = kind.__name__
        if getattr(errors, name, None) is kind or _FOREIGN.get(name) is kind:
            return name
    return StorageError.__name__


def unpack_failure(row: Sequence[Any]) -> Exception:
    """The error to raise here."""
    name, text, accepted, helps, move, whose = row
    kind: Any = _FOREIGN.get(name) or getattr(errors, name, StorageError)
    error: Exception = kind.__new__(kind)  # some classes make their text of other arguments
    error.args = (text,)
    if isinstance(error, TaskSinkError):
        error.accepted = unpack_ids(accepted)
    if isinstance(error, QueueFull):
        error.waiting_helps = helps
    if isinstance(error, IllegalTransition):
        error.source, error.target = map(Status, move)
    if isinstance(error, ResultExpired):
        error.task_id = unpack_id(whose)
    return error if isinstance(error, (IpcqError, ValueError, TypeError)) else StorageError(text)
