"""Queues in a file: a log of JSON lines that survives power loss and can be read with ``less``."""

from .store import JsonStore

__all__ = ["JsonStore"]
