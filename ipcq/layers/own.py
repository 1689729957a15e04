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

    A forked child begins with none taken: what runs, and the thread that may have the lock, are its parent's.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[int, _Kept] = {}  # by process

    def __repr__(self) -> str:
        return f"<OwnLimits: {self.running} run>"

    @property
    def running(self) -> int:
        """How many permits are taken."""
        return self._own().running

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """See `ShareLimits`."""
        gcra, kept = Gcra(per_second, burst), self._own()
        with kept.lock:
            taken, wait, kept.planned = gcra.turn(kept.planned, round(self._clock() * 1e9))
        return Turn(taken, wait / 1e9)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> OwnPermit | None:
        """See `ShareLimits`."""
        most, waiting, kept = check_limit(limit), check_waited(waited), self._own()
        permit = OwnPermit(kept)
        try:
            with kept.lock:
                now = round(self._clock() * 1e9)
                return permit if kept.count(permit, most, Claim(now - waiting, now), now) else None
        except BaseException:
            kept.give_back(permit)
            raise

    def _own(self) -> _Kept:
        pid = os.getpid()
        found = self._kept.get(pid)
        return self._kept.setdefault(pid, _Kept()) if found is None else found  # the same for all threads


class _Kept:
    """What one process keeps."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.planned = 0
        self.running = 0
        self._first = NO_CLAIM

    def count(self, permit: OwnPermit, most: int, mine: Claim, now: int) -> bool:
        """Whether it may be had, and is counted; with the lock."""
        if self._first.is_ahead_of(mine.since, now):
            return False
        if self.running >= most:
            self._first = mine if mine.may_be_made() else self._first
            return False
        self._first = NO_CLAIM if self._first.is_of(mine.since) else self._first
        # No call between these two, so that no exception of a signal handler breaks in there.
        self.running += 1
        permit.held = True
        return True

    def give_back(self, permit: OwnPermit) -> None:
        """One that was taken; nothing where it was given back."""
        with self.lock:
            if permit.held:
                permit.held = False
                self.running -= 1


class OwnPermit:
    """One of so many. Fulfils `Permit`."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept
        self._pid = os.getpid()
        self.held = False

    def __repr__(self) -> str:
        return f"<OwnPermit [{'held' if self.held else 'given back'}]>"

    def release(self) -> None:
        """Give it back."""
        if self.held and self._pid == os.getpid():
            self._kept.give_back(self)

    def __enter__(self) -> OwnPermit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
