"""What can be said about a task beside its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from ..task import TaskId

__all__ = ["Parts", "check_parts"]


class Parts(TypedDict, total=False):
    """As `TaskSink` takes them; ``timeout`` and ``block`` are for the push itself."""

    id: TaskId
    priority: int
    run_at: float
    max_attempts: int
    max_deaths: int
    run_timeout: float | None
    metadata: Mapping[str, Any]
    keep_result: bool
    timeout: float | None
    block: bool


def check_parts(parts: Parts) -> Parts:
    """The same; `TypeError` for a name that is no part of a task."""
    known = Parts.__annotations__
    for name in parts:
        if name not in known:
            raise TypeError(f"{name!r} is no part of a task; there are {', '.join(known)}")
    return parts
