"""The state of a strategy in one worker: how long it has been waiting, and for what."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Notified", "Part", "Ring", "Timer"]

Ring = Callable[["Part"], None]
"""How a part tells, from any thread, that it is time to look."""


class Part:
    """One thing that can end a wait. All its calls come from the thread that waits."""

    def arm(self, ring: Ring) -> float:
        """Begin to wait; the seconds after which it is time to look, whether ``ring`` was called or not."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Another part was first."""

    def fired(self) -> None:
        """This part ended the wait."""

    def reset(self) -> None:
        """There was a task."""

    def close(self) -> None:
        """There will be no more waits."""


class Timer(Part):
    """Time alone.

    Args:
        delay: seconds to wait after so many fruitless looks in a row.
    """

    def __init__(self, delay: Callable[[int], float]) -> None:
        self._delay = delay
        self._fruitless = 0

    def __repr__(self) -> str:
        return f"<Timer: {self._fruitless} times nothing>"

    def arm(self, ring: Ring) -> float:
        """Begin to wait."""
        return self._delay(self._fruitless)

    def fired(self) -> None:
        """It was time; whether in vain is not known yet."""
        self._fruitless += 1

    def reset(self) -> None:
        """Not in vain."""
        self._fruitless = 0


class Notified(Part):
    """The backend's own word that something was pushed."""

    def __init__(self, at_most: float) -> None:
        self._at_most = at_most
        self._told = False

    def __repr__(self) -> str:
        return f"<Notified{': told' if self._told else ''}>"

    def arm(self, ring: Ring) -> float:
        """Begin to wait."""
        return self._at_most

    def notify(self, ring: Ring) -> None:
        """Ring, once however many pushes there are before the next look."""
        if not self._told:
            self._told = True
            ring(self)

    def fired(self) -> None:
        """The look that follows sees all that was pushed until now."""
        self._told = False
