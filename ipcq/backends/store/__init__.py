"""Any key-value store as a backend: what it must bring, and every capability on top of it."""

from .contract import Record, TaskStore, Write

__all__ = ["Record", "TaskStore", "Write"]
