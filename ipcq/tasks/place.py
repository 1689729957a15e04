"""Where tasks of named functions live: a backend, or a URL that is connected when it is needed."""

from __future__ import annotations

import asyncio
import os
from typing import Protocol

from ..aio import AsyncQueue
from ..backend import Cancel, FetchById, WaitForCompletion
from ..errors import NotSupported
from ..sink import WeakTaskSink
from ..urls import connect
from ..worker.worker import WorkerBackend

__all__ = ["Place", "TaskBackend"]


class TaskBackend(WorkerBackend, WeakTaskSink, WaitForCompletion, FetchById, Cancel, Protocol):
    """What tasks of named functions need of a backend."""


class Place:
    """Gives the backend, the same to all who ask.

    Args:
        source: a URL, or a backend, which stays whose it is.

    Raises:
        NotSupported: that backend has no place for tasks of several types.
    """

    def __init__(self, source: str | TaskBackend) -> None:
        if not isinstance(source, str) and not isinstance(source, WeakTaskSink):
            raise NotSupported("TaskQueue", source)
        self.source = source
        self._opened: dict[str, TaskBackend] = {}
        self._awaiting: dict[int, AsyncQueue] = {}  # by process: a fork has no threads of its parent

    def __str__(self) -> str:
        return self.source if isinstance(self.source, str) else repr(self.source)

    def __reduce__(self) -> tuple[type[Place], tuple[str | TaskBackend]]:
        return Place, (self.source,)

    @property
    def backend(self) -> TaskBackend:
        """Connected by the first who asks; errors as `connect`.

        Without a lock, which a fork could leave locked for ever: of two who come first, one closes its own.
        """
        if not isinstance(self.source, str):
            return self.source
        found = self._opened.get(self.source)
        if found is None:
            made: TaskBackend = connect(self.source)
            found = self._opened.setdefault(self.source, made)
            if found is not made:
                made.close()
        return found

    async def awaiting(self) -> AsyncQueue:
        """What coroutines wait by, the same for all of a process; connected without holding up the loop."""
        connected = not isinstance(self.source, str) or self.source in self._opened
        backend = self.backend if connected else await asyncio.to_thread(lambda: self.backend)
        found = self._awaiting.get(os.getpid())
        if found is None or found.backend is not backend:
            found = self._awaiting[os.getpid()] = AsyncQueue(backend)
        return found

    def close(self) -> None:
        """Close what was connected here; the next who asks connects anew."""
        self._awaiting.clear()  # its thread ends when nobody awaits
        opened = self._opened.pop(str(self), None)
        if opened is not None:
            opened.close()
