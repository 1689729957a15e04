"""Signals that end the command, as a fact to look at instead of an exception anywhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Interrupted", "Interrupts"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The command was told to end; which signal said so is in `Interrupts`."""


class Interrupts:
    """While entered, collects SIGINT, SIGTERM and SIGHUP, and tells a thread of its own.

    A ``KeyboardInterrupt`` could come between any two steps, those that hold the queue's lock
    included. Here the handler does nothing; the interpreter writes the signal's number to a pipe,
    and the thread that reads it may take locks. A signal that was ignored at the start stays so
    (``nohup``).

    Attributes:
        first: number of the first signal that came; 0 for none.
        count: how many came.
        since: when the first came, on the monotonic clock; 0 for never.
    """

    def __init__(self) -> None:
        self.first = 0
        self.count = 0
        self.since = 0.0
        self._callbacks: list[Callable[[], None]] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._previous_fd = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, lambda *_: None)
        self._thread = threading.Thread(target=self._listen, name="ipcq-signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        os.write(self._writing, b"\0")
        self._thread.join()
        os.close(self._reading)
        os.close(self._writing)

    @property
    def status(self) -> int:
        """The exit status that tells the signal, as shells count it."""
        return 128 + self.first

    def call(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called at each signal, in another thread; at once if one came already."""
        self._callbacks.append(callback)
        if self.count:
            callback()

    def check(self) -> None:
        """Raise `Interrupted` if a signal came."""
        if self.count:
            raise Interrupted

    def _listen(self) -> None:
        while True:
            for number in os.read(self._reading, 64):
                if number == 0:
                    return
                if number in _ENDING:
                    self.first, self.since = self.first or number, self.since or time.monotonic()
                    self.count += 1
                    for callback in tuple(self._callbacks):
                        callback()
