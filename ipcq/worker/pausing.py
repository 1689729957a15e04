"""How a worker is told to take no tasks for a while."""

from __future__ import annotations

from queue import Empty, SimpleQueue

__all__ = ["Pause"]

_TICK = 0.5  # seconds


class Pause:
    """Whether a worker is to take no tasks, and its waiting for the end of that.

    Attributes:
        requested: take none.
        changes: how often that was said, and taken back.
    """

    __slots__ = ("_bell", "changes", "requested")

    def __init__(self) -> None:
        self.requested = False
        self.changes = 0
        # Its `put` may be called in a signal handler that interrupts a `get`, where a lock would not do.
        self._bell: SimpleQueue[None] = SimpleQueue()

    def __repr__(self) -> str:
        return f"<Pause{': requested' if self.requested else ''}>"

    def request(self) -> None:
        """Have the worker take none."""
        self.requested = True
        self.changes += 1

    def over(self) -> None:
        """Have it go on."""
        self.requested = False
        self.changes += 1
        self.interrupt()

    def interrupt(self) -> None:
        """End a `wait`, or the next one."""
        self._bell.put(None)

    def wait(self) -> None:
        """Wait until something changed, or a moment."""
        try:
            self._bell.get(timeout=_TICK)
        except Empty:
            pass
