"""How eagerly to look for results: one at a time, or a handful where they come fast."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace"]

_HANDFUL = 32  # results worth one look; with fewer awaited, each is fetched at once
_FAST = 100e-6  # seconds from result to result
_LONGEST = 1e-3  # seconds


class Pace:
    """Holds a waiter back for a moment while many results are awaited and come fast.

    Each look takes the queue's lock from the workers; a waiter that is faster than they are would
    take it for every single result. A lone task, or one of a few, is never held back.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._last = clock()
        self._gap = _FAST

    def came(self, count: int) -> None:
        """Note that a look found ``count`` results; after a handful there may be more at once."""
        now = self._clock()
        self._gap = (now - self._last) / count if 0 < count < _HANDFUL else _FAST
        self._last = now

    def hold(self, awaited: int) -> None:
        """Wait until a handful may be there, if that is soon and there are so many to come."""
        if awaited > _HANDFUL and self._gap < _FAST:
            self._sleep(min(_HANDFUL * self._gap, _LONGEST))
