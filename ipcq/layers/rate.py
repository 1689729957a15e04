"""Runs that begin no faster than a given rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ..layer import CallNext, ForcedStop
from ..task import Task
from .gcra import Gcra

__all__ = ["RateLimit"]

_STEP = 0.1
"""Seconds: how late a wait sees that its worker is to end."""


class RateLimit:
    """A layer that has runs wait, so that no more than so many begin in a second.

    The limit is that of one worker process, whose threads may share one object: with a `Monitor` of 4 workers
    4 times as many runs begin. The wait is part of the run, for its ``run_timeout`` too. A worker that is
    told to end while it waits gives the task back, which costs the task nothing.

    Args:
        per_second: how many runs may begin in a second, in the long run; 0.1 is one in ten seconds.
        burst: how many may begin at once after a pause.
        clock: seconds that only grow; for tests.
        sleep: waits so many seconds; for tests.

    Raises:
        ValueError: a number is out of bounds.
    """

    def __init__(
        self,
        per_second: float,
        burst: int = 1,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not (0 < per_second < float("inf") and burst >= 1):
            raise ValueError(
                "per_second is more than 0, burst is 1 or more; not"
                f" per_second={per_second!r}, burst={burst!r}"
            )
        self._again = partial(RateLimit, per_second, burst, clock=clock, sleep=sleep)
        self._text = f"<RateLimit {per_second:g} per second, {burst} at once>"
        self._clock, self._sleep = clock, sleep
        self._gcra = Gcra(per_second, burst)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Callable[[], RateLimit], tuple[()]]:
        return self._again, ()  # each process has its own limit, and its own lock

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Wait for this run's turn, then run what is inside."""
        turn = self._turn()
        while (left := turn - self._clock()) > 0:
            if context.stopping:
                raise ForcedStop
            self._sleep(min(left, _STEP))
        return call_next(task, context)

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine function: others go on meanwhile."""
        from asyncio import sleep

        turn = self._turn()
        while (left := turn - self._clock()) > 0:
            if context.stopping:
                raise ForcedStop
            await sleep(min(left, _STEP))
        return await call_next(task, context)

    def _turn(self) -> float:
        with self._lock:
            now = self._clock()
            return now + self._gcra.reserve(now)
