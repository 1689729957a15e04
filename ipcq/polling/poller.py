"""What one worker waits with until it is time to look for tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

from .parts import Notified, Part

__all__ = ["Poller"]


class Poller:
    """The waiting of one worker: made by a strategy's `start`, used in one thread, closed at the end.

    The first part to say that it is time ends the wait, and the others are cancelled: they begin anew with
    the next one, but what told them meanwhile is kept.
    """

    def __init__(self, parts: Iterable[Part], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            parts: new ones; they are this poller's from now on.
        """
        self._parts = tuple(parts)
        self._clock = clock
        self._due: dict[Part, float] = {}  # empty while nobody waits
        # Its `put` may be called in a signal handler, even one that interrupts a `get` or a `put`.
        self._bell: SimpleQueue[Part | None] = SimpleQueue()
        self._woken = False

    def __repr__(self) -> str:
        return f"<Poller of {', '.join(map(repr, self._parts))} [{'waiting' if self._due else 'idle'}]>"

    def wait(self, timeout: float) -> bool:
        """Wait until it is time to look; False when ``timeout`` seconds passed before, or at a `wake`.

        A wait that was cut short goes on with the next call.
        """
        if not self._due:
            self._arm()
        first = min(self._due, key=self._due.__getitem__)
        left = self._due[first] - self._clock()
        try:
            rung = self._bell.get(timeout=max(0.0, min(left, timeout)))
        except Empty:
            return left <= timeout and self._won(first)
        if rung is None:
            self._woken = False
            return False
        return self._won(rung)

    def found(self) -> None:
        """There was a task: what grows while there is none begins anew."""
        for part in self._parts:
            part.reset()

    def notify(self) -> None:
        """Something was pushed; from any thread."""
        for part in self._parts:
            if isinstance(part, Notified):
                part.notify(self._bell.put)

    def wake(self) -> None:
        """Make a `wait` return, or the next one where none waits; from a signal handler too."""
        if not self._woken:
            self._woken = True
            self._bell.put(None)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._due.clear()
        for part in self._parts:
            part.close()

    def _arm(self) -> None:
        now = self._clock()
        self._due = {part: now + part.arm(self._bell.put) for part in self._parts}

    def _won(self, winner: Part) -> bool:
        self._due.clear()
        for part in self._parts:
            if part is not winner:
                part.cancel()
        winner.fired()
        return True
