"""Who watches: a supervisor of worker processes."""

from .messages import FinalError
from .monitor import Monitor
from .restart import RestartPolicy

__all__ = ["FinalError", "Monitor", "RestartPolicy"]
