"""SIGINT and SIGTERM as calls, for as long as somebody runs in the main thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stop_signals"]


@contextmanager
def stop_signals(callback: Callable[[], None]) -> Iterator[None]:
    """While entered, SIGINT and SIGTERM call ``callback``; afterwards they do what they did before.

    In another thread than the main one nothing is changed: signals belong to the program there.
    A signal that was ignored stays so (``nohup``, workers of a Monitor).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handle(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:
            callback()
        else:  # a process that a handler forked: there the signal means what it mostly means
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handle)
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before or signal.SIG_DFL)  # None: not installed by Python
