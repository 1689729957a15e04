"""Queues in shared memory: what survives SIGKILL of every process at any instruction."""

from .opening import Removed, gc
from .storage import MemoryStorage

__all__ = ["MemoryStorage", "Removed", "gc"]
