"""Queues in shared memory: what survives SIGKILL of every process at any instruction.

Attributes:
    COMPILED: whether this process runs the compiled core; see `mode`.
"""

from .mode import COMPILED, SEARCH

__path__[:] = SEARCH  # before any module is imported that exists in both forms

from .opening import Removed, gc  # noqa: E402 - see above
from .storage import MemoryStorage  # noqa: E402

__all__ = ["COMPILED", "MemoryStorage", "Removed", "gc"]
