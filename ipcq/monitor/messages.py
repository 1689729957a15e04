"""What a Monitor and its worker processes tell each other."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

__all__ = ["Began", "Demand", "Failed", "FinalError", "Ready", "Worked"]


class Demand(IntEnum):
    """What is asked of all workers; it only ever rises."""

    RUN = 0
    STOP = 1  # finish what runs, then end
    FORCE = 2  # give back what runs
    KILL = 3


class FinalError(Exception):
    """Raised by an initializer: another process would fail in the same way, so none is started."""


class Ready(NamedTuple):
    """The worker is about to take its first task."""


class Began(NamedTuple):
    """The worker begins a task that has to end soon."""


class Worked(NamedTuple):
    """The worker ran its first task to the end."""


class Failed(NamedTuple):
    """The worker ends by an error of its own.

    Attributes:
        reason: one line.
        final: another start would fail in the same way.
    """

    reason: str
    final: bool
