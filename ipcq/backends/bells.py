"""Waking who waits at descriptors, at once: from another thread, and from a signal handler."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Bell", "Bells"]

_ONE = (1).to_bytes(8, sys.byteorder)


class Bell:
    """For one wait; once it was rung it stays so, and who comes to wait then does not wait.

    Where the process has no descriptor left it has none, and is heard when somebody looks at it.

    Attributes:
        rung: whether it was rung.
    """

    _reads = _writes = -1

    def __init__(self) -> None:
        self.rung = False
        self._lock = threading.RLock()  # a signal handler may ring while its own thread does
        self._reads, self._writes = _descriptors()

    def __repr__(self) -> str:
        return f"<Bell {'rung' if self.rung else 'silent'} [descriptor {self._reads}]>"

    def fileno(self) -> int:
        """What can be read once it was rung; -1 where there is none."""
        return self._reads

    def ring(self) -> None:
        """Have who waits go on."""
        with self._lock:  # or the descriptor may be closed, and somebody else's, when we write
            if not self.rung:
                self.rung = True
                if self._writes >= 0:
                    os.write(self._writes, _ONE)

    def wait(self, timeout: float, other: int = -1) -> None:
        """Return when it is rung, when the ``other`` descriptor can be read, or after ``timeout`` seconds."""
        poll = select.poll()
        for descriptor in (self._reads, other):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, timeout) * 1000)

    def close(self) -> None:
        """Let go of its descriptor; nobody waits any more."""
        with self._lock:
            both, self._reads, self._writes = {self._reads, self._writes}, -1, -1
        for descriptor in both - {-1}:
            os.close(descriptor)

    def __del__(self) -> None:
        if self._reads >= 0:  # Ctrl-C came before it was hung
            self.close()


def _descriptors() -> tuple[int, int]:
    """One that can be read when the other one was written, or twice the same."""
    try:
        if hasattr(os, "eventfd"):  # Linux has it: one descriptor, not two
            both = os.eventfd(0, os.EFD_CLOEXEC)
            return both, both
        return os.pipe()
    except OSError:
        return -1, -1


class Bells:
    """Those of all who wait for one thing, each in a thread of its own."""

    def __init__(self) -> None:
        self._hung: set[Bell] = set()

    def __repr__(self) -> str:
        return f"<Bells: {len(self._hung)} hung>"

    @contextmanager
    def hung(self) -> Iterator[Bell]:
        """A bell for one wait; look whether that is over once more before it begins."""
        bell = Bell()
        try:
            self._hung.add(bell)
            yield bell
        finally:
            self._hung.discard(bell)
            bell.close()

    def ring(self) -> None:
        """Have all who wait go on."""
        for bell in tuple(self._hung):
            bell.ring()
