"""Any key-value store as a backend: what it must bring, and every capability on top of it."""

from ..bells import Bell
from .contract import Forgotten, Record, TaskStore, Waits, Write, WritesLightly
from .storage import StoreBackend

__all__ = ["Bell", "Forgotten", "Record", "StoreBackend", "TaskStore", "Waits", "Write", "WritesLightly"]
