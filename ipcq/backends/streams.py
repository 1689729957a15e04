"""A stream of tasks into a queue, some at a time: the same for every backend that has `push_bulk`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from ..task import TaskId
from .parts import chunks

__all__ = ["push_stream"]

PushBulk = Callable[[list[Any]], list[TaskId]]


def push_stream(push: PushBulk, source: Iterable[Any] | AsyncIterable[Any], batch: int) -> Any:
    """Push what ``source`` yields, ``batch`` tasks at a time; how many, or an awaitable of that."""
    if batch < 1:
        raise ValueError(f"batch must be 1 or more, not {batch!r}")
    if isinstance(source, AsyncIterable):
        return _push_async(push, source, batch)
    return sum(len(push(part)) for part in chunks(source, batch))


async def _push_async(push: PushBulk, source: AsyncIterable[Any], batch: int) -> int:
    count = 0
    part: list[Any] = []
    async for args in source:
        part.append(args)
        if len(part) >= batch:
            count += len(await asyncio.to_thread(push, part))
            part = []
    return count + (len(await asyncio.to_thread(push, part)) if part else 0)
