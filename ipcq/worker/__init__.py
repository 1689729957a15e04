"""Who runs tasks: a worker, and the context that it gives to its layers."""

from .context import WorkerContext
from .state import WorkerState
from .worker import Worker

__all__ = ["Worker", "WorkerContext", "WorkerState"]
