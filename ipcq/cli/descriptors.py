"""The three standard descriptors must be there, or the next file opened takes the place of one."""

from __future__ import annotations

import os
import sys

from .exits import UsageError

__all__ = ["check_descriptors", "silence"]


def check_descriptors() -> None:
    """Open what was closed for reading nothing and for writing to nowhere.

    Raises:
        UsageError: standard output is closed.
    """
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        if not _is_open(descriptor):
            os.open(os.devnull, mode)  # gets this number, the lowest free one
            if descriptor == 1:
                raise UsageError("standard output is closed: there is no place for results")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the rest of the process


def silence(descriptor: int) -> None:
    """Let what is still written to ``descriptor`` go nowhere: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
