"""Coroutines that wait for the same limit: one of them asks, the others wait for that one."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, Lock, get_running_loop
from typing import Any

from ..layer import ForcedStop

__all__ = ["Line", "of_loop"]


class Line:
    """The coroutines of one event loop, in the order in which they came.

    Did all of them ask, a thousand would take a whole CPU for it, and all threads of the loop.
    """

    def __init__(self) -> None:
        self.loop: AbstractEventLoop = get_running_loop()
        self._lock = Lock()
        self._napping: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Line [{'somebody asks' if self._lock.locked() else 'empty'}]>"

    async def come(self, context: Any) -> None:
        """Wait until this one is its head; `ForcedStop` where the worker was told to end meanwhile."""
        waits = self._lock.locked()
        await self._lock.acquire()
        if waits and context.stopping:
            self._lock.release()
            raise ForcedStop

    def go(self) -> None:
        """Let the next one be its head."""
        self._lock.release()

    async def nap(self, seconds: float) -> None:
        """Wait so long, or until `wake`."""
        self._napping = napping = self.loop.create_future()
        timer = self.loop.call_later(seconds, self.wake)
        try:
            await napping
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Have the head look again: there may be something for it."""
        if self._napping is not None and not self._napping.done():
            self._napping.set_result(None)


def of_loop(last: Line | None) -> Line:
    """The line of this loop: the last one, or a new one where that is another loop's."""
    return last if last is not None and last.loop is get_running_loop() else Line()
