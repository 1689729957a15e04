"""Queues in a file: a log of JSON lines that survives power loss and can be read with ``less``."""

from .storage import JsonStorage
from .store import JsonStore

__all__ = ["JsonStorage", "JsonStore"]
