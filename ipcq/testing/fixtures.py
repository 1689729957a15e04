"""What the fixtures of the pytest plugin give; apart from it, because it is imported for every test run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..backends.memory import MemoryStorage
from ..errors import QueueClosed, QueueInUse, QueueNotFound

__all__ = ["Leaked", "fresh_queue"]

_GRACE = 3.0  # seconds for what a test has ended to be gone
_SHM = "/dev/shm"


class Leaked(AssertionError):
    """Something that uses a queue outlived its test."""


@contextmanager
def fresh_queue(set_directory: Callable[[str], object], name: str = "test") -> Iterator[MemoryStorage]:
    """An empty queue in a directory of its own; it is gone afterwards.

    Args:
        set_directory: makes a directory the one where queues live, for this process and those it starts.

    Raises:
        Leaked: in the end, if somebody still has the queue open.
    """
    directory = tempfile.mkdtemp(prefix="ipcq-test-", dir=_SHM if os.access(_SHM, os.W_OK) else None)
    try:
        set_directory(directory)
        with MemoryStorage(name) as queue:
            yield queue
            left = _end(queue)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if left:
        raise Leaked(f"outlived the test: {left}; stop and close what uses the queue")


def _end(queue: MemoryStorage) -> str:
    """Remove the queue; who still uses it, empty for nobody."""
    until = time.monotonic() + _GRACE
    try:
        while True:
            try:
                queue.destroy()
            except QueueInUse:
                if time.monotonic() < until:
                    time.sleep(0.01)
                    continue
                left = _users(queue)
                queue.destroy(force=True)
                return left
            return ""
    except (QueueClosed, QueueNotFound):  # the test did it
        return ""


def _users(queue: MemoryStorage) -> str:
    workers = [f"worker {row.id!r} (process {row.pid})" for row in queue.list_workers() if row.alive]
    return ", ".join(workers) or "another process, or another handle, that has the queue open"
