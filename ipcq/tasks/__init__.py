"""Named functions of one queue: pushed by calling them, run by a worker of that queue."""

from .function import TaskFunction
from .handle import TaskHandle
from .queue import TaskQueue

__all__ = ["TaskFunction", "TaskHandle", "TaskQueue"]
