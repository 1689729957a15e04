"""The layer that tells the Monitor what runs, and why it was broken off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..layer import CallNext, Overrun
from ..task import Task, TaskId
from .board import Board
from .judging import error_of
from .kin import adopt_orphans
from .settings import TICK, Limits
from .several import Several

__all__ = ["RunLimit"]


class RunLimit:
    """Tells each run that has a limit to whoever reads the board; costs the others nothing.

    Args:
        hurry: has the reader look at the board: there is a run that ends before it would.
    """

    def __init__(self, board: Board, limits: Limits, hurry: Callable[[], object]) -> None:
        self._board, self._hurry = board, hurry
        self._timeout = limits.timeout
        self._never = limits.timeout is None and not limits.always  # but for tasks that have their own
        self._adopting = False
        self._several = Several(board)

    def __repr__(self) -> str:
        return f"<RunLimit of {self._timeout} s by {self._board!r}>"

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Run what is inside while the board says so."""
        if task.timeout is None and self._never:
            return call_next(task, context)
        timeout = self.timeout_of(task)
        self._adopt()
        self._board.begin(task.id, timeout)
        if timeout is not None and timeout < TICK:
            self._hurry()
        try:
            return call_next(task, context)
        finally:
            self._board.end()

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine, which its loop cancels in time; the board is for one that is stuck."""
        if task.timeout is None and self._never:
            return await call_next(task, context)
        timeout = self.timeout_of(task)
        self._adopt()
        number = self._several.begin(task.id, timeout)
        try:
            return await call_next(task, context)
        finally:
            self._several.end(number)

    def timeout_of(self, task: Task[Any]) -> float | None:
        """Seconds that its run may take."""
        return self._timeout if task.timeout is None else min(task.timeout, self._timeout or task.timeout)

    def _adopt(self) -> None:
        if not self._adopting:  # what is started under no limit is nobody's concern
            self._adopting = True
            adopt_orphans()

    @property
    def task_id(self) -> TaskId | None:
        """Of the run that the board shows."""
        run = self._board.run()
        return None if run is None else run.task_id

    def overrun(self) -> Overrun | None:
        """What is to be raised in the present run, if it is to end."""
        order = self._board.order()
        return None if order is None else Overrun(error_of(*order))
