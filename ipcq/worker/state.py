"""What a worker is doing."""

from __future__ import annotations

from enum import Enum

__all__ = ["WorkerState"]


class WorkerState(Enum):
    """PENDING until `run` is called, RUNNING until it returns, then STOPPED."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
