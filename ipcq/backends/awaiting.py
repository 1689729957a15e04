"""What is the same of a stream of tasks whatever the backend, its asynchronous half too."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeVar

from ..backend import WorkerLease
from ..task import Task

__all__ = ["AwaitedTasks", "ManyTasks"]

Self = TypeVar("Self", bound="AwaitedTasks")


class AwaitedTasks:
    """Makes an iterator, and an async one, of `_next`, which may wait.

    A step of the async one runs in a thread, which nobody can stop: what it brings is kept for whoever asks
    next, should the one who asked have been cancelled.

    Args:
        lease: to which goes back what was kept in vain.
        patience: seconds that a step may wait.
    """

    def __init__(self, lease: WorkerLease, patience: float) -> None:
        self._lease_of_kept = lease
        self._patience = patience
        self._kept: deque[Task[Any]] = deque()
        self._closed = False

    def _next(self, patience: float) -> Task[Any] | None:
        """The first that is kept, or the next one if it comes within so many seconds."""
        raise NotImplementedError

    def __iter__(self: Self) -> Self:
        return self

    def __next__(self) -> Task[Any] | None:
        if self._closed:
            raise StopIteration
        return self._next(self._patience)

    def look(self) -> Task[Any] | None:
        """The next task if there is one now; None when the stream has ended, too."""
        return None if self._closed else self._next(0.0)

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


class ManyTasks(AwaitedTasks):
    """The same, where several can be taken at once."""

    def take_many(self, most: int) -> list[Task[Any]]:
        """Up to ``most`` tasks, RUNNING all at once: for a caller that runs them together.

        Returns:
            Those that are there, in their order; none where `next` would give None, or has ended. Should this
            process die, each of them has died once more.
        """
        if most < 1:
            raise ValueError(f"most must be 1 or more, not {most!r}")
        return self._take_many(most)

    def _take_many(self, most: int) -> list[Task[Any]]:
        """One after the other; for those that can do it in one step to override."""
        tasks: list[Task[Any]] = []
        task = next(self, None)
        while task is not None:
            tasks.append(task)
            task = self.look() if len(tasks) < most else None
        return tasks
