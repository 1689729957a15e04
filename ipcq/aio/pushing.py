"""Pushes that wait for room: a while in a thread, again and again, so that who is cancelled leaves soon."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from ..errors import IpcqError, QueueFull, TaskSinkError
from ..task import TaskId
from .calls import Calls

__all__ = ["batches", "push_many", "push_one"]

R = TypeVar("R")

_STEP = 1.0  # seconds that a thread waits for room before it looks whether anybody still wants it


class _Patience:
    """The attempts of a push: the first does not wait, later ones take turns with other pushes that wait.

    Args:
        calls: makes them.
        timeout: seconds for all of them; None for no limit.
        block: whether there is more than one.
    """

    def __init__(self, calls: Calls, timeout: float | None, block: bool) -> None:
        self._calls, self._block = calls, block
        self._until = None if timeout is None else time.monotonic() + timeout
        self._full: QueueFull | None = None

    async def attempt(self, push: Callable[..., R]) -> R:
        """What the push gives; `QueueFull` may be followed by another attempt.

        Args:
            push: takes ``timeout=`` and ``block=``.
        """
        if self._full is None:
            return await self._calls.run(push, timeout=None, block=False)
        try:
            return await self._calls.in_turn(lambda: push(timeout=self._step(), block=True), self._left())
        except TimeoutError as late:
            if isinstance(late, IpcqError):
                raise
            raise self._full from None

    def is_over(self, error: QueueFull) -> bool:
        """Whether another attempt is no use, or not allowed."""
        self._full = error
        late = self._until is not None and time.monotonic() >= self._until
        return late or not self._block or not error.waiting_helps

    def _left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def _step(self) -> float:
        left = self._left()
        return _STEP if left is None else min(_STEP, left)


async def push_one(
    calls: Calls, push: Callable[..., TaskId], *args: Any, timeout: float | None, block: bool, **parts: Any
) -> TaskId:
    """Store one task."""
    patience = _Patience(calls, timeout, block)
    while True:
        try:
            return await patience.attempt(partial(push, *args, **parts))
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
    patience, stored = _Patience(calls, timeout, block), list[TaskId]()
    while True:
        if ids is not None:
            parts["ids"] = ids[len(stored) :]
        try:
            return stored + await patience.attempt(partial(push, items[len(stored) :], **parts))
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
