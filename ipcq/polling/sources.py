"""Events and async iterables as functions that a `Listener` can call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Any, Protocol

from .listener import Ended, Listen

__all__ = ["Event", "listen_to_event", "listen_to_iterable"]


class Event(Protocol):
    """What `threading.Event` and `multiprocessing.Event` have in common."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whether it is."""
        ...

    def clear(self) -> Any:
        """Make it not set."""
        ...


def listen_to_event(event: Event) -> tuple[Listen, Callable[[], None]]:
    """Cleared before anybody looks: what is set from then on is a new signal."""

    def listen(timeout: float) -> bool:
        if not event.wait(timeout):
            return False
        event.clear()
        return True

    return listen, lambda: None


def listen_to_iterable(source: AsyncIterable[Any]) -> tuple[Listen, Callable[[], None]]:
    """Each item is a signal; iterated in an event loop of the listener's thread."""
    steps = _Steps(source)
    return steps.listen, steps.close


class _Steps:
    """An async iterator, one step at a time, each with a time limit that loses nothing."""

    def __init__(self, source: AsyncIterable[Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._iterator = aiter(source)
        self._step: asyncio.Task[Any] | None = None

    def listen(self, timeout: float) -> bool:
        self._step = self._step or self._loop.create_task(self._next())
        self._loop.run_until_complete(asyncio.wait({self._step}, timeout=timeout))
        if not self._step.done():
            return False
        step, self._step = self._step, None
        if not step.result():
            raise Ended
        return True

    async def _next(self) -> bool:
        try:
            await anext(self._iterator)
        except StopAsyncIteration:  # a task cannot end with it
            return False
        return True

    def close(self) -> None:
        try:
            if self._step is not None:
                self._step.cancel()
                self._loop.run_until_complete(asyncio.wait({self._step}))
            aclose = getattr(self._iterator, "aclose", None)
            if aclose is not None:
                self._loop.run_until_complete(aclose())
        finally:
            self._loop.close()
