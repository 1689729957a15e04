"""No more than so many runs at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..backend import Permit, ShareLimits
from ..errors import NotSupported
from ..layer import CallNext, ForcedStop
from ..pacing import check_limit, check_name
from ..task import Task
from .own import OwnLimits
from .patience import Patience, ask_in_thread, release

if TYPE_CHECKING:
    from .line import Line

__all__ = ["ConcurrencyLimit"]

_SHORTEST, _LONGEST = 0.001, 0.05
"""Seconds between two looks: the first, and as it goes on."""


class ConcurrencyLimit:
    """A layer that has runs wait, so that no more than so many are inside it at once.

    Without ``per`` the limit is that of one worker process, of its threads and coroutines. With ``per=queue``
    all processes that have the same queue there keep it together: who is killed frees its permit at once, and
    who is stopped keeps it. Of those who wait for more than a second the first who came goes first; the
    coroutines of one process stand in line.

    The wait is part of the run, for its ``run_timeout`` too, and the worker waits with it. A worker that is
    told to end while it waits gives the task back, which costs the task nothing.

    Args:
        limit: how many; 1 to 100,000.
        per: a backend, the one of the tasks or any other.
        name: which limit of ``per`` it is; a queue may have several.
        clock: seconds that only grow; for tests.
        sleep: waits so many seconds; for tests.

    Raises:
        ValueError: the limit or the name is out of bounds.
        NotSupported: ``per`` is a backend that shares no limits.
    """

    def __init__(
        self,
        limit: int,
        *,
        per: ShareLimits | None = None,
        name: str = "default",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if per is not None and not isinstance(per, ShareLimits):
            raise NotSupported("ShareLimits (per=)", per)
        self._again = partial(ConcurrencyLimit, limit, per=per, name=name, clock=clock, sleep=sleep)
        self._text = f"<ConcurrencyLimit {limit} at once, per {per or 'process'}>"
        self._per = per
        self._patience = Patience(clock, sleep)
        self._line: Line | None = None
        self._limits: ShareLimits = per if per is not None else OwnLimits(clock)
        self._clock = clock
        self._name, self._limit = check_name(name), check_limit(limit)

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Callable[[], ConcurrencyLimit], tuple[()]]:
        return self._again, ()

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Wait until this run may begin, then run what is inside."""
        permit, pause, since = None, _SHORTEST, self._clock()
        try:
            # Not by a C function, such as a `partial`: a signal could break in where that returns.
            while (
                permit := self._limits.take_permit(self._name, self._limit, waited=self._clock() - since)
            ) is None:
                self._patience.wait(pause, context)
                pause = min(2 * pause, _LONGEST)
            try:
                return call_next(task, context)
            finally:
                permit.release()
        finally:  # once more, where a forced stop broke into that: it comes between any two steps
            release(permit)

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine function: others go on meanwhile, and one of those who wait asks."""
        from .line import of_loop

        line = self._line = of_loop(self._line)
        permit, pause, since = None, _SHORTEST, self._clock()
        await line.come(context)
        try:
            try:
                while (permit := await self._take_there(self._clock() - since)) is None:
                    if context.stopping:
                        raise ForcedStop
                    await line.nap(pause)
                    pause = min(2 * pause, _LONGEST)
            finally:
                line.go()
            return await call_next(task, context)
        finally:
            release(permit)
            line.wake()

    async def _take_there(self, waited: float) -> Permit | None:
        take = partial(self._limits.take_permit, self._name, self._limit, waited=waited)
        return await ask_in_thread(take, release) if self._per is not None else take()
