"""Executors end before the interpreter does: the calls that are there are made first."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

__all__ = ["Ending", "exiting"]


class Ending(Protocol):
    """What is to end before the interpreter."""

    def shutdown(self, *, wait: bool) -> None:
        """Take nothing new; with ``wait``, return when all is done."""
        ...


class _Exiting:
    """As `ProcessPoolExecutor` is ended: before the threads are, since those hand out results.

    Attributes:
        begun: the interpreter ends.
    """

    def __init__(self) -> None:
        self.begun = False
        self._all: weakref.WeakSet[Ending] = weakref.WeakSet()
        threading._register_atexit(self._run)  # type: ignore[attr-defined]  # atexit's come after the threads'

    def add(self, one: Ending) -> None:
        """Have it ended."""
        self._all.add(one)

    def _run(self) -> None:
        self.begun = True
        for one in list(self._all):
            one.shutdown(wait=False)
        for one in list(self._all):
            one.shutdown(wait=True)


exiting = _Exiting()
