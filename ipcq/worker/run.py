"""One run of a coroutine handler: how it is broken off, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ..layer import CallNext, ForcedStop
from ..task import Task
from .forks import end_fork, forks

__all__ = ["GRACE", "Run", "awaitable_of"]

GRACE = 0.3  # seconds that a cancelled coroutine has to come to its end


class Run:
    """A coroutine that runs a task; to be made in the loop.

    Args:
        task: what is run.
        start: makes what is to be awaited; what it raises is the end of the run, too.
        ended: called once, when it is known how the run ended.
    """

    def __init__(
        self, task: Task[Any], start: Callable[[], Awaitable[Any]], ended: Callable[[Run], None]
    ) -> None:
        self.task = task
        self._start, self._ended = start, ended
        self._loop = asyncio.get_running_loop()
        self._value: Any = None
        self._error: BaseException | None = None
        self._reason: ForcedStop | None = None
        self._over = False
        self._timers: list[asyncio.TimerHandle] = []
        self.coroutine = self._loop.create_task(self._run(), name=f"ipcq task {task.id}")
        self.coroutine.add_done_callback(self._done)

    def __repr__(self) -> str:
        state = "over" if self._over else "being broken off" if self._reason else "going on"
        return f"<Run of task {self.task.id}: {state}>"

    def end_in(self, seconds: float, reason: Callable[[], ForcedStop]) -> None:
        """Break it off then, unless it is over."""
        self._timers.append(self._loop.call_later(seconds, lambda: self.end(reason())))

    def end(self, reason: ForcedStop) -> None:
        """Cancel it. Should it go on all the same, what it gives later is nobody's."""
        if self._over or self._reason is not None:
            return
        self._reason = reason
        self.coroutine.cancel()
        self._timers.append(self._loop.call_later(GRACE, self._abandon))

    def outcome(self, _task: Task[Any], _context: Any) -> Any:
        """What the run gave; a `CallNext` for the acknowledgement.

        What is raised by a coroutine that was cancelled, of whatever kind, comes from that; a value is one.
        """
        if self._error is None:
            return self._value
        if self._reason is None:
            raise self._error
        raise self._reason.with_traceback(self._error.__traceback__)  # where it was

    async def _run(self) -> None:
        fork = forks.count
        try:
            try:
                self._value = await self._start()
            finally:
                if fork != forks.count:
                    end_fork()
        except GeneratorExit as error:  # the loop is gone, or somebody raised it
            self._error = error
            raise
        except BaseException as error:  # SystemExit too: a task must not end its loop
            self._error = error

    def _done(self, coroutine: asyncio.Task[None]) -> None:
        if coroutine.cancelled():  # before its first step
            self._error = asyncio.CancelledError()
        else:
            coroutine.exception()  # it is known, and nothing to be logged
        self._finish()

    def _abandon(self) -> None:
        if not self._over:
            self._error = self._reason
            self._finish()

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        for timer in self._timers:
            timer.cancel()
        self._ended(self)


def awaitable_of(call: CallNext) -> CallNext:
    """The same, but what it returns can be awaited always: a layer may return a plain value."""

    def run(task: Task[Any], context: Any) -> Any:
        found = call(task, context)
        return found if hasattr(type(found), "__await__") else _given(found)

    return run


async def _given(value: Any) -> Any:
    return value
