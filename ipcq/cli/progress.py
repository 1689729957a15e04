"""The progress bar on standard error."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TextIO

from .tally import Tally

__all__ = ["Bar", "Progress", "Silent", "progress"]

_KNOWN = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed} < {remaining}, {rate_noinv_fmt}{postfix}]"
_UNKNOWN = "{n_fmt} items [{elapsed}, {rate_noinv_fmt}{postfix}]"
_EVERY = 0.1  # seconds between two pictures: eyes do not see more


class Progress(Protocol):
    """Shows how far the work is."""

    def show(self, total: int | None) -> None:
        """Draw the current state, if it is time to; ``total`` is the number of items, once known."""
        ...

    def clear(self) -> None:
        """Wipe it, to be drawn again at the next `show`: something else is about to appear."""
        ...

    def write(self, text: str) -> None:
        """Write whole lines to standard error, above it; from any thread."""
        ...

    def close(self) -> None:
        """Leave the line as if nothing had been there."""
        ...


def progress(tally: Tally, workers: Callable[[], int], *, quiet: bool = False) -> Progress:
    """A bar where a person watches standard error, else nothing."""
    return Bar(tally, workers, sys.stderr) if sys.stderr.isatty() and not quiet else Silent()


class Silent:
    """Shows nothing."""

    def show(self, total: int | None) -> None:
        """Draw nothing."""

    def clear(self) -> None:
        """Nothing is there to be wiped."""

    def write(self, text: str) -> None:
        """Write whole lines."""
        with suppress(OSError):  # its reader has gone
            sys.stderr.write(text)
            sys.stderr.flush()

    def close(self) -> None:
        """Leave nothing."""


class Bar:
    """Items done and failed, rate, time left, workers alive, in one line.

    Args:
        tally: what to show.
        workers: asked for the number of workers alive at each picture.
        stream: where to.
        clock: seconds, to know when the next picture is due.
    """

    def __init__(
        self,
        tally: Tally,
        workers: Callable[[], int],
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from tqdm import tqdm

        class Line(tqdm):  # type: ignore[type-arg]
            monitor_interval = 0  # no thread of its own

        Line.set_lock(threading.RLock())  # the default one starts a process to look after it
        self._tally, self._workers, self._clock = tally, workers, clock
        self._due = clock()
        self._line = Line(
            file=stream,
            initial=tally.earlier,  # the rate is that of this run
            leave=False,
            ncols=_columns(stream),
            nrows=2,  # asked for, it would hide the bar where a terminal says it has no rows
            bar_format=_UNKNOWN,
            unit=" items",
        )

    def show(self, total: int | None) -> None:
        """Draw the current state, if the last picture is a tenth of a second old."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + _EVERY
        line, alive = self._line, self._workers()
        if total:
            line.total, line.bar_format = total, _KNOWN
        line.n, line.ncols = self._tally.settled, _columns(line.fp)
        line.set_postfix_str(
            f"{self._tally.failed} failed, {alive} worker{'' if alive == 1 else 's'}", refresh=False
        )
        line.refresh()

    def clear(self) -> None:
        """Wipe the line for now."""
        self._line.clear()

    def write(self, text: str) -> None:
        """Write whole lines in its place, and draw it below them."""
        with suppress(OSError):  # its reader has gone
            self._line.write(text, file=self._line.fp, end="")

    def close(self) -> None:
        """Wipe the line."""
        self._line.close()


def _columns(stream: TextIO) -> int:
    """How wide the bar may be now; a terminal that says it has no columns gets the usual 80."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:  # a stream of a test
        columns = 0
    return (columns or 80) - 1
