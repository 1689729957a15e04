"""The status of a task and the one table of its legal moves; every backend uses this table."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from .errors import IllegalTransition

__all__ = ["TERMINAL", "TRANSITIONS", "Status", "Transition", "check_transition"]


class Status(IntEnum):
    """Where a task is in its life."""

    PENDING = 0
    """Accepted; becomes due at ``run_at``."""
    QUEUED = 1
    """Handed to a worker ahead of time, not started; its loss charges nothing to the task."""
    RUNNING = 2
    """Its handler was started."""
    DONE = 3
    """The handler returned. Terminal."""
    FAILED = 4
    """The last run ended without a value and another run is owed, due at ``run_at``."""
    KILLED = 5
    """Will not run again; keeps its error. Terminal."""


class Transition(NamedTuple):
    """One legal move: from ``source`` to ``target``, made by ``by``."""

    source: Status | None
    target: Status
    by: str


_S = Status

TRANSITIONS: tuple[Transition, ...] = (
    Transition(None, _S.PENDING, "push"),
    Transition(_S.PENDING, _S.QUEUED, "prefetch"),
    Transition(_S.FAILED, _S.QUEUED, "prefetch"),
    Transition(_S.QUEUED, _S.RUNNING, "start"),
    Transition(_S.PENDING, _S.RUNNING, "start"),
    Transition(_S.FAILED, _S.RUNNING, "start"),
    Transition(_S.RUNNING, _S.DONE, "handler returned"),
    Transition(_S.RUNNING, _S.FAILED, "handler raised, another attempt is left"),
    Transition(_S.RUNNING, _S.KILLED, "handler raised, no attempt left, or Abort"),
    Transition(_S.RUNNING, _S.PENDING, "worker died, a death is left; or given back at a forced stop"),
    Transition(_S.RUNNING, _S.KILLED, "worker died, no death left"),
    Transition(_S.QUEUED, _S.PENDING, "worker dead, stopped or paused"),
    Transition(_S.PENDING, _S.KILLED, "cancel"),
    Transition(_S.FAILED, _S.KILLED, "cancel"),
    Transition(_S.QUEUED, _S.KILLED, "cancel"),
    Transition(_S.RUNNING, _S.KILLED, "cancel(running=True)"),
    Transition(_S.PENDING, _S.PENDING, "reschedule, resume_by_id"),
    Transition(_S.FAILED, _S.PENDING, "reschedule, resume_by_id"),
    Transition(_S.KILLED, _S.PENDING, "reschedule, resume_by_id"),
)
"""Every legal move. Whatever is not here raises `IllegalTransition` and changes nothing."""

TERMINAL = frozenset({Status.DONE, Status.KILLED})
"""The statuses in which a task stays."""

_LEGAL = frozenset((t.source, t.target) for t in TRANSITIONS)


def check_transition(source: Status | None, target: Status) -> None:
    """Raise `IllegalTransition` unless the table allows this move."""
    if (source, target) not in _LEGAL:
        raise IllegalTransition(source, target)
