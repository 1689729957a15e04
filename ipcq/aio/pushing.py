"""Pushes that wait for room: a while in a thread, again and again, so that who is cancelled leaves soon."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from ..errors import QueueFull, TaskSinkError
from ..task import TaskId
from .calls import Calls

__all__ = ["batches", "push_many", "push_one"]

_STEP = 1.0  # seconds that a thread waits for room before it looks whether anybody still wants it


class _Patience:
    """How long a push may still wait."""

    def __init__(self, timeout: float | None, block: bool) -> None:
        self._until = None if timeout is None else time.monotonic() + timeout
        self._block = block

    def step(self) -> float:
        """How long the next attempt may wait."""
        if self._until is None:
            return _STEP
        return max(0.0, min(_STEP, self._until - time.monotonic()))

    def is_over(self, error: QueueFull) -> bool:
        """Whether another attempt is no use, or not allowed."""
        late = self._until is not None and time.monotonic() >= self._until
        return late or not self._block or not error.waiting_helps


async def push_one(
    calls: Calls, push: Callable[..., TaskId], *args: Any, timeout: float | None, block: bool, **parts: Any
) -> TaskId:
    """Store one task."""
    patience = _Patience(timeout, block)
    while True:
        try:
            return await calls.run(push, *args, timeout=patience.step(), block=block, **parts)
        except QueueFull as error:
            if patience.is_over(error):
                raise


async def push_many(
    calls: Calls,
    push: Callable[..., list[TaskId]],
    items: list[Any],
    *,
    timeout: float | None,
    block: bool,
    ids: Sequence[TaskId] | None = None,
    **parts: Any,
) -> list[TaskId]:
    """Store tasks in their order; an error's `accepted` lists those of all attempts."""
    patience, stored = _Patience(timeout, block), list[TaskId]()
    while True:
        if ids is not None:
            parts["ids"] = ids[len(stored) :]
        try:
            rest = items[len(stored) :]
            return stored + await calls.run(push, rest, timeout=patience.step(), block=block, **parts)
        except TaskSinkError as error:
            stored += error.accepted
            if not isinstance(error, QueueFull) or patience.is_over(error):
                error.accepted = stored
                raise


async def batches(
    calls: Calls, source: Iterable[Any] | AsyncIterable[Any], size: int
) -> AsyncIterator[list[Any]]:
    """What ``source`` yields, ``size`` items at a time; an iterable that may wait does so in a thread."""
    if size < 1:
        raise ValueError(f"batch must be 1 or more, not {size!r}")
    if not isinstance(source, AsyncIterable):
        items = iter(source)
        while part := await calls.run(list, islice(items, size)):
            yield part
        return
    part = []
    async for item in source:
        part.append(item)
        if len(part) >= size:
            yield part
            part = []
    if part:
        yield part
