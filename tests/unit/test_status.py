"""The one table of legal moves."""

from __future__ import annotations

import itertools

import pytest

from ipcq import TERMINAL, TRANSITIONS, IllegalTransition, Status
from ipcq.status import check_transition

LEGAL = {(move.source, move.target) for move in TRANSITIONS}
ALL = list(itertools.product([None, *Status], Status))


def test_the_numbers_are_fixed() -> None:
    """Statuses are stored as numbers, so their numbers never change."""
    assert {status.name: status.value for status in Status} == {
        "PENDING": 0,
        "QUEUED": 1,
        "RUNNING": 2,
        "DONE": 3,
        "FAILED": 4,
        "KILLED": 5,
    }


def test_only_the_moves_of_the_table_are_legal() -> None:
    """A move passes if the table has it, and raises IllegalTransition if not."""
    for source, target in ALL:
        if (source, target) in LEGAL:
            check_transition(source, target)
        else:
            with pytest.raises(IllegalTransition, match=target.name):
                check_transition(source, target)


def test_a_done_task_stays_done() -> None:
    """Nothing leads out of DONE; what leads out of KILLED is asked for by a person."""
    assert not [move for move in TRANSITIONS if move.source is Status.DONE]
    assert [m.by for m in TRANSITIONS if m.source is Status.KILLED] == ["reschedule, resume_by_id"]
    assert {Status.DONE, Status.KILLED} == TERMINAL


def test_every_status_is_reached_and_every_task_can_end() -> None:
    """From the first move every status is reached, and from every status a terminal one."""
    for status in Status:
        assert status in _reached_from(None)
        assert status in TERMINAL or _reached_from(status) & TERMINAL


def _reached_from(start: Status | None) -> set[Status | None]:
    found: set[Status | None] = set()
    todo = {start}
    while todo:
        here = todo.pop()
        todo |= {target for source, target in LEGAL if source == here} - found
        found |= {target for source, target in LEGAL if source == here}
    return found
