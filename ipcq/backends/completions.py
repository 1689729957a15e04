"""Results as they come, for one who waits: the same whatever the backend, whose inbox fetches them."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ..errors import ResultExpired, WaitTimeout
from ..result import TaskResult
from ..task import TaskId
from .progress import PACE, ProgressWatch

__all__ = ["AwaitedResults", "Fetching"]

_TICK = 0.5  # seconds: the bound of every wait


class Fetching(Protocol):
    """What an inbox does for those who wait; it hands each what it asked for by `AwaitedResults.take_in`."""

    def ask(self, who: AwaitedResults, ids: Iterable[TaskId]) -> None:
        """Have the results of ``ids`` handed to ``who``; `TaskNotFound` asks for none of them."""
        ...

    def forget(self, who: AwaitedResults, ids: Iterable[int]) -> None:
        """``who`` does not wait for these any more."""
        ...

    def await_change(self, is_over: Callable[[], bool], timeout: float) -> None:
        """Fetch what is there; else wait until something is, `is_over`, or ``timeout`` s passed."""
        ...

    def look_at_all(self) -> None:
        """Fetch what is there, however it came: before anybody is told that it is late."""
        ...

    def wake(self) -> None:
        """Make everybody who waits look whether their wait is over; from a signal handler too."""
        ...


class AwaitedResults:
    """Results in the order in which they came. Fulfils `Completions`.

    Attributes:
        reference: by which the inbox knows it, without keeping it.
    """

    def __init__(
        self,
        inbox: Fetching,
        ids: Iterable[TaskId],
        timeout: float | None,
        watch: ProgressWatch | None = None,
    ) -> None:
        """
        Args:
            watch: told while this waits, by who waits.
        """
        self.reference = weakref.ref(self)
        self._inbox = inbox
        self._until = None if timeout is None else time.monotonic() + timeout
        self._timeout = timeout
        self._watch, self._tick = watch, _TICK if watch is None else PACE
        self._open: set[int] = set()
        self._came: deque[tuple[TaskId, TaskResult[Any] | None]] = deque()
        self._woken = False
        self.add(ids)

    def __repr__(self) -> str:
        return f"<AwaitedResults [{len(self._came)} ready, {len(self)} awaited]>"

    def __len__(self) -> int:
        return len(self._open)

    def add(self, ids: Iterable[TaskId]) -> None:
        """Wait for these too."""
        new = [task_id for task_id in dict.fromkeys(ids) if task_id not in self._open]
        self._open.update(new)
        try:
            if new:
                self._inbox.ask(self, new)
                if self._watch is not None:
                    self._watch.look_anew()
        except BaseException:
            self._open.difference_update(new)
            self._inbox.forget(self, new)
            raise

    def discard(self, ids: Iterable[TaskId]) -> None:
        """Wait for these no more; what came already is handed out all the same."""
        gone = self._open.intersection(ids)
        self._open.difference_update(gone)
        if gone:
            self._inbox.forget(self, gone)

    def ready(self, timeout: float | None = 0.0) -> list[TaskResult[Any]]:
        """All results that are there, waiting up to ``timeout`` seconds for the first."""
        if not self._came and self._open:
            until = None if timeout is None else time.monotonic() + timeout
            while not self._is_over():
                self._look()
                left = _TICK if until is None else until - time.monotonic()
                self._inbox.await_change(self._is_over, max(0.0, min(left, self._tick)))
                if left <= 0:
                    break
        self._woken = False
        results: list[TaskResult[Any]] = []
        while self._came and (self._came[0][1] is not None or not results):
            results.append(self._next())  # an error waits for the next call: these came before it
        return results

    def wake(self) -> None:
        """Make a `ready` that waits in another thread return."""
        self._woken = True
        self._inbox.wake()

    def _is_over(self) -> bool:
        return bool(self._came or self._woken or not self._open)

    def _look(self) -> None:
        """Tell how far those are that are still awaited."""
        if self._watch is not None:
            self._watch.look(self._open)

    def _next(self) -> TaskResult[Any]:
        task_id, result = self._came.popleft()
        if result is None:
            raise ResultExpired(task_id)
        return result

    def take_in(self, task_id: TaskId, result: TaskResult[Any] | None) -> None:
        """Called by the inbox with what was awaited; None: it was removed."""
        if task_id in self._open:  # else Ctrl-C cut a handing out, and this is done once more
            self._came += ((task_id, result),)  # no call up to the next line, so no Ctrl-C
            self._open.discard(task_id)

    # --- iterating ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[TaskResult[Any]]:
        return self

    def __next__(self) -> TaskResult[Any]:
        self._look()  # here, too: results may come without a wait between them
        while not self._came:
            if not self._open:
                raise StopIteration
            self._wait_a_tick()
        return self._next()

    def _wait_a_tick(self) -> None:
        """Wait for a result, half a second at the most; `WaitTimeout` when the time is over."""
        self._look()
        left = _TICK if self._until is None else self._until - time.monotonic()
        if left > 0:
            self._woken = False
            self._inbox.await_change(self._is_over, min(left, self._tick))
            return
        self._inbox.look_at_all()
        if not self._came:
            count = len(self._open)
            self.close()
            raise WaitTimeout(
                f"waited {self._timeout:g} s; {count} of the tasks have not finished; they go on"
            )

    def __aiter__(self) -> AwaitedResults:
        return self

    async def __anext__(self) -> TaskResult[Any]:
        while not self._came:
            if not self._open:
                raise StopAsyncIteration
            await asyncio.to_thread(self._wait_a_tick)  # a thread nobody awaits any more ends soon
        return self._next()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._inbox.forget(self, list(self._open))
        self._open.clear()
