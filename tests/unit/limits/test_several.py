"""Which of several runs is shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ipcq import TaskId
from ipcq.limits.board import Board
from ipcq.limits.several import Several


@pytest.fixture
def board() -> Iterator[Board]:
    """A page of one process."""
    made = Board()
    yield made
    made.close()


def test_the_one_that_is_late_first_is_shown(board: Board) -> None:
    """With its own timeout, but late some time after that; without timeouts the oldest."""
    several = Several(board)

    def shown() -> int | None:
        run = board.run()
        return None if run is None else int(run.task_id)

    oldest = several.begin(TaskId(1), None)
    later = several.begin(TaskId(2), 60)
    soon = several.begin(TaskId(3), 5)
    run = board.run()
    assert run is not None
    assert (run.task_id, run.timeout) == (3, 5)
    several.begin(TaskId(4), None)
    assert board.run() == run, "it is not told anew"
    several.end(soon)
    assert shown() == 2
    several.end(later)
    assert shown() == 1
    several.end(oldest)
    assert shown() == 4
    assert repr(several) == "<Several: 1 run>"
    several.end(4)
    assert shown() is None
