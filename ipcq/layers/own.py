"""The limits of one process: what a layer keeps that shares them with no other."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType

from ..backend import Turn
from ..pacing import NO_CLAIM, Claim, Gcra, check_limit, check_waited

__all__ = ["OwnLimits"]


class OwnLimits:
    """Fulfils `ShareLimits` for the threads and coroutines of this process; there is one limit of each kind.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._planned = 0
        self._running = 0
        self._first = NO_CLAIM
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<OwnLimits: {self._running} run>"

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """See `ShareLimits`."""
        gcra = Gcra(per_second, burst)
        self._check_fork()
        with self._lock:
            taken, wait, self._planned = gcra.turn(self._planned, round(self._clock() * 1e9))
        return Turn(taken, wait / 1e9)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> OwnPermit | None:
        """See `ShareLimits`."""
        most, waiting = check_limit(limit), check_waited(waited)
        self._check_fork()
        permit = OwnPermit(self)
        try:
            with self._lock:
                return permit if self._count(permit, most, waiting) else None
        except BaseException:
            self.give_back(permit)
            raise

    def _count(self, permit: OwnPermit, most: int, waiting: int) -> bool:
        now = round(self._clock() * 1e9)
        mine = Claim(now - waiting, now)
        if self._first.is_ahead_of(mine.since, now):
            return False
        if self._running >= most:
            self._first = mine if mine.may_be_made() else self._first
            return False
        self._first = NO_CLAIM if self._first.is_of(mine.since) else self._first
        # No call between these two, so that no exception of a signal handler breaks in there.
        self._running += 1
        permit.held = True
        return True

    def give_back(self, permit: OwnPermit) -> None:
        """One that was taken; nothing where it was given back."""
        with self._lock:
            if permit.held:
                permit.held = False
                self._running -= 1

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            self._begin()  # what runs, and the thread that may have the lock, are the parent's


class OwnPermit:
    """One of so many. Fulfils `Permit`."""

    def __init__(self, limits: OwnLimits) -> None:
        self._limits = limits
        self._pid = os.getpid()
        self.held = False

    def __repr__(self) -> str:
        return f"<OwnPermit [{'held' if self.held else 'given back'}]>"

    def release(self) -> None:
        """Give it back."""
        if self.held and self._pid == os.getpid():
            self._limits.give_back(self)

    def __enter__(self) -> OwnPermit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
