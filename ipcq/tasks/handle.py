"""One call of a named function that was pushed."""

from __future__ import annotations

from typing import Generic, TypeVar

from ..result import TaskResult
from ..task import TaskId
from .place import Place

__all__ = ["TaskHandle"]

R = TypeVar("R")


class TaskHandle(Generic[R]):
    """What a push returns: a task by its id, and the type of what it will give.

    Attributes:
        id: of the task; any process can wait for it by `WaitForCompletion`.
        name: of the function.
    """

    __slots__ = ("_place", "id", "name")

    def __init__(self, place: Place, name: str, task_id: TaskId) -> None:
        self._place = place
        self.name = name
        self.id = task_id

    def __repr__(self) -> str:
        return f"<TaskHandle {self.id} of {self.name} in {self._place}>"

    def wait(self, timeout: float | None = None) -> R:
        """What the function returned, as the queue's codec gives it back: a tuple is a list then.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Raises:
            WaitTimeout: it has not ended in time.
            TaskFailed: it ended without a value; see `TaskResult.unwrap`.
            TaskNotFound, ResultExpired: its result is not there any more, or was not to be kept.
        """
        result: TaskResult[R] = self._place.backend.wait(self.id, timeout)
        return result.unwrap()

    def cancel(self, *, running: bool = False) -> bool:
        """Keep it from being run; as `Cancel.cancel`."""
        return self._place.backend.cancel(self.id, running=running)
