"""What a process has in place while runs in it are forwarded: a handler of the root logger, and its streams.

There is one root logger and one ``sys.stdout``, so there is one of these: put in place by the first such run,
taken away after the last, as pytest does for its tests. Whose a record or a text is tells the context.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .running import current
from .tee import Tee

__all__ = ["hooked"]

_STREAMS = ("stdout", "stderr")


class _Handler(logging.Handler):
    """Gives each record to the run that it belongs to; without a lock, which a slow receiver would hold."""

    def createLock(self) -> None:  # noqa: N802 - as logging names it
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        run = current.get()
        if run is not None and record.levelno >= run.level:
            try:
                run.log(record)
            except Exception:  # its arguments do not fit its message, as in any handler
                self.handleError(record)


class _Hooks:
    """Counts the runs that need them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handler = _Handler()
        self._levels: list[int] = []
        self._captures = 0
        self._tees: dict[str, Tee] = {}  # the last ones, for the next run
        self._level: tuple[int, int] | None = None  # of the root logger: what it was, what we made it

    def renew(self) -> None:
        """Have a lock of its own: this is a forked child, where nobody is left to release the old one."""
        self._lock = threading.Lock()

    @contextmanager
    def hooked(self, level: int, capture: bool) -> Iterator[None]:
        """Have records from ``level`` on, and output with ``capture``, come to the runs they belong to."""
        with self._lock:
            self._levels.append(level)
            self._captures += capture
            self._place()
        try:
            yield
        finally:
            with self._lock:
                self._levels.remove(level)
                self._captures -= capture
                self._place()

    def _place(self) -> None:
        root = logging.getLogger()
        if self._levels and self._handler not in root.handlers:  # `basicConfig(force=True)` took it away
            root.addHandler(self._handler)
        self._lower(root)
        if not self._levels:
            root.removeHandler(self._handler)
        for name in _STREAMS:
            self._redirect(name)

    def _lower(self, root: logging.Logger) -> None:
        """Let the root logger pass what runs want; afterwards what it did before, unless that changed."""
        before = root.level
        if self._level is not None and root.level == self._level[1]:
            before = self._level[0]
        wanted = min([before, *self._levels])
        if wanted != root.level:
            root.setLevel(wanted)
        self._level = (before, wanted) if self._levels else None

    def _redirect(self, name: str) -> None:
        stream = getattr(sys, name)
        if self._captures and not isinstance(stream, Tee):
            tee = self._tees.get(name)
            if tee is None or tee.old is not stream:
                tee = self._tees[name] = Tee(stream, lambda text: _taken(name, text))
            setattr(sys, name, tee)
        elif not self._captures and isinstance(stream, Tee):
            setattr(sys, name, stream.old)


def _taken(stream: str, text: str) -> bool:
    run = current.get()
    return run is not None and run.write(stream, text)


_hooks = _Hooks()
hooked = _hooks.hooked
os.register_at_fork(after_in_child=_hooks.renew)
