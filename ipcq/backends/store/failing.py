"""What is written when a run failed, whoever says so."""

from __future__ import annotations

from ...result import ErrorInfo
from ...status import Status
from ..parts import microseconds
from .desk import Desk, Held
from .moves import fail
from .sums import Sums
from .view import Change

__all__ = ["failed"]


def failed(desk: Desk, held: Held, error: ErrorInfo, delay: int = 0, *, final: bool = True) -> list[Change]:
    """The changes by which a RUNNING task becomes FAILED, or KILLED if ``final`` or with no attempt left.

    Args:
        delay: microseconds before it is due again.
    """
    now = microseconds()
    after = fail(held.task, error, now + delay, now, final=final)
    changes = [desk.put(after, held.version)]
    if after.status is Status.FAILED:  # its last run is counted with the task, those before apart
        sums = Sums()
        sums.ran(held.task.started - held.task.due, max(0, now - held.task.started), failed=True)
        with desk.view.mutex:
            changes.append(desk.count(sums))
    return changes
