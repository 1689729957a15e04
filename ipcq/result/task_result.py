"""The outcome of one task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import TaskFailed
from ..status import Status
from ..task import TaskId
from .error_info import ErrorInfo

__all__ = ["TaskResult"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, init=False)
class TaskResult(Generic[T]):
    """The outcome of one task: a value when DONE, an error when KILLED.

    Attributes:
        task_id: whose outcome this is.
        status: DONE or KILLED.
        value: what the handler returned; None unless DONE.
        error: what went wrong; None when DONE.
    """

    task_id: TaskId
    status: Status
    value: T | None = None
    error: ErrorInfo | None = None

    def __init__(
        self, task_id: TaskId, status: Status, value: T | None = None, error: ErrorInfo | None = None
    ) -> None:
        _set_task_id(self, task_id)  # past the frozen __setattr__, at half of the usual cost
        _set_status(self, status)
        _set_value(self, value)
        _set_error(self, error)

    def unwrap(self) -> T:
        """Return the value.

        Raises:
            TaskFailed: the task ended without one; its cause is the remote traceback, or
                `WorkerDied` where the worker's process died.
        """
        if self.error is None:
            return self.value  # type: ignore[return-value]
        raise TaskFailed(f"task {self.task_id} was {self.status.name}: {self.error}") from self.error.cause()


_set_task_id, _set_status, _set_value, _set_error = (
    TaskResult.__dict__[name].__set__ for name in TaskResult.__slots__
)
