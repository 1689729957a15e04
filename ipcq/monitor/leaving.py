"""Ends a worker process in time, whatever its handlers left running in it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import active_children
from multiprocessing.process import BaseProcess

__all__ = ["leave_in_time"]

log = logging.getLogger("ipcq.monitor")

_PATIENCE = 5.0  # seconds for threads and processes to come to their end by themselves
_TELLING = 1.0  # seconds that a warning may take


def leave_in_time(code: int) -> None:
    """Have this process end with that exit code, soon, though it may wait for others.

    Python waits at its end for threads and for processes of multiprocessing, for ever if need be: then no
    other worker would come in its place. To be called when nothing is left to do.
    """
    threading.Thread(target=_end, args=(code, _PATIENCE), name="ipcq-leaving", daemon=True).start()


def _end(code: int, patience: float) -> None:
    time.sleep(patience)
    children = active_children()
    telling = threading.Thread(target=_tell, args=(children,), name="ipcq-telling", daemon=True)
    with suppress(RuntimeError):  # no thread can be started any more
        telling.start()
        telling.join(_TELLING)
    for child in children:
        child.kill()
    os._exit(code)


def _tell(children: Iterable[BaseProcess]) -> None:
    """In a thread of its own: what is left may hold the locks of logging and of streams."""
    main = threading.main_thread()
    left = [f"thread {each.name!r}" for each in threading.enumerate() if each is not main and not each.daemon]
    left += [f"process {each.pid}" for each in children]
    log.warning(
        "worker process %d ends without waiting any longer for what its handlers left running: %s",
        *(os.getpid(), ", ".join(left) or "a function that is called at the end"),
    )
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
