"""What is run in the workers, and queues to run it in: importable by every process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ipcq import MemoryStorage, Monitor

__all__ = ["PAGE", "a_queue", "read_pages", "same", "through", "working"]

PAGE = 4096


def same(number: int) -> int:
    """Do nothing."""
    return number


def read_pages(data: bytes | memoryview) -> bytes:
    """Read one byte of each page: no page may be left behind."""
    return sum(data[::PAGE]).to_bytes(8, "little")


@contextmanager
def a_queue(**settings: Any) -> Iterator[MemoryStorage]:
    """A queue of its own, destroyed in the end."""
    queue = MemoryStorage(f"bench-{secrets.token_hex(4)}", ephemeral=True, **settings)
    try:
        yield queue
    finally:
        queue.destroy(force=True)


@contextmanager
def working(
    handler: Callable[..., Any], workers: int, prefetch: int = 1, **settings: Any
) -> Iterator[MemoryStorage]:
    """A queue with workers."""
    with a_queue(**settings) as queue, Monitor(queue, handler, workers=workers, prefetch=prefetch):
        yield queue


def through(queue: MemoryStorage, items: Iterable[Any]) -> Iterator[Any]:
    """All results, one task for each item."""
    for result in queue.wait_for(queue.push_bulk(items)):
        yield result.unwrap()
