"""A clock that stands still until it is told to go on."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["FakeClock"]


class FakeClock:
    """Called, it tells the time, which passes by `advance` alone.

    Args:
        start: Unix seconds; None for the real ones of this moment.
    """

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else start
        self._listeners: list[Callable[[float], None]] = []

    def __repr__(self) -> str:
        return f"<FakeClock {self._now:.6f}>"

    def __call__(self) -> float:
        """The time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass; ValueError for less than none."""
        if not seconds >= 0:
            raise ValueError(f"a clock goes forward, not by {seconds!r} s")
        self._now += seconds
        for listener in self._listeners:
            listener(seconds)

    def sleep(self, seconds: float) -> None:
        """In the place of ``time.sleep``: the same as `advance`."""
        self.advance(seconds)

    def on_advance(self, listener: Callable[[float], None]) -> None:
        """Have ``listener(seconds)`` called whenever time passes."""
        self._listeners.append(listener)
