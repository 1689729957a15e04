"""A thread that waits for what cannot be waited for together with anything else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from .parts import Part, Ring

__all__ = ["Ended", "Listen", "Listener"]

Listen = Callable[[float], object]
"""Waits for so many seconds at the most; tells whether it is time to look."""

_SLICE = 0.25  # seconds of one call: how soon a listener that is closed ends
_PAUSE = 0.01  # seconds after a call that said no without waiting
_GRACE = 2.0  # seconds that a call has to come back at the end


class Ended(Exception):
    """Raised by a `Listen`: it will never say yes again."""


class Listener(Part):
    """Calls a function in a thread of its own while somebody waits, and rings when it says yes.

    A wait that another part ends leaves the call under way: what it says then is kept for the next wait.

    Args:
        begin: makes the function, in that thread, and what closes it.
        at_most: seconds after which it is time to look whatever the function says.
    """

    def __init__(self, begin: Callable[[], tuple[Listen, Callable[[], None]]], at_most: float) -> None:
        self._begin = begin
        self._at_most = at_most
        self._asked: SimpleQueue[Ring | None] = SimpleQueue()
        self._wanted = False
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed.is_set() else "listening" if self._wanted else "idle"
        return f"<Listener: {state}>"

    def arm(self, ring: Ring) -> float:
        """Begin to wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ipcq-listener", daemon=True)
            self._thread.start()
        if not self._wanted:
            self._wanted = True
            self._asked.put(ring)
        return self._at_most

    def cancel(self) -> None:
        """Listen no longer than the present call."""
        self._wanted = False

    def fired(self) -> None:
        """It said yes, or too long nothing; raise what it raised."""
        self._wanted = False
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._wanted = False
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join(_GRACE)

    def _run(self) -> None:
        ring = self._asked.get()
        try:
            listen, close = self._begin()
            try:
                while ring is not None:
                    self._listen(listen, ring)
                    ring = self._asked.get()
            finally:
                close()
        except Ended:
            pass
        except BaseException as error:  # in the thread that waits it is of use
            self._error = error
            if ring is not None:
                ring(self)

    def _listen(self, listen: Listen, ring: Ring) -> None:
        while self._wanted:
            until = time.monotonic() + _SLICE / 2
            if listen(_SLICE):
                ring(self)
                return
            if time.monotonic() < until:
                self._closed.wait(_PAUSE)
