"""How a layer waits, and asks a backend, in a thread and in a coroutine."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from ..backend import Permit
from ..layer import ForcedStop

__all__ = ["Patience", "Question", "ask_in_thread", "release"]

T = TypeVar("T")

_STEP = 0.1
"""Seconds: how late a wait sees that its worker is to end."""


class Patience:
    """Waits as long as the worker goes on.

    Args:
        clock: seconds that only grow.
        sleep: waits so many seconds; not used by coroutines.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep

    def __repr__(self) -> str:
        return "<Patience>"

    def wait(self, seconds: float, context: Any) -> None:
        """Wait so long; `ForcedStop` where the worker is to end."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if context.stopping:
                raise ForcedStop
            self._sleep(min(left, _STEP))

    async def awaiting(self, seconds: float, context: Any) -> None:
        """The same, and others go on meanwhile."""
        from asyncio import sleep

        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if context.stopping:
                raise ForcedStop
            await sleep(min(left, _STEP))


async def ask_in_thread(call: Callable[[], T], unwanted: Callable[[T], object]) -> T:
    """What a call gives that may wait for others, made in a thread of the loop's.

    Args:
        unwanted: called with what it gave, where who asked was cancelled meanwhile.
    """
    from asyncio import get_running_loop

    return await Question(call, unwanted).asked(partial(get_running_loop().run_in_executor, None))


class Question(Generic[T]):
    """A call whose answer is handed over once: to who asked, or to who clears it away."""

    def __init__(self, call: Callable[[], T], unwanted: Callable[[T], object]) -> None:
        self._call, self._unwanted = call, unwanted
        self._lock = threading.Lock()
        self._dropped = False
        self._answers: list[T] = []

    async def asked(self, run: Callable[[Callable[[], T]], Awaitable[T]]) -> T:
        """The answer; who is cancelled half-way has none, and it is cleared away.

        Args:
            run: calls what it is given in a thread.
        """
        try:
            return await run(self.ask)
        except BaseException:
            self.drop()
            raise

    def ask(self) -> T:
        """Make the call."""
        answer = self._call()
        with self._lock:
            self._answers.append(answer)
            dropped = self._dropped
        if dropped:
            self._clear()
        return answer

    def drop(self) -> None:
        """Nobody wants the answer, whether it is there or comes."""
        with self._lock:
            self._dropped = True
        self._clear()

    def _clear(self) -> None:
        with self._lock:
            answers, self._answers = self._answers, []
        for answer in answers:
            self._unwanted(answer)


def release(permit: Permit | None) -> None:
    """Give a permit back, if there is one: of one that came too late."""
    if permit is not None:
        permit.release()
