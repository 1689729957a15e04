"""The command ``ipcq map``: a function for each item, on all CPUs, one JSON line an item."""

from __future__ import annotations

import argparse
import functools
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from ..backends.memory import MemoryStorage
from ..errors import IpcqError
from ..monitor import Monitor
from .bell import Bell
from .call import Call, prepare
from .check import check_function
from .exits import FAILED, OK
from .inbox import Inbox
from .interrupts import Interrupted, Interrupts
from .items import from_arguments, from_descriptor, from_patterns
from .progress import progress
from .pump import Pump
from .stream import Window
from .tally import Tally
from .writer import Writer

__all__ = ["run"]

_PATIENCE = 2.0  # seconds that a reader of our output has, after Ctrl-C, to take what is done


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return its exit status.

    Raises:
        UsageError: it names what is not there.
        IpcqError: it cannot be carried out.
    """
    directory = None if getattr(sys.flags, "safe_path", False) else os.getcwd()
    with Interrupts() as interrupts:
        try:
            check_function(options.function, directory, interrupts)
            return _work(options, directory, interrupts)
        except Interrupted:
            return interrupts.status


def _work(options: argparse.Namespace, directory: str | None, interrupts: Interrupts) -> int:
    started = time.monotonic()
    tally, bell = Tally(), Bell()
    interrupts.call(bell.ring)
    with closing(Inbox(_source(options), bell.ring)) as inbox, _private_queue() as queue:
        ...


def _source(options: argparse.Namespace) -> Iterator[list[bytes]]:
    """The items that the command names, or else those of standard input."""
    if options.items or options.glob:
        yield from from_arguments(options.items)
        yield from from_patterns(options.glob or ())
        return
    if sys.stdin is not None and os.isatty(0) and not options.quiet:
        print("ipcq: type one item a line; Ctrl-D ends", file=sys.stderr)
    yield from from_descriptor(0, b"\0" if options.null else b"\n")
