"""Exit statuses, and which error leads to which."""

from __future__ import annotations

import errno
import signal
import sys

from ..errors import HandlerNotFound, IpcqError

__all__ = ["BROKEN_PIPE", "FAILED", "OK", "USAGE", "UsageError", "complain", "one_line", "status_of"]

OK = 0
FAILED = 1
"""An item failed, or the work could not be done."""
USAGE = 2
"""The command cannot be understood or names something that is not there."""
BROKEN_PIPE = 128 + signal.SIGPIPE
"""Whoever read standard output has gone: what a shell shows for a command ended by it."""


class UsageError(IpcqError):
    """The command cannot be carried out as it was given."""


def status_of(error: BaseException) -> int:
    """The exit status for an error that ends the command; a cause counts too."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, (UsageError, HandlerNotFound)):
            return USAGE
        chain = chain.__cause__
    return FAILED


def one_line(error: BaseException) -> str:
    """What an error says, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        text += "; make room and run again"
    return text


def complain(error: BaseException) -> int:
    """Tell the error on standard error in one line, unless it is to be quiet; return the status."""
    status = status_of(error)
    if status in (FAILED, USAGE):
        print(f"ipcq: error: {one_line(error)}", file=sys.stderr)
    return status
