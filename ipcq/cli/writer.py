"""Writes lines to a descriptor without ever being stuck in it."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

__all__ = ["Writer"]

_PIECE = select.PIPE_BUF  # bytes: where a descriptor is reported writable, so much never blocks
_ENOUGH = 1 << 16  # bytes: written out without being asked
_TICK = 500  # milliseconds


class Writer:
    """Collects lines and writes them in pieces that cannot block, so that a signal is seen.

    A plain ``write`` to a pipe that nobody empties (``ipcq map ... | less``) would hold Ctrl-C up
    until somebody does. ``sys.stdout`` would, moreover, try again when the interpreter ends.

    Args:
        descriptor: where to.
        impatient: asked while the descriptor takes nothing; True gives up.
        before: called before lines appear, where they would appear on top of something else.
        after: called when all lines are out.
    """

    def __init__(
        self,
        descriptor: int,
        impatient: Callable[[], bool] = lambda: False,
        *,
        before: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._impatient = impatient
        self._before, self._after = before, after
        self._lines: list[bytes] = []
        self._size = 0

    def write(self, lines: list[bytes]) -> None:
        """Add lines; write out when there are many."""
        self._lines += lines
        self._size += sum(map(len, lines))
        if self._size >= _ENOUGH:
            self.flush()

    def flush(self) -> bool:
        """Write everything out; False if it gave up: the rest stays for the next time.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: it cannot be written.
        """
        rest = memoryview(b"".join(self._lines))
        self._lines, self._size = [], 0
        wrote = bool(rest)
        if wrote and self._before is not None:
            self._before()
        while rest:
            if self._writable():
                rest = rest[self._put(rest[:_PIECE]) :]
            elif self._impatient():
                self._lines, self._size = [bytes(rest)], len(rest)
                return False
        if wrote and self._after is not None:
            self._after()
        return True

    def _writable(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(_TICK))

    def _put(self, piece: memoryview) -> int:
        try:
            return os.write(self._descriptor, piece)
        except BlockingIOError:  # somebody else filled it in between
            return 0
        except OSError as error:
            error.filename = "standard output"  # told in the message: no space left where?
            raise
