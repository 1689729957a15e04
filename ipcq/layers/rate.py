"""Runs that begin no faster than a given rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..backend import ShareLimits, Turn
from ..errors import NotSupported
from ..layer import CallNext
from ..pacing import Gcra, check_name
from ..task import Task
from .own import OwnLimits
from .patience import Patience, ask_in_thread

if TYPE_CHECKING:
    from .line import Line

__all__ = ["RateLimit"]

_NONE = Turn(False, 0.0)


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
        per: a backend, the one of the tasks or any other.
        name: which limit of ``per`` it is; a queue may have several.
        clock: seconds that only grow; for tests. Turns of ``per`` are by that one's clock.
        sleep: waits so many seconds; for tests.

    Raises:
        ValueError: a number or the name is out of bounds.
        NotSupported: ``per`` is a backend that shares no limits.
    """

    def __init__(
        self,
        per_second: float,
        burst: int = 1,
        *,
        per: ShareLimits | None = None,
        name: str = "default",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        Gcra(per_second, burst)  # or ValueError
        if per is not None and not isinstance(per, ShareLimits):
            raise NotSupported("ShareLimits (per=)", per)
        self._again = partial(RateLimit, per_second, burst, per=per, name=name, clock=clock, sleep=sleep)
        self._text = f"<RateLimit {per_second:g} per second, {burst} at once, per {per or 'process'}>"
        self._per = per
        self._patience = Patience(clock, sleep)
        self._line: Line | None = None
        limits: ShareLimits = per if per is not None else OwnLimits(clock)
        self._ask: Callable[[], Turn] = partial(limits.take_turn, check_name(name), per_second, burst)

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Callable[[], RateLimit], tuple[()]]:
        return self._again, ()

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Wait for this run's turn, then run what is inside."""
        turn = _NONE
        while not turn.taken:
            turn = self._ask()
            self._patience.wait(turn.wait, context)
        return call_next(task, context)

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine function: others go on meanwhile, and one of those who wait asks."""
        from .line import of_loop

        line = self._line = of_loop(self._line)
        await line.come(context)
        try:
            while not (turn := await self._ask_there()).taken:
                await self._patience.awaiting(turn.wait, context)
        finally:
            line.go()
        await self._patience.awaiting(turn.wait, context)
        return await call_next(task, context)

    async def _ask_there(self) -> Turn:
        return await ask_in_thread(self._ask, _forget) if self._per is not None else self._ask()


def _forget(_: Turn) -> None:
    """A turn that nobody takes costs the others that one."""
