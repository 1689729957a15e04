"""Ends processes that a handler forked and that came back from it."""

from __future__ import annotations

import logging
import os
import sys

__all__ = ["end_fork", "forks"]

log = logging.getLogger("ipcq.worker")


class Forks:
    """Which fork this process is: looked at around each run, where two calls of ``os.getpid`` cost a tenth.

    Attributes:
        count: how many forks it is away from the process that imported this.
    """

    def __init__(self) -> None:
        self.count = 0

    def __repr__(self) -> str:
        return f"<Forks: {self.count}>"

    def note(self) -> None:
        """This is a forked child."""
        self.count += 1


forks = Forks()
os.register_at_fork(after_in_child=forks.note)


def end_fork() -> None:
    """End this process, a fork of the one in which the run began: it would go on as the worker.

    To be called where a run has ended, in an ``except`` or ``finally`` block: the code of a SystemExit is
    that of the process. What the fork inherited is left alone, buffers too; they are the worker's.
    """
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        os._exit(error.code or 0)
    log.error(
        "a process that a handler forked came back from it, and is ended; it should call os._exit itself"
    )
    os._exit(1)
