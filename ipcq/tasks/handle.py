"""One call of a named function that was pushed."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

from ..backend import OnProgress
from ..result import TaskResult
from ..task import Progress, TaskId
from .place import Place

__all__ = ["TaskHandle"]

R_co = TypeVar("R_co", covariant=True)


class TaskHandle(Generic[R_co]):
    """What a push returns: a task by its id, and the type of what it will give.

    In a coroutine ``await handle`` is a `wait` that holds up nobody: thousands share one thread, and one that
    is cancelled leaves nothing behind. ``asyncio.wait_for(handle, 5)`` bounds it.

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

    def wait(self, timeout: float | None = None, *, on_progress: OnProgress | None = None) -> R_co:
        """What the function returned, as the queue's codec gives it back: a tuple is a list then.

        Args:
            timeout: seconds to wait; None for as long as it takes.
            on_progress: called with the task's id and how far it is, as by `WaitForCompletion.wait_for`.

        Raises:
            WaitTimeout: it has not ended in time.
            TaskFailed: it ended without a value; see `TaskResult.unwrap`.
            TaskNotFound, ResultExpired: its result is not there any more, or was not to be kept.
        """
        backend = self._place.backend
        result: TaskResult[R_co]
        if on_progress is None:
            result = backend.wait(self.id, timeout)
        else:
            result = backend.wait(self.id, timeout, on_progress=on_progress)
        return result.unwrap()

    def __await__(self) -> Generator[Any, None, R_co]:
        return self._come().__await__()

    async def _come(self) -> R_co:
        awaiting = await self._place.awaiting()
        result: TaskResult[R_co] = await awaiting.wait(self.id)
        return result.unwrap()

    @property
    def progress(self) -> Progress | None:
        """How far its run is; None where it does not run, or has told nothing."""
        task = self._place.backend.fetch_by_id(self.id)
        return task.progress if task is not None else None

    def cancel(self, *, running: bool = False) -> bool:
        """Keep it from being run; as `Cancel.cancel`."""
        return self._place.backend.cancel(self.id, running=running)
