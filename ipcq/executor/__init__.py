"""A `concurrent.futures.Executor` that does not break: its calls are tasks of a queue in shared memory."""

from .encoding import NotPicklable
from .engine import ExecutorFailed
from .executor import Executor

__all__ = ["Executor", "ExecutorFailed", "NotPicklable"]
