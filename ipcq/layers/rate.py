"""Runs that begin no faster than a given rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ..errors import NotSupported
from ..layer import CallNext, ForcedStop
from ..task import Task
from .gcra import Gcra, Turn

__all__ = ["HasNumbers", "RateLimit"]

_STEP = 0.1
"""Seconds: how late a wait sees that its worker is to end."""
_BUSY = Turn(False, 500_000, 0)


class HasNumbers(Protocol):
    """Keeps numbers that all processes share: `MemoryStorage`."""

    def change_number(self, name: str, change: Callable[[int], int]) -> bool:
        """Set the number to what ``change`` makes of it; False where that must be tried again."""
        ...


class RateLimit:
    """A layer that has runs wait, so that no more than so many begin in a second.

    Without ``per`` the limit is that of one worker process, whose threads may share one object: with a
    `Monitor` of 4 workers 4 times as many runs begin. With ``per=queue`` all processes that have the same
    queue there keep the limit together, whoever of them is killed.

    The wait is part of the run, for its ``run_timeout`` too. A worker that is told to end while it waits
    gives the task back, which costs the task nothing.

    Args:
        per_second: how many runs may begin in a second, in the long run; 0.1 is one in ten seconds.
        burst: how many may begin at once after a pause.
        per: a `MemoryStorage`, the one of the tasks or any other; one queue has one limit.
        clock: seconds that only grow, the same in all processes; for tests.
        sleep: waits so many seconds; for tests.

    Raises:
        ValueError: a number is out of bounds.
        NotSupported: ``per`` is a backend that keeps no numbers.
    """

    def __init__(
        self,
        per_second: float,
        burst: int = 1,
        *,
        per: HasNumbers | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not (1e-6 <= per_second < float("inf") and 1 <= burst <= 1e9):
            raise ValueError(
                "per_second is 0.000001 or more, burst is 1 or more; not"
                f" per_second={per_second!r}, burst={burst!r}"
            )
        if per is not None and not hasattr(per, "change_number"):
            raise NotSupported("limits of a queue (per=)", per)
        self._again = partial(RateLimit, per_second, burst, per=per, clock=clock, sleep=sleep)
        self._text = f"<RateLimit {per_second:g} per second, {burst} at once, per {per or 'process'}>"
        self._clock, self._sleep = clock, sleep
        self._gcra = Gcra(per_second, burst)
        self._numbers: HasNumbers = per if per is not None else _OwnNumber()

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Callable[[], RateLimit], tuple[()]]:
        return self._again, ()

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Wait for this run's turn, then run what is inside."""
        taken = False
        while not taken:
            taken, wait, _ = self._ask()
            if wait:
                self._wait(wait / 1e9, context)
        return call_next(task, context)

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine function: others go on meanwhile."""
        from asyncio import sleep

        taken = False
        while not taken:
            taken, wait, _ = self._ask()
            until = self._clock() + wait / 1e9
            while (left := until - self._clock()) > 0:
                if context.stopping:
                    raise ForcedStop
                await sleep(min(left, _STEP))
        return await call_next(task, context)

    def _ask(self) -> Turn:
        turn = _BUSY

        def change(planned: int) -> int:
            nonlocal turn
            turn = self._gcra.turn(planned, round(self._clock() * 1e9))
            return turn.planned

        return turn if self._numbers.change_number("rate", change) else _BUSY

    def _wait(self, seconds: float, context: Any) -> None:
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if context.stopping:
                raise ForcedStop
            self._sleep(min(left, _STEP))


class _OwnNumber:
    """One number of this process."""

    def __init__(self) -> None:
        self._number = 0
        self._lock = threading.Lock()

    def change_number(self, name: str, change: Callable[[int], int]) -> bool:
        """See `HasNumbers`."""
        with self._lock:
            self._number = change(self._number)
        return True
