"""The page that a worker and its Monitor share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ipcq import TaskId
from ipcq.limits.board import Board
from ipcq.limits.judging import Reason


@pytest.fixture
def sides() -> Iterator[tuple[Board, Board]]:
    """The worker's and the Monitor's object."""
    mine = Board()
    theirs = Board(os.dup(mine._file))
    yield theirs, mine
    for board in (mine, theirs):
        board.close()
        board.close()
    assert repr(mine) == "<Board closed>"


def test_a_run_is_seen(sides: tuple[Board, Board]) -> None:
    """What runs, and by when it has to end; nothing before and after."""
    worker, monitor = sides
    task_id = TaskId.new()
    assert monitor.run() is None
    assert monitor.ended is None

    worker.begin(task_id, 5.0)

    run = monitor.run()
    assert run is not None
    assert (run.task_id, run.timeout) == (task_id, 5.0)
    assert str(task_id) in repr(monitor)
    worker.end()
    assert monitor.run() is None
    assert run.deadline - 5 <= (monitor.ended or 0) + 1e-5

    worker.begin(task_id, None)
    assert (monitor.run() or run).deadline == float("inf")


def test_an_order_is_for_one_run(sides: tuple[Board, Board]) -> None:
    """What was to end one run does not end the next."""
    worker, monitor = sides
    worker.begin(1, 5.0)
    run = monitor.run()
    assert run is not None
    assert worker.order() is None
    assert not worker.was_ordered

    monitor.give_order(run, Reason.TIME, 5.0)

    assert worker.order() == (Reason.TIME, 5.0)
    worker.end()
    assert worker.order() is None
    worker.begin(2, 5.0)
    assert worker.order() is None
    assert worker.was_ordered


@pytest.mark.skipif(not hasattr(signal, "SIGRTMAX"), reason="there is no signal that nobody uses")
def test_a_stack_is_written_behind_the_page(sides: tuple[Board, Board]) -> None:
    """Where the process is, by C code; nothing where it was not asked for, or cannot be."""
    import faulthandler

    from ipcq.limits import board

    worker, monitor = sides
    assert not monitor.ask_for_stack(os.getpid())
    assert monitor.stack() == ""
    worker.dump_on_signal()
    try:
        assert monitor.ask_for_stack(os.getpid())
        assert "test_a_stack_is_written" in monitor.stack()
    finally:
        faulthandler.unregister(board._DUMP_SIGNAL)
