"""The bell: how other threads tell the main one that there is something to look at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Bell"]


class Bell:
    """Rung by the reader and by signals; heard by the main thread wherever it waits.

    A ring is kept until `quieten`, so none is lost between looking and waiting.
    """

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._wake: Callable[[], None] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def connected(self, wake: Callable[[], None]) -> Iterator[None]:
        """While entered, each ring calls ``wake``, too: the main thread may be waiting there.

        It is not called any more after that, nor in the middle of it: what it wakes may be gone.
        """
        with self._lock:
            self._wake = wake
        try:
            yield
        finally:
            with self._lock:
                self._wake = None

    def ring(self) -> None:
        """Make the main thread look."""
        self._rung.set()
        with self._lock:
            if self._wake is not None:
                self._wake()

    def quieten(self) -> None:
        """Forget earlier rings; what they were about must be looked at after this."""
        self._rung.clear()

    def rung(self) -> bool:
        """Whether it was rung since `quieten`."""
        return self._rung.is_set()

    def wait(self, timeout: float) -> None:
        """Wait for a ring, up to ``timeout`` seconds."""
        self._rung.wait(timeout)
