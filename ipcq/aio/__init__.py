"""Queues for asyncio: every call of a backend as a coroutine, and waits that cost no thread each."""

from .connecting import connect
from .lease import AsyncLease
from .queue import AsyncQueue
from .results import AsyncResults
from .weak import AsyncWeakSink

__all__ = ["AsyncLease", "AsyncQueue", "AsyncResults", "AsyncWeakSink", "connect"]
