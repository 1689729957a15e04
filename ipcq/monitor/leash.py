"""Ties a worker process to its Monitor: it never outlives it, and obeys it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

from .messages import Demand

__all__ = ["Leash", "end_with_parent"]

_PR_SET_PDEATHSIG = 1
_PATIENCE = 1.0  # seconds to give back what runs when the Monitor is gone


def end_with_parent() -> None:
    """Have the kernel kill this process as soon as the Monitor is gone (Linux).

    Not a thread's job alone: a thread waits for as long as native code holds the GIL. The parent
    may be multiprocessing's fork server, which outlives the Monitor because its children hold the
    pipe that it watches, us included. So there are two ties: one to the parent, one to the pipe
    whose other end only the Monitor has. If either end was gone before it was tied, the `Leash`
    notices.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        sentinel = _sentinel()
        fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)


class Leash:
    """A thread that ends the worker when its Monitor demands it, or is gone.

    Args:
        link: where the Monitor's demands come from.
        monitor: the Monitor's process id.
        obey: carries out a demand, to stop or to force.
    """

    def __init__(self, link: Connection, monitor: int, obey: Callable[[Demand], None]) -> None:
        self._link, self._monitor, self._obey = link, monitor, obey
        self._thread = threading.Thread(target=self._watch, name="ipcq-leash", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Leash of process {os.getpid()} to monitor {self._monitor}>"

    def _watch(self) -> None:
        while (demand := self._demand()) is not None:
            self._obey(demand)
        self._obey(Demand.FORCE)
        threading.Event().wait(_PATIENCE)
        os._exit(1)  # the main thread does not get out of what it does

    def _demand(self) -> Demand | None:
        """Wait for a demand; None when the Monitor is gone."""
        with ExitStack() as stack:
            try:
                ended = [_sentinel(), *_process_descriptor(self._monitor, stack)]
                ready = wait([self._link, *ended])
                return None if set(ended) & set(ready) else Demand(self._link.recv())
            except (EOFError, OSError):  # no such process, or nobody at the link's other end
                return None


def _sentinel() -> int:
    parent = parent_process()
    assert parent is not None, "only worker processes are tied"
    return parent.sentinel


def _process_descriptor(pid: int, stack: ExitStack) -> list[int]:
    """What becomes ready when the process ends, where the system has that.

    A program that forks leaves copies of its pipes' ends in its children: then the pipes tell
    nothing when it dies. This does.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):  # macOS; a sandbox
        return []
    stack.callback(_close, descriptor)
    return [descriptor]


def _close(descriptor: int) -> None:
    with suppress(OSError):  # a handler closed all that there were
        os.close(descriptor)
