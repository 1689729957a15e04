"""What tests of coroutine handlers share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def double(number: int) -> int:
    """Another coroutine has its turn before there is a value."""
    await asyncio.sleep(0)
    return 2 * number


def all_there(count: int) -> Callable[[], Awaitable[None]]:
    """What each of ``count`` coroutines awaits until all of them do."""
    there: list[None] = []
    event = asyncio.Event()

    async def arrive() -> None:
        there.append(None)
        if len(there) == count:
            event.set()
        await event.wait()

    return arrive
