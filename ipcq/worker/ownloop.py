"""An event loop of one's own, from its beginning to its end, whatever handlers leave in it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .run import GRACE

__all__ = ["run_in_own_loop"]

log = logging.getLogger("ipcq.worker")


def run_in_own_loop(
    main: Callable[[], Coroutine[Any, Any, None]], before_leaving: Callable[[], object]
) -> None:
    """Run a coroutine function in a new loop, then end what is left there.

    Args:
        before_leaving: called when that is over, or broken.

    Raises:
        RuntimeError: a loop runs in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "an event loop runs in this thread, and the worker needs one of its own; run it in another"
            " thread: await asyncio.to_thread(worker.run)"
        )
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(thread_name_prefix="ipcq-to-thread")
    loop.set_default_executor(threads)
    try:
        _complete(loop, loop.create_task(main()))
    finally:
        before_leaving()
        try:
            loop.run_until_complete(_leave(loop))
        finally:
            loop.close()
            _end(threads)


def _complete(loop: asyncio.AbstractEventLoop, main: asyncio.Task[None]) -> None:
    """Run the loop until that is done, though what a handler started there may exit."""
    while not main.done():
        try:
            loop.run_until_complete(main)
        except (SystemExit, KeyboardInterrupt) as error:  # signals do not raise here
            if main.done():
                raise
            log.warning("a coroutine that a handler started raised %r; the worker goes on", error)


async def _leave(loop: asyncio.AbstractEventLoop) -> None:
    """End what handlers left in the loop; what does not obey is left behind."""
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for each in left:
        each.cancel()
    if left:
        _, deaf = await asyncio.wait(left, timeout=GRACE)
        for each in deaf:
            setattr(each, "_log_destroy_pending", False)  # noqa: B010 - this says it
            log.warning("%r was cancelled at its worker's end, and goes on all the same", each.get_name())
    await loop.shutdown_asyncgens()


def _end(threads: ThreadPoolExecutor) -> None:
    """End the threads of ``asyncio.to_thread``; one that is stuck, its coroutine cancelled, is left."""
    ending = threading.Thread(target=threads.shutdown, name="ipcq-ending", daemon=True)
    ending.start()
    ending.join(GRACE)
