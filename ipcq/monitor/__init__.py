"""Who watches: a supervisor of worker processes."""

from .monitor import Monitor
from .restart import RestartPolicy

__all__ = ["Monitor", "RestartPolicy"]
