"""The bell: how other threads tell the main one that there is something to look at."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Bell"]


class Bell:
    """Rung by the reader and by signals; heard by the main thread wherever it waits.

    A ring is kept until `quieten`, so none is lost between looking and waiting.
    """

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._others: list[Callable[[], None]] = []

    def connect(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` too at each ring: the main thread may be waiting there."""
        self._others.append(wake)

    def ring(self) -> None:
        """Make the main thread look."""
        self._rung.set()
        for wake in self._others:
            wake()

    def quieten(self) -> None:
        """Forget earlier rings; what they were about must be looked at after this."""
        self._rung.clear()

    def rung(self) -> bool:
        """Whether it was rung since `quieten`."""
        return self._rung.is_set()

    def wait(self, timeout: float) -> None:
        """Wait for a ring, up to ``timeout`` seconds."""
        self._rung.wait(timeout)
