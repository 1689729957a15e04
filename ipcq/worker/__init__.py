"""Who runs tasks: a worker, and the context that it gives to its layers."""

from .context import WorkerContext
from .router import Router
from .state import WorkerState
from .worker import Worker

__all__ = ["Router", "Worker", "WorkerContext", "WorkerState"]
