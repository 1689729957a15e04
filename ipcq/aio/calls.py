"""Calls that may wait a little, made in a few threads so that the loop goes on."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from ..errors import QueueClosed

__all__ = ["Calls"]

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 4


class Calls:
    """Runs functions in threads of its own, which start when they are needed and end with `close`.

    What waits for others, as a push into a full queue does, waits in one thread more: however many wait
    there, they hold up nobody else, of whom one may be about to make room.
    """

    def __init__(self, name: str) -> None:
        """
        Args:
            name: of the queue, for errors.
        """
        self._name = name
        self._pid = os.getpid()
        self._closed = False
        self._pool = ThreadPoolExecutor(THREADS, "ipcq-aio")
        self._waiting = ThreadPoolExecutor(1, "ipcq-aio-waiting")

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def is_inherited(self) -> bool:
        """Whether this process is a fork of the one that has the threads."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """`QueueClosed` where nothing can be called."""
        if self.is_inherited:
            raise QueueClosed(
                f"{self._name}: this AsyncQueue is that of process {self._pid}, and its threads did not come"
                " along when it was forked; make another one here"
            )
        if self._closed:
            raise QueueClosed(f"{self._name}: this AsyncQueue was closed; make another one")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's result. A call that has begun goes on where who made it is cancelled."""
        self.check()
        context, call = contextvars.copy_context(), partial(function, *args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, context.run, self._call, call)

    async def in_turn(self, function: Callable[[], R], timeout: float | None) -> R:
        """The result of a function that may wait, when it is its turn among those.

        Raises:
            TimeoutError: its turn did not come in that many seconds; it was not called.
        """
        self.check()
        future = self._waiting.submit(contextvars.copy_context().run, self._call, function)
        result = asyncio.wrap_future(future)
        try:
            done, _ = await asyncio.wait({result}, timeout=timeout)
        except asyncio.CancelledError:
            result.cancel()
            raise
        if not done and future.cancel():
            raise TimeoutError
        return await result

    def _call(self, call: Callable[[], R]) -> R:
        self.check()  # it may have been closed while this waited for a thread
        return call()

    def refuse(self) -> None:
        """From now on nothing can be called."""
        self._closed = True

    def close(self) -> None:
        """Wait for what runs, and end the threads; what has not begun is `QueueClosed`."""
        self.refuse()
        self._pool.shutdown()
        self._waiting.shutdown()

    def end_soon(self) -> None:
        """The same without waiting."""
        self.refuse()
        self._pool.shutdown(wait=False)
        self._waiting.shutdown(wait=False)
