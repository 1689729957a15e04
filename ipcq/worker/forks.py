"""Ends processes that a handler forked and that came back from it."""

from __future__ import annotations

import logging
import os
import sys

__all__ = ["end_fork"]

log = logging.getLogger("ipcq.worker")


def end_fork(owner: int) -> None:
    """End this process if it is not the owner, but a fork of it: it would go on as the worker.

    To be called where a run has ended, in an ``except`` or ``finally`` block: the code of a SystemExit is
    that of the process. What the fork inherited is left alone, buffers too; they are the worker's.

    Args:
        owner: the id of the process in which the run began.
    """
    if os.getpid() == owner:
        return
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        os._exit(error.code or 0)
    log.error(
        "a process that a handler forked came back from it, and is ended; it should call os._exit itself"
    )
    os._exit(1)
