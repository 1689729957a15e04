"""Who wants to hear how far a task is that it awaits."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition

from ..backend import OnProgress, ShowProgress
from ..backends.progress import PACE
from ..errors import StorageError
from ..task import Progress, TaskId
from .waiters import Future

__all__ = ["Listening"]


@dataclass
class _Listener:
    """One who wants to hear of one task, and what it heard last."""

    call: OnProgress
    heard: Progress | None = None


class Listening:
    """Tells them, each in its own loop, at a pace; one look at the backend for all.

    Args:
        changed: what is held while anything here is changed.
    """

    def __init__(self, backend: ShowProgress, changed: Condition) -> None:
        self._backend, self._changed = backend, changed
        self._listeners: dict[Future, _Listener] = {}
        self._since = -1
        self._next = 0.0

    def __repr__(self) -> str:
        return f"<Listening: {len(self)}>"

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, future: Future, call: OnProgress) -> None:
        """Who waits by this future wants to hear; under the condition."""
        self._listeners[future] = _Listener(call)
        self._since = -1  # what it is to hear may have been told long ago

    def discard(self, future: Future) -> None:
        """It does not wait any more; under the condition."""
        self._listeners.pop(future, None)

    def look(self, waiting: Mapping[TaskId, Collection[Future]]) -> None:
        """Tell what is new, if it is time to, to those who wait by these futures."""
        now = time.monotonic()
        if not self._listeners or now < self._next:
            return
        self._next = now + PACE
        with self._changed:
            seen, self._since = self._since, 0  # `add` may set it back meanwhile
        try:
            since, found = self._backend.running_progress(seen)
        except StorageError:  # the wait itself meets what lasts
            since, found = seen, {}
        with self._changed:
            self._since = since if self._since == 0 else -1
            if since != seen:
                for task_id, progress in found.items():
                    self._tell(task_id, progress, waiting.get(task_id, ()))

    def _tell(self, task_id: TaskId, progress: Progress, futures: Collection[Future]) -> None:
        for future in futures:
            listener = self._listeners.get(future)
            if listener is not None and listener.heard != progress:
                listener.heard = progress
                with suppress(RuntimeError):  # its loop was closed: nobody is left to tell
                    future.get_loop().call_soon_threadsafe(_call, listener.call, future, task_id, progress)


def _call(call: OnProgress, future: Future, task_id: TaskId, progress: Progress) -> None:
    if not future.done():
        call(task_id, progress)
