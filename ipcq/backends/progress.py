"""How far runs are, on its way from who runs them to who waits: at a pace, whatever the backend."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..backend import OnProgress
from ..errors import IpcqError, StorageError
from ..task import Progress, Task, TaskId

__all__ = ["PACE", "Look", "ProgressTeller", "ProgressWatch", "Told"]

PACE = 0.25
"""Seconds between two looks of one who waits, and between two messages of one who runs tasks."""


Look = Callable[[int], tuple[int, Mapping[TaskId, Progress]]]
"""`ShowProgress.running_progress`."""


class ProgressWatch:
    """Looks how far tasks are, for one who waits for them.

    Args:
        look: where that can be seen.
        tell: called with what is new.
    """

    def __init__(self, look: Look, tell: OnProgress, clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._tell, self._clock = look, tell, clock
        self._since = -1
        self._next = 0.0
        self._told: dict[TaskId, Progress] = {}

    def __repr__(self) -> str:
        return f"<ProgressWatch: {len(self._told)} tasks told {self._tell!r}>"

    def look(self, awaited: Container[int]) -> None:
        """Tell what is new of these tasks, if it is time to."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + PACE
        try:
            since, found = self._look(self._since)
        except StorageError:  # the wait itself meets what lasts
            return
        if since == self._since:
            return
        self._told = {task_id: told for task_id, told in self._told.items() if task_id in found}
        for task_id, progress in found.items():
            if task_id in awaited and self._told.get(task_id) != progress:
                self._told[task_id] = progress
                self._tell(task_id, progress)
        self._since = since  # not before: what is told may raise, and the others are still to be told

    def look_anew(self) -> None:
        """More tasks are awaited: those may have told long ago what they tell."""
        self._since = -1


class Told(NamedTuple):
    """What a worker told of a run."""

    task: Task[Any]
    progress: Progress


class ProgressTeller:
    """Passes on what the runs of a worker tell, at a pace; what comes too soon waits for the heartbeat.

    Who tells passes on no more than what it tells, four times a second at the most whatever many others run
    beside it. It never waits for another thread that passes something on, and only once for who does not hear
    it: then it is left to the heartbeat, until that was heard. In an event loop it is left to it in any case.

    Args:
        send: passes on what several runs told; a lease that is void is its affair.
    """

    def __init__(
        self, send: Callable[[Sequence[Told]], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send, self._clock = send, clock
        self._sending = threading.Lock()
        self._waiting: dict[int, Told] = {}
        self._due = 0.0  # when one who tells may pass it on
        self._heard = True

    def __repr__(self) -> str:
        return f"<ProgressTeller: {len(self._waiting)} wait>"

    def tell(self, task: Task[Any], progress: Progress) -> None:
        """Note how far a run is, and pass it on if it is time to."""
        self._waiting[task.id] = Told(task, progress)
        if self._heard and self._clock() >= self._due and asyncio._get_running_loop() is None:
            self._pass_on((task.id,))

    def forget(self, task_id: int) -> None:
        """Its run is over."""
        self._waiting.pop(task_id, None)

    def flush(self) -> None:
        """Pass on all that waits; twice a second, from another thread."""
        if self._waiting:
            self._pass_on(self._waiting.copy())

    def _pass_on(self, ids: Iterable[int]) -> None:
        """Where that fails it waits on, unless something newer does."""
        if not self._sending.acquire(blocking=False):
            return  # who has it now leaves this to the next heartbeat
        try:
            told = [each for task_id in ids if (each := self._waiting.pop(task_id, None)) is not None]
            try:
                self._send(told)
                self._heard = True
            except IpcqError:
                self._heard = False
                for each in told:
                    self._waiting.setdefault(each.task.id, each)
            self._due = self._clock() + PACE
        finally:
            self._sending.release()
