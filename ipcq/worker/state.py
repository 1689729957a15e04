"""What a worker is doing."""

from __future__ import annotations

from enum import Enum

__all__ = ["WorkerState"]


class WorkerState(Enum):
    """PENDING until `run` is called, then RUNNING, or PAUSED while it takes no tasks; STOPPED at the end."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
