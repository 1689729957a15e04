"""The layer that tells what runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ipcq import Limits, Task, TaskTimeout
from ipcq.layer import Overrun
from ipcq.limits import layer as module
from ipcq.limits.board import Board
from ipcq.limits.judging import Reason
from ipcq.limits.layer import RunLimit


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A page of one process."""
    monkeypatch.setattr(module, "adopt_orphans", lambda: None)  # it would last for all tests
    made = Board()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("own", "of_worker", "told", "hurried"),
    [(None, None, None, False), (9.0, None, 9.0, False), (None, 0.1, 0.1, True), (9.0, 2.0, 2.0, False)],
)
def test_the_shorter_timeout_counts(
    board: Board, own: float | None, of_worker: float | None, told: float | None, hurried: bool
) -> None:
    """Of the task's and the worker's; who looks is called where it would come too late. Then nothing runs."""
    calls: list[str] = []
    seen: list[Any] = []
    limit = RunLimit(board, Limits(timeout=of_worker), lambda: calls.append("hurry"))
    limit(Task.of(1, timeout=own), None, lambda *_: seen.append(board.run()))

    assert (seen[0].timeout if seen[0] else None) == told
    assert bool(calls) is hurried
    assert board.run() is None


def test_an_order_is_what_is_raised(board: Board) -> None:
    """As long as the run goes on that it is for; also where that raises."""
    limit = RunLimit(board, Limits(memory=1), lambda: None)

    def run(*_: Any) -> None:
        found = board.run()
        assert found is not None
        assert limit.overrun() is None
        board.give_order(found, Reason.TIME, 5.0)
        overrun = limit.overrun()
        assert isinstance(overrun, Overrun)
        raise overrun

    with pytest.raises(Overrun, match="5 s") as raised:
        limit(Task.of(1), None, run)
    assert isinstance(raised.value.error, TaskTimeout)
    assert limit.overrun() is None
    assert board.run() is None
