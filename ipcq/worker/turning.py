"""Whether an event loop turns: what blocks it holds up all that run there, and is told of."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any
from weakref import WeakSet

__all__ = ["Turning"]

log = logging.getLogger("ipcq.worker")

_LONG = 1.0  # seconds
_LOOKS = 2  # after a process was stopped, the first one proves nothing
_MOST_FRAMES = 20


class Turning:
    """Looks, from another thread, whether a loop turns; to be made in that loop.

    Args:
        clock: seconds that only grow; for tests.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._clock = clock
        self._asked: float | None = None  # when it was called; None when it answered
        self._looks = 0
        self._told: WeakSet[asyncio.Task[Any]] = WeakSet()

    def __repr__(self) -> str:
        return f"<Turning of {self._loop!r}: {'asked' if self._asked is not None else 'turns'}>"

    def look(self) -> None:
        """Log what blocks the loop, once for each coroutine; to be called about twice a second."""
        asked, now = self._asked, self._clock()
        if asked is None:
            self._asked, self._looks = now, 0
            with suppress(RuntimeError):  # closed in this moment
                self._loop.call_soon_threadsafe(self._turns)
            return
        self._looks += 1
        if now - asked >= _LONG and self._looks >= _LOOKS:
            self._tell(now - asked)

    def _turns(self) -> None:
        self._asked = None

    def _tell(self, seconds: float) -> None:
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._thread)
        if task is None or task in self._told or frame is None or self._asked is None:
            return  # known, or it went on in this moment
        self._told.add(task)
        log.warning(
            "%s has blocked its event loop for %.1f s, and all other coroutines with it; let it await what it"
            " waits for, or await asyncio.to_thread(...). It is here:\n%s",
            task.get_name(),
            seconds,
            "".join(_stack(frame)),
        )


def _stack(frame: FrameType) -> list[str]:
    """What a loop is at, the innermost call last; the loop's own frames are left out."""
    found = list(_inside(frame))[:_MOST_FRAMES]
    return traceback.StackSummary.extract(reversed(found)).format()


def _inside(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    while frame is not None and frame.f_code is not asyncio.Handle._run.__code__:
        yield frame, frame.f_lineno
        frame = frame.f_back
