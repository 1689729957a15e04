"""Ctrl-C ends a benchmark as it should end: with its workers, queues and semaphores.

A terminal sends it to all processes at once; of some pools the workers die of it, and the pool waits for
them for ever. So a benchmark runs in a session of its own, and is told by SIGTERM, alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

__all__ = ["INTERRUPTED", "in_own_session", "run"]

INTERRUPTED = 128 + signal.SIGTERM  # exit code, as shells count it


def in_own_session() -> None:
    """Go on only in a session of our own: else run this program again in one, and end as it ends."""
    if os.getsid(0) != os.getpid():
        sys.exit(run(sys.orig_argv, new_session=True))
    signal.signal(signal.SIGTERM, _end)


def run(command: Sequence[str], *, new_session: bool = False) -> int:
    """Run a program and return its exit code; whoever asks us to end, asks it, and it is waited for."""
    process = subprocess.Popen(command, start_new_session=new_session)
    both = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: process.terminate()) for number in both]
    try:
        return process.wait()
    finally:
        for number, handler in zip(both, before, strict=True):
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough
    sys.exit(INTERRUPTED)
