"""A clock that moves when it is told to."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """Seconds; `sleep` moves it.

    Attributes:
        now: what it shows.
        slept: how long, each time.
        meanwhile: called in each sleep.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()
