"""Several runs at a time in one process, of which the board shows one."""

from __future__ import annotations

from time import monotonic

from ..task import TaskId
from .board import Board

__all__ = ["Several"]

_LATER = 0.6  # seconds after its timeout: before, the loop cancels a run itself, and sees that it obeys


class Several:
    """Has the board show the run that will be late first; of those without a timeout the oldest."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._number = 0
        self._runs: dict[int, tuple[float, TaskId, float | None]] = {}
        self._shown = 0

    def __repr__(self) -> str:
        return f"<Several: {len(self._runs)} run>"

    def begin(self, task_id: TaskId, timeout: float | None) -> int:
        """A run begins; its number."""
        self._number += 1
        late = float("inf") if timeout is None else monotonic() + timeout + _LATER
        self._runs[self._number] = late, task_id, timeout
        self._show()
        return self._number

    def end(self, number: int) -> None:
        """It has ended."""
        del self._runs[number]
        self._show()

    def _show(self) -> None:
        first = min(self._runs, key=lambda number: (self._runs[number][0], number), default=0)
        if first == self._shown:
            return
        if self._shown:
            self._board.end()
        self._shown = first
        if first:
            late, task_id, timeout = self._runs[first]
            self._board.begin(task_id, timeout, late)
