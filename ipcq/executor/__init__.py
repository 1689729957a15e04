"""A `concurrent.futures.Executor` that does not break: its calls are tasks of a queue in shared memory."""

from .encoding import NotPicklable
from .executor import Executor
from .outcome import ExecutorFailed
from .sharing import Shared, share

__all__ = ["Executor", "ExecutorFailed", "NotPicklable", "Shared", "share"]
