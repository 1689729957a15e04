"""Objects of any types into one queue, from a coroutine."""

from __future__ import annotations

from typing import Any

from ..backends.capabilities import Every
from ..task import TaskId
from .calls import Calls
from .pushing import push_one

__all__ = ["AsyncWeakSink"]


class AsyncWeakSink:
    """`WeakSink` with a coroutine; what `AsyncQueue.weak` returns."""

    def __init__(self, calls: Calls, backend: Every) -> None:
        self._calls = calls
        self._sink = backend.weak()

    def __repr__(self) -> str:
        return f"<AsyncWeakSink of {self._sink!r}>"

    async def push(
        self,
        obj: Any,
        type: str | type[Any] | None = None,  # noqa: A002 - the name that the specification gives it
        *,
        timeout: float | None = None,
        block: bool = True,
        **parts: Any,
    ) -> TaskId:
        """Store one task with the tag of its type."""
        return await push_one(self._calls, self._sink.push, obj, type, timeout=timeout, block=block, **parts)
