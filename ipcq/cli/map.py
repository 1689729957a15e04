"""The command ``ipcq map``: a function for each item, on all CPUs, one JSON line an item."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress

from ..errors import IpcqError, MonitorFailed
from ..monitor import Monitor
from .bell import Bell
from .call import Call, prepare
from .check import check_function
from .exits import FAILED, OK
from .inbox import Inbox
from .interrupts import Interrupted, Interrupts
from .items import from_arguments, from_descriptor, from_patterns
from .logs import LogLines, receiving
from .progress import Progress, progress
from .pump import Pump
from .session import Session, named, private
from .stream import Window
from .tally import Tally
from .writer import Writer

__all__ = ["run"]

_GRACE = 0.5  # seconds that items have, after Ctrl-C, to end by themselves
_PATIENCE = 3.0  # seconds that a reader of our output has, after Ctrl-C, to take what is done


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return its exit status.

    Raises:
        UsageError: it names what is not there.
        IpcqError: it cannot be carried out.
    """
    directory = None if getattr(sys.flags, "safe_path", False) else os.getcwd()
    # A replaced worker is no news: what it costs is in its item's line. Giving up is told by the error.
    logging.getLogger("ipcq").addHandler(logging.NullHandler())
    with Interrupts() as interrupts:
        try:
            check_function(options.function, directory, interrupts)
            return _Job(options, directory, interrupts).run()
        except Interrupted:
            return interrupts.status


class _Job:
    """One run: its parts, and in which order they start and end."""

    def __init__(self, options: argparse.Namespace, directory: str | None, interrupts: Interrupts) -> None:
        self._options, self._directory, self._interrupts = options, directory, interrupts
        self._started = time.monotonic()
        self._tally, self._bell = Tally(), Bell()
        self._inbox = Inbox(_source(options), self._bell.ring)
        interrupts.call(self._bell.ring)

    def run(self) -> int:
        """Do it all, tell what came of it, and return the exit status."""
        try:
            with closing(self._inbox), self._session() as session:
                self._tally.done, self._tally.failed = session.done, session.failed
                self._tally.earlier = self._tally.settled
                self._work(session)
        except Interrupted:
            self._sum_up(interrupted=True)
            raise
        self._sum_up()
        return FAILED if self._tally.failed else OK

    def _session(self) -> AbstractContextManager[Session]:
        options = self._options
        if not options.queue:
            return private()
        return named(options.queue, options.function, resume=options.resume, ordered=not options.unordered)

    def _work(self, session: Session) -> None:
        monitor = Monitor(
            session.queue,
            Call(self._options.function),
            workers=self._options.workers,
            initializer=prepare,
            initargs=(self._options.function, self._directory),
        )
        _invite(self._options)  # before the bar, which stands in its line
        with (
            closing(progress(self._tally, lambda: monitor.alive, quiet=self._options.quiet)) as bar,
            receiving(self._options.logs, bar.write) as lines,
        ):
            pump = self._pump(session, monitor, bar, lines)
            self._inbox.start()
            try:
                with _running(monitor, self._interrupts):
                    pump.run()
            except (Interrupted, IpcqError):
                pump.salvage()
                raise
        session.finish()

    def _pump(self, session: Session, monitor: Monitor, bar: Progress, lines: LogLines | None) -> Pump:
        def look() -> None:
            self._interrupts.check()
            monitor.check()
            bar.show(self._inbox.total)

        window = Window(ordered=not self._options.unordered)
        wipe = bar.clear if os.isatty(1) else None
        writer = Writer(1, self._impatient, before=wipe, after=session.lines_are_out)
        inbox, ledger = self._inbox, session.ledger
        mark = None if lines is None else lines.mark
        return Pump(session.queue, inbox, window, writer, self._bell, self._tally, look, ledger, mark)

    def _impatient(self) -> bool:
        """Whether the reader of our output had its time to take it, or a second signal came."""
        told = self._interrupts
        return told.count > 1 or (told.count == 1 and time.monotonic() > told.since + _PATIENCE)

    def _sum_up(self, *, interrupted: bool = False) -> None:
        if not self._options.quiet:
            unfinished = max(0, self._inbox.seen - self._tally.settled)
            seconds = time.monotonic() - self._started
            text = self._tally.summary(seconds, unfinished=unfinished, interrupted=interrupted)
            if interrupted and self._options.queue:
                text += "; the same command with --resume goes on"
            print(f"ipcq: {text}", file=sys.stderr)


@contextmanager
def _running(monitor: Monitor, interrupts: Interrupts) -> Iterator[None]:
    """Workers for the time of the block; what they run after it is taken from them soon.

    At a second signal they give it back at once, which costs it no death; who does not is killed soon.
    """

    def hurry() -> None:
        if interrupts.count > 1:
            with suppress(MonitorFailed):  # told by the main thread
                monitor.stop(0)

    interrupts.call(hurry)
    try:
        monitor.start()
        yield
        monitor.stop(_GRACE)
    except Interrupted:
        monitor.stop(_GRACE)
        raise
    finally:
        monitor.kill()


def _invite(options: argparse.Namespace) -> None:
    """Tell whoever sits at a terminal that the items are to be typed."""
    typed = not (options.items or options.glob) and sys.stdin is not None and os.isatty(0)
    if typed and not options.quiet:
        print("ipcq: type one item a line; Ctrl-D ends", file=sys.stderr)


def _source(options: argparse.Namespace) -> Iterator[list[bytes]]:
    """The items that the command names, or else those of standard input."""
    if options.items or options.glob:
        yield from from_arguments(options.items)
        yield from from_patterns(options.glob or ())
        return
    yield from from_descriptor(0, b"\0" if options.null else b"\n")
