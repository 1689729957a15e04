"""What comes back from a task."""

from .error_info import ErrorInfo
from .task_result import TaskResult

__all__ = ["ErrorInfo", "TaskResult"]
