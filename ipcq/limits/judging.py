"""What is to be done about a worker, from what can be seen of it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from ..errors import IpcqError, MemoryExceeded, TaskTimeout
from .settings import Limits

__all__ = ["Reason", "Verdict", "error_of", "judge"]


class Reason(IntEnum):
    """Which limit was exceeded."""

    TIME = 1
    MEMORY = 2
    IDLE = 3


class Verdict(NamedTuple):
    """What a worker has too much of.

    Attributes:
        reason: which limit.
        amount: the limit itself for a time, in seconds; the bytes that were seen for memory.
        ends_run: whether its run is ended; else it ends after that, in order.
    """

    reason: Reason
    amount: float
    ends_run: bool

    def __str__(self) -> str:
        if self.reason is Reason.MEMORY:
            return f"it had {self.amount / 1e6:.0f} MB of resident memory"
        if self.reason is Reason.IDLE:
            return f"it had nothing to do for {self.amount:g} s"
        return f"a task ran for longer than its {self.amount:g} s"


def judge(
    limits: Limits, *, timeout: float, late: bool, running: bool, idle: float | None, rss: int
) -> Verdict | None:
    """What is to be done; None for nothing.

    Args:
        timeout: seconds that the present run may take.
        late: whether it took longer.
        running: whether there is one.
        idle: seconds since the last one ended; None where there was none: one process that is too large from
            the beginning gives way to another one no sooner than it did something.
        rss: bytes of resident memory.
    """
    if running and late:
        return Verdict(Reason.TIME, timeout, True)
    if limits.memory is not None and rss > limits.memory and running:
        return Verdict(Reason.MEMORY, rss, True)
    if idle is None:
        return None
    if limits.memory is not None and rss > limits.memory:
        return Verdict(Reason.MEMORY, rss, False)
    if limits.recycle_memory is not None and rss > limits.recycle_memory:
        return Verdict(Reason.MEMORY, rss, False)
    if limits.recycle_idle is not None and not running and idle > limits.recycle_idle:
        return Verdict(Reason.IDLE, idle, False)
    return None


def error_of(reason: Reason, amount: float, how: str = "") -> IpcqError:
    """The error of a task whose run was ended.

    Args:
        how: what became of the process, if it was ended, too.
    """
    told = f"; {how}" if how else ""
    if reason is Reason.MEMORY:
        return MemoryExceeded(
            f"the process running the task had {amount / 1e6:.0f} MB of resident memory, more than it may;"
            f" the run was ended{told}; raise Limits(memory=...), or use smaller items"
        )
    return TaskTimeout(
        f"the task ran for longer than its {amount:g} s; the run was ended{told};"
        " raise run_timeout= or Limits(timeout=...), or see in the traceback where it was"
    )
