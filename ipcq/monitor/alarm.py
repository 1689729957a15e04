"""Gets the main thread out of a ``with`` block whose Monitor gave up."""

from __future__ import annotations

import signal
import threading

__all__ = ["Alarm"]


class Alarm:
    """Interrupts a block in the main thread that would wait for ever.

    Such a block mostly waits for results, which no worker will make any more. The only thing
    that ends each kind of wait is SIGINT, as Ctrl-C does. It is sent only where SIGINT still does
    what Python makes of it: a program with a handler of its own has its own way of looking, and
    would take this for a person's Ctrl-C.

    Attributes:
        rung: the interrupt was sent.
    """

    def __init__(self) -> None:
        self.rung = False
        self._armed = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Alarm: {'rung' if self.rung else 'armed' if self._armed else 'off'}>"

    def arm(self) -> None:
        """A block begins; only in the main thread can it be interrupted."""
        self.rung = False
        self._armed = threading.current_thread() is threading.main_thread()

    def disarm(self) -> None:
        """The block has ended; after this nothing is sent."""
        with self._lock:
            self._armed = False

    def ring(self) -> None:
        """Interrupt the block, if it still runs; from another thread."""
        with self._lock:
            if self._armed and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._armed, self.rung = False, True
                # To that thread, so that whatever call it waits in returns.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
