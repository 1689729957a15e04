"""The asynchronous half of a stream of tasks: the same whatever the backend."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeVar

from ..backend import WorkerLease
from ..task import Task

__all__ = ["AwaitedTasks"]

Self = TypeVar("Self", bound="AwaitedTasks")


class AwaitedTasks:
    """Makes an async iterator of an iterator whose steps may wait.

    A step runs in a thread, which nobody can stop: what it brings is kept for whoever asks next, should the
    one who asked have been cancelled.
    """

    def __init__(self, lease: WorkerLease) -> None:
        self._lease_of_kept = lease
        self._kept: deque[Task[Any]] = deque()
        self._closed = False

    def __next__(self) -> Task[Any] | None:
        raise NotImplementedError

    def __aiter__(self: Self) -> Self:
        return self

    async def __anext__(self) -> Task[Any] | None:
        if self._closed:
            raise StopAsyncIteration
        if not self._kept:
            await asyncio.to_thread(self._keep_next)
        return self._kept.popleft() if self._kept else None

    def _keep_next(self) -> None:
        try:
            task = next(self)
        except StopIteration:  # closed meanwhile
            return
        if task is not None:
            self._kept.append(task)
            if self._closed:
                self._return_kept()

    def _return_kept(self) -> None:
        while self._kept:
            self._lease_of_kept.give_back(self._kept.pop())
